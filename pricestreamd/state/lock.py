"""The lock of the state: one daemon at a time, known by its pid.

It is a `flock` on `<state>.lock`, a file that stays. The kernel gives the lock back when its holder ends, however that
happens, so there is never a stale one; the pid inside only tells people whom to look for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from pricestreamd.model.errors import StateError
from pricestreamd.state.sqlite_file import make_folder

_FILE_MODE = 0o600
# Between taking the lock and writing its pid a holder needs microseconds.
_PID_TRIES = 10
_PID_PAUSE_SECONDS = 0.01


class StateLocked(StateError):  # noqa: N818 - the name is the contract
    """Another process uses the state at `path`. `pid` is None where it could not be read."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"pid {pid}" if pid is not None else "its pid is not known"
        super().__init__(
            f"{path} is used by another pricestreamd ({holder}): stop that one, or name another file as state.path"
        )
        self.path = path
        self.pid = pid


class StateLock:
    """The lock of the state at `path`. Links are followed: two names of one file are one state."""

    def __init__(self, path: Path) -> None:
        self._state = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is ours."""
        return self._descriptor is not None

    def take(self) -> None:
        """Take it, unless it is held.

        Raises:
            StateLocked: another process holds it.
            OSError: there can be no file.
        """
        if self._descriptor is not None:
            return
        path = Path(os.path.realpath(self._state))
        make_folder(path.parent)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _holder(descriptor)
            os.close(descriptor)
            raise StateLocked(self._state, pid) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk costs the pid, not the lock
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give it back, if it is held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _holder(descriptor: int) -> int | None:
    for _ in range(_PID_TRIES):
        told = os.pread(descriptor, 32, 0)
        if told.endswith(b"\n") and told.strip().isdigit():
            return int(told)
        time.sleep(_PID_PAUSE_SECONDS)
    return None
