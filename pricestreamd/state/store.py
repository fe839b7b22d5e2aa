"""The state: one SQLite file of what must outlast the process. So far that is the last watchlist of each feed.

The first call that needs the file opens it; a configuration without anything that must last never makes one. The
database is in WAL mode with `synchronous=FULL`: what a call has returned from survives a loss of power. Every
statement runs in one thread of the store's own.

`PRAGMA user_version` is the version of the schema. A newer one, and a database of another program, are refused with
`ForeignStateError`: nothing in them is touched. A file that is no sound database is put aside as
`<name>.corrupt-<time>`, a new one is begun, and `on_damage` is told. Whatever else fails raises `StateError`, and the
next call tries again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pricestreamd.model.errors import StateError
from pricestreamd.state.sqlite_file import connect, is_damage, put_aside, version
from pricestreamd.state.thread import OneThread

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE watchlists (
    feed TEXT PRIMARY KEY,
    symbols TEXT NOT NULL, -- a JSON list of texts
    saved_at REAL NOT NULL -- epoch seconds
)
"""
# What is in it concerns nobody but the daemon.
FILE_MODE = 0o600
# A disk that has not answered after so long is not waited for any more.
ANSWER_SECONDS = 10.0
CLOSE_SECONDS = 1.0

_T = TypeVar("_T")

_log = logging.getLogger(__name__)
_texts = msgspec.json.Decoder(tuple[str, ...])


class ForeignStateError(StateError):
    """The file was made by a newer version or by another program: only a person can say what to do."""


@dataclass(frozen=True, slots=True)
class SavedWatchlist:
    """The symbols of a watchlist when it was last read; `saved_at` in epoch seconds."""

    symbols: tuple[str, ...]
    saved_at: float


class StateStore:
    """What must last, in the file at `path`. `on_damage` gets a sentence, in the loop.

    Calls are done one after the other. Each waits `timeout` seconds at most; while the disk owes an answer to an
    earlier call, later ones fail at once.
    """

    def __init__(self, path: Path, *, on_damage: Callable[[str], object], timeout: float = ANSWER_SECONDS) -> None:
        self.path = path
        self._on_damage = on_damage
        self._timeout = timeout
        self._file = _StateFile(path)
        self._thread = OneThread("state")
        self._turn = asyncio.Lock()

    async def watchlists(self) -> dict[str, SavedWatchlist]:
        """Feed to its last watchlist.

        Raises:
            StateError: it could not be read.
        """
        rows = await self._call(_select_watchlists)
        found = {}
        for feed, symbols, saved_at in rows:
            try:
                found[feed] = SavedWatchlist(_texts.decode(symbols), float(saved_at))
            except (msgspec.DecodeError, TypeError, ValueError) as exc:
                _log.error("%s: the watchlist of feed %s cannot be read: %s", self.path, feed, exc)
        return found

    async def save_watchlist(self, feed: str, symbols: Sequence[str]) -> None:
        """Keep `symbols` as the last watchlist of `feed`.

        Raises:
            StateError: it could not be written; what was kept before still is.
        """
        await self._call(_upsert_watchlist, feed, json.dumps(list(symbols)), time.time())

    async def forget_watchlist(self, feed: str) -> None:
        """Forget the last watchlist of `feed`.

        Raises:
            StateError: it could not be forgotten.
        """
        await self._call(_delete_watchlist, feed)

    async def close(self) -> None:
        """Close the file, if it is open; a disk that does not answer is soon left alone."""
        if not self._thread.running:
            return
        try:
            async with asyncio.timeout(min(CLOSE_SECONDS, self._timeout)):
                await self._thread.call(self._file.close)
        except (TimeoutError, sqlite3.Error) as exc:
            _log.warning("%s: not closed: %r", self.path, exc)
        self._thread.stop()

    async def _call(self, work: Callable[..., _T], *args: Any) -> _T:
        async with self._turn:
            if self._thread.busy:
                raise StateError(f"{self.path}: the disk does not answer")
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._thread.call(self._file.run, work, *args)
            except TimeoutError as exc:
                raise StateError(f"{self.path}: no answer within {self._timeout:g} s") from exc
            except (sqlite3.Error, OSError) as exc:
                raise StateError(f"{self.path}: {exc}") from exc
            finally:
                while self._file.damage:
                    self._on_damage(self._file.damage.pop(0))


class _StateFile:
    """The file itself. Every call may block, and all come from one thread. Raises `sqlite3.Error` or `OSError`."""

    def __init__(self, path: Path) -> None:
        self.damage: list[str] = []
        """Sentences about damage that nobody has been told of."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def run(self, work: Callable[..., _T], *args: Any) -> _T:
        """What `work(connection, *args)` returns. On a file that turns out to be damaged, a new one takes its place."""
        try:
            return work(self._open(), *args)
        except sqlite3.Error as exc:
            if not is_damage(exc):
                raise
            self.close()
            aside = put_aside(self._path)
            self.damage.append(
                f"{self._path}: not a sound database ({exc}); put aside as {aside.name}, a new one is begun"
            )
        return work(self._open(), *args)

    def close(self) -> None:
        """Bring everything into the main file, and close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        connection = connect(self._path, mode=FILE_MODE)
        try:
            found = self._version(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if found < SCHEMA_VERSION:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        found = version(connection)
        if found > SCHEMA_VERSION:
            text = (
                f"made by a newer pricestreamd (schema {found}; this one knows {SCHEMA_VERSION}): update pricestreamd"
            )
        elif not found and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            text = "the database of another program: move it away"
        else:
            return found
        raise ForeignStateError(f"{self._path} is {text}, or name another file")


def _select_watchlists(connection: sqlite3.Connection) -> list[tuple[str, str, float]]:
    return connection.execute("SELECT feed, symbols, saved_at FROM watchlists").fetchall()


def _upsert_watchlist(connection: sqlite3.Connection, feed: str, symbols: str, now: float) -> None:
    connection.execute(
        "INSERT INTO watchlists (feed, symbols, saved_at) VALUES (?, ?, ?) "
        "ON CONFLICT (feed) DO UPDATE SET symbols = excluded.symbols, saved_at = excluded.saved_at",
        (feed, symbols, now),
    )


def _delete_watchlist(connection: sqlite3.Connection, feed: str) -> None:
    connection.execute("DELETE FROM watchlists WHERE feed = ?", (feed,))
