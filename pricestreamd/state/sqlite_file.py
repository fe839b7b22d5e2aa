"""A SQLite file of ours: made and opened with care, and put aside when it is no sound database.

One connection writes, from one thread: older SQLite can damage a file when two connections of one process write at
the same instant (sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

# Another program may hold the file for a while. Waiting for it blocks the thread of the database only.
BUSY_SECONDS = 5.0
# Reading all of a larger file at the start would take too long; damage in it shows in use.
CHECKED_BYTES = 64 * 1024 * 1024

_FOLDER_MODE = 0o750
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def connect(
    path: Path,
    *,
    mode: int,
    busy_seconds: float = BUSY_SECONDS,
    checked_bytes: int = CHECKED_BYTES,
    cached_statements: int = 16,
) -> sqlite3.Connection:
    """A connection to the file at `path`, made with its folder where they are not there, and known to be sound.

    `mode` is that of a new file. Transactions are begun and ended by name; the driver begins none of its own. Raises
    `sqlite3.Error` or `OSError`.
    """
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode))
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, cached_statements=cached_statements)
    try:
        if path.stat().st_size <= checked_bytes:
            _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def version(connection: sqlite3.Connection) -> int:
    """The version of the schema; 0 where none was written."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def is_damage(exc: BaseException) -> bool:
    """Whether `exc` says that the file is no sound database."""
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF  # the rest tells what kind of damage
    return code in _DAMAGED


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
