"""The file of the state, as the one thread sees it that may touch it: locked, opened, migrated, replaced when damaged.

It is opened by the first call that needs it, and after an error of the disk it is opened anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pricestreamd.state.aside import put_aside
from pricestreamd.state.lock import StateLock
from pricestreamd.state.migrations import check_ours, migrate
from pricestreamd.state.sqlite_file import connect, is_damage

# What is in it concerns nobody but the daemon.
FILE_MODE = 0o600
# The WAL is brought into the main file when it has so many pages (4 MiB), and is then cut to the size below.
WAL_PAGES = 1000
WAL_BYTES = 4 * 1024 * 1024

# While another program holds the file, nobody waits long: the next call tries again, and an alert has to go out.
_BUSY_SECONDS = 1.0
# Every statement of the state is compiled once.
_STATEMENTS = 64
# After these the connection may be of no use any more: the file has moved, its disk was away.
_NO_ROOM = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})
_LOST = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})

_T = TypeVar("_T")


class StateFile:
    """The file at `path`. Every call may block, and all come from one thread. Raises `sqlite3.Error` or `OSError`."""

    def __init__(self, path: Path) -> None:
        self.damage: list[str] = []
        """Sentences about damage that nobody has been told of."""
        self._path = path
        self._lock = StateLock(path)
        self._connection: sqlite3.Connection | None = None

    def run(self, work: Callable[..., _T], *args: Any) -> _T:
        """What `work(connection, *args)` returns. On a file that turns out to be damaged, a new one takes its place.

        Raises:
            StateLocked: another process uses it.
            ForeignStateError: it is not ours, or newer.
        """
        try:
            return work(self._open(), *args)
        except sqlite3.Error as exc:
            self._close_if_lost(exc)
            if not is_damage(exc):
                raise
            self._close_connection()
            aside = put_aside(self._path)
            self.damage.append(
                f"{self._path}: not a sound database ({exc}); put aside as {aside.name}, a new one is begun"
            )
        return work(self._open(), *args)

    def close(self) -> None:
        """Bring everything into the main file, close it, and give the lock back."""
        try:
            self._close_connection()
        finally:
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self._lock.take()
        try:
            connection = self._connect()
        except sqlite3.OperationalError as exc:
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF not in _NO_ROOM:
                raise
            # Without room for the index of the WAL, which readers share, we can still read what is there, alone.
            connection = self._connect("locking_mode = EXCLUSIVE")
        self._connection = connection
        return connection

    def _connect(self, *first: str) -> sqlite3.Connection:
        connection = connect(
            self._path, mode=FILE_MODE, busy_seconds=_BUSY_SECONDS, cached_statements=_STATEMENTS, settings=first
        )
        try:
            check_ours(connection, self._path)
            for setting in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                f"wal_autocheckpoint = {WAL_PAGES}",
                f"journal_size_limit = {WAL_BYTES}",
            ):
                connection.execute(f"PRAGMA {setting}").fetchall()
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _close_if_lost(self, exc: sqlite3.Error) -> None:
        connection = self._connection
        if connection is None:
            return
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        # A transaction that could not even be undone would be in the way of all later ones.
        if code in _LOST or connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._close_connection()

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
