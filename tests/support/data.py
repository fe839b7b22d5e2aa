"""Recorded market data that is not part of the repository."""

from pathlib import Path

import pytest

ABSENT = "recorded data is not here"
ROOT = Path(__file__).parents[3] / "shared" / "data"


def shared_data(name: str) -> Path:
    """The file `name` of the recordings; the test is skipped, with the reason, where they are absent."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"{ABSENT}: {name}")
    return path
