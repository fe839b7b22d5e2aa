"""What went wrong with the state, in words that end with what to do."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from pricestreamd.state.remedies import explained

PATH = Path("/var/lib/price-stream/state.db")
UNWRITABLE = "let the user who runs pricestreamd write in /var/lib/price-stream, or name another file as state.path"
FULL = "make space on that disk"
HELD = "another program holds it: end that program"


def of_sqlite(text: str, code: int | None) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (OSError(errno.EACCES, "Permission denied", str(PATH)), f"Permission denied: {UNWRITABLE}"),
        (OSError(errno.EROFS, "Read-only file system"), f"Read-only file system: {UNWRITABLE}"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), f"No space left on device: {FULL}"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), f"Disk quota exceeded: {FULL}"),
        (
            OSError(errno.ENOTDIR, "Not a directory"),
            "Not a directory: /var/lib/price-stream is no folder: name another file as state.path",
        ),
        (OSError(errno.EISDIR, "Is a directory"), "Is a directory: name a file in it as state.path"),
        (OSError("of no kind"), f"of no kind: {UNWRITABLE}"),
        (of_sqlite("database is locked", sqlite3.SQLITE_BUSY_SNAPSHOT), f"database is locked: {HELD}"),
        (of_sqlite("database or disk is full", sqlite3.SQLITE_FULL), f"database or disk is full: {FULL}"),
        (
            of_sqlite("disk I/O error", sqlite3.SQLITE_IOERR_FSYNC),
            "disk I/O error: look at the disk and at what the kernel says of it",
        ),
        (of_sqlite("attempt to write a readonly database", sqlite3.SQLITE_READONLY_DBMOVED), None),
        (of_sqlite("unable to open database file", sqlite3.SQLITE_CANTOPEN), None),
        (of_sqlite("no such table: events", sqlite3.SQLITE_ERROR), "no such table: events"),
        (sqlite3.ProgrammingError("type 'object' is not supported"), "type 'object' is not supported"),
        (ValueError("embedded null"), "embedded null"),
    ],
    ids=str,
)
def test_an_error_is_told_with_its_path_and_its_remedy(
    exc: sqlite3.Error | OSError | ValueError, text: str | None
) -> None:
    assert explained(PATH, exc) == f"{PATH}: {text or f'{exc}: {UNWRITABLE}'}"
