"""What cannot be used is put aside for a person, not deleted."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path


def put_aside(path: Path) -> Path:
    """Rename the file and what belongs to it to `<name>.corrupt-<time>`, which is returned. It must not be open."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():  # twice in one second
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside
