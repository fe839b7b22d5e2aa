"""No text that came from outside, such as a provider's last error, leaves with a secret in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricestreamd.model.secret import redact


def redacted(value: Any) -> Any:
    """A copy of JSON-like data in which no text, at any depth, holds a known secret. Keys are left as they are."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value
