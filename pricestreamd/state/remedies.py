"""What the system or SQLite has said of the state, as a sentence that ends with what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

_ELSEWHERE = "or name another file as state.path"
_FULL = "make space on that disk"
_CODES = {
    sqlite3.SQLITE_BUSY: "another program holds it: end that program",
    sqlite3.SQLITE_LOCKED: "another program holds it: end that program",
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: "look at the disk and at what the kernel says of it",
}
_UNWRITABLE_CODES = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST})


def explained(path: Path, exc: sqlite3.Error | OSError | ValueError | OverflowError) -> str:
    """`exc`, which came of an attempt to use the state at `path`, with its remedy where there is one."""
    if isinstance(exc, OSError):
        said, remedy = exc.strerror or str(exc), _of_system(path, exc)
    else:
        said, remedy = str(exc), _of_sqlite(path, exc)
    return f"{path}: {said}{f': {remedy}' if remedy else ''}"


def _of_system(path: Path, exc: OSError) -> str:
    if exc.errno in _FULL_ERRORS:
        return _FULL
    if exc.errno in _NO_FOLDER:
        return f"{path.parent} is no folder: name another file as state.path"
    if exc.errno == errno.EISDIR:
        return "name a file in it as state.path"
    return _unwritable(path)


def _of_sqlite(path: Path, exc: Exception) -> str:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF  # the rest tells details
    return _unwritable(path) if code in _UNWRITABLE_CODES else _CODES.get(code, "")


def _unwritable(path: Path) -> str:
    return f"let the user who runs pricestreamd write in {path.parent}, {_ELSEWHERE}"
