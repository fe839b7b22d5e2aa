"""A small disk of a test's own, that can be filled and made read-only without anybody else's noticing.

It is a file system in memory, mounted in a namespace of the kernel's: it lasts as long as the program in it.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest


def own_disk(folder: Path, megabytes: int) -> list[str]:
    """What to put before a command so that `folder` is an empty disk of that size for it.

    Skips the test where the system does not let us.
    """
    missing = [tool for tool in ("unshare", "mount") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"a disk of one's own needs {', '.join(missing)}")
    script = f'mount -t tmpfs -o size={megabytes}m,mode=0700 tmpfs "$1" && shift && exec "$@"'
    entered = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "disk", str(folder)]
    if (refusal := _refusal(tuple(entered))) is not None:
        pytest.skip(f"the system allows no disk of one's own: {refusal}")
    return entered


@cache
def _refusal(entered: tuple[str, ...]) -> str | None:
    tried = subprocess.run([*entered, "true"], capture_output=True, text=True, timeout=20, check=False)
    return None if tried.returncode == 0 else tried.stderr.strip()[-200:]
