"""A copy of the state while it is in use: one moment of it, whole, in one file that can be put in its place.

SQLite's online backup reads through a connection of its own that never writes, so it works beside the daemon, from
its own process or another. The copy is made under another name, checked, and renamed when it is on the disk.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from pricestreamd.model.errors import StateError
from pricestreamd.state.migrations import check_ours
from pricestreamd.state.remedies import explained
from pricestreamd.state.sqlite_file import BUSY_SECONDS, check, is_damage

# While another program holds the state, the copy waits; nobody waits for ever.
WAIT_SECONDS = 30.0
_BELONGING = ("", "-wal", "-shm", "-journal", ".lock")


class TargetError(StateError):
    """The copy cannot be where it was asked for."""


def back_up(state: Path, target: Path, *, wait_seconds: float = WAIT_SECONDS) -> int:
    """Copy the state in the file `state` to `target`, which is replaced, with mode 0600; returns its size in bytes.

    Blocks.

    Raises:
        TargetError: nothing can be written at `target`, or it is the state itself.
        ForeignStateError: `state` is the database of another program.
        StateError: there is no state, or it cannot be read or is damaged. `target` is as it was then.
    """
    target = Path(os.path.realpath(target))
    _refuse(state, target)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as exc:
        raise TargetError(f"{target}: {target.parent}: {exc.strerror}") from exc
    os.close(descriptor)
    draft = Path(name)
    try:
        _copy(state, draft, wait_seconds)
        size = draft.stat().st_size
        draft.replace(target)
        _sync(target.parent)
    except OSError as exc:
        raise TargetError(f"{target}: {exc.strerror}") from exc
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{draft}{suffix}").unlink(missing_ok=True)
    return size


def _refuse(state: Path, target: Path) -> None:
    if not state.exists():
        raise StateError(f"{state}: there is no state yet")
    if target.exists() and not target.is_file():
        raise TargetError(f"{target} is no file that could be replaced: name another one")
    real = os.path.realpath(state)
    for suffix in _BELONGING:
        own = Path(real + suffix)
        if target == own or (target.exists() and own.exists() and target.samefile(own)):
            raise TargetError(
                f"{target} is {'the state itself' if not suffix else 'a part of the state'}: name another file"
            )


def _copy(state: Path, draft: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds

    def patient(status: int, _remaining: int, _total: int) -> None:
        if status != sqlite3.SQLITE_DONE and time.monotonic() > deadline:
            raise StateError(f"{state}: no copy within {wait_seconds:g} s: another program holds it")

    try:
        busy_seconds = min(BUSY_SECONDS, wait_seconds)
        with contextlib.closing(_connected(f"file:{quote(str(state))}?mode=ro", busy_seconds)) as source:
            check_ours(source, state, newer=True)
            with contextlib.closing(_connected(f"file:{quote(str(draft))}?mode=rw", busy_seconds)) as copy:
                # All in one step: what is written meanwhile would make it begin again.
                source.backup(copy, pages=-1, progress=patient)
                # A file of its own, that can be read where nothing may be written.
                copy.execute("PRAGMA journal_mode = DELETE").fetchall()
                check(copy)
    except sqlite3.Error as exc:
        if is_damage(exc):
            raise StateError(f"{state}: not a sound database ({exc}): there is no copy of it") from exc
        raise StateError(explained(state, exc)) from exc


def _connected(uri: str, busy_seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None)


def _sync(folder: Path) -> None:
    """Make the new name last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
