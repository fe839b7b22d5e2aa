"""Which pricestreamd runs here: version, revision, Python."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from dataclasses import dataclass
from functools import cache

DISTRIBUTION = "pricestreamd"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """`revision` is the commit that was installed, where the installer wrote it down, else `unknown`."""

    version: str
    revision: str
    python: str


@cache
def build_info() -> BuildInfo:
    """What the installed distribution says of itself."""
    python = platform.python_version()
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return BuildInfo(UNKNOWN, UNKNOWN, python)
    return BuildInfo(distribution.version, revision_of(distribution.read_text("direct_url.json")), python)


def revision_of(direct_url: str | None) -> str:
    """The commit named by a `direct_url.json` (PEP 610: written by `pip install git+...`)."""
    try:
        commit = json.loads(direct_url or "{}")["vcs_info"]["commit_id"]
    except (ValueError, KeyError, TypeError):
        return UNKNOWN
    return str(commit)
