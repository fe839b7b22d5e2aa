"""A pipe that takes nothing: what writes to it hangs, as on a disk that does not answer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def full_pipe(path: Path) -> Iterator[Callable[[], object]]:
    """It is at `path`, and full, and has a reader that does not read until what is given is called."""
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(held, bytes(4096))
        yield lambda: os.read(held, 1 << 20)
    finally:
        os.close(held)
