"""A SQLite file of ours: made and opened with care, and put aside when it is no sound database.

One connection writes, from one thread: older SQLite can damage a file when two connections of one process write at
the same instant (sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
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
    settings: Iterable[str] = (),
) -> sqlite3.Connection:
    """A connection to the file at `path`, made with its folder where they are not there, and known to be sound.

    `mode` is that of a new file; `settings` are pragmas that count before anything is read. Transactions are begun and
    ended by name; the driver begins none of its own. Raises `sqlite3.Error` or `OSError`.
    """
    make_folder(path.parent)
    _make(path, mode)
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, cached_statements=cached_statements)
    try:
        for setting in settings:
            connection.execute(f"PRAGMA {setting}").fetchall()
        if path.stat().st_size <= checked_bytes:
            check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def make_folder(folder: Path) -> None:
    """Make `folder`, which is not for everybody, where it is not there. Raises `OSError`."""
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def _make(path: Path, mode: int) -> None:
    """Make the file. One that is there must not be opened here: closing it would end the process's locks on it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path)) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None


def check(connection: sqlite3.Connection) -> None:
    """Read the whole file through. Raises `sqlite3.DatabaseError`, which `is_damage`, where it is not sound."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        error = sqlite3.DatabaseError(" ".join(found.split()))  # it comes in lines
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is done inside is written whole at the end, or not at all where anything raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have ended it already
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def version(connection: sqlite3.Connection) -> int:
    """The version of the schema; 0 where none was written."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def is_damage(exc: BaseException) -> bool:
    """Whether `exc` says that the file is no sound database."""
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF  # the rest tells what kind of damage
    return code in _DAMAGED
