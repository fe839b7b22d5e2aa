"""Zstandard, where this Python has it."""

from __future__ import annotations

import importlib
from typing import Any

# Python 3.14 has the module; its backport for older versions has the same interface.
_ZSTD_MODULES = ("compression.zstd", "backports.zstd")


def zstd_module() -> Any:
    """The module that packs and unpacks zstd; None where this Python has none."""
    for name in _ZSTD_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
