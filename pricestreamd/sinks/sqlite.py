"""The sink `sqlite`: every tick becomes a row of the table `prices`.

One connection writes, from one thread (see `state.sqlite_file`). Readers open the file with `mode=ro`. A batch is one
transaction. The database is in WAL mode with `synchronous=NORMAL`: a crash of the process loses nothing that was
delivered, a loss of power may lose the last moments, and neither damages the file.

A tick is known by timestamp, sequence, symbol and feed. A row that is already there stays as it is, so a batch may
come again, and so may `price.change` with the tick of a `price.update`. That order of the key makes its index grow at
its end, whatever the number of symbols: with the symbol first, a thousand symbols cost 17 us a row instead of 1.

With `retention`, rows whose timestamp is older are deleted after batches, a few thousand at a time, so that no batch
waits long for it; none by a clock that jumped (see `retention`). The room that they leave is used again; the file does
not shrink.

`PRAGMA user_version` is the version of the schema. A newer one, and a table `prices` of somebody else, are refused.
A file that is no sound database is put aside as `<name>.corrupt-<time>`, and a new one begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, PriceAlert, PriceChange, PriceSpike, PriceUpdate
from pricestreamd.sinks.base import MOST_AT_ONCE
from pricestreamd.sinks.retention import Retention
from pricestreamd.sinks.settings import SqliteSinkSettings
from pricestreamd.state.aside import put_aside
from pricestreamd.state.sqlite_file import BUSY_SECONDS, CHECKED_BYTES, connect, is_damage, version
from pricestreamd.state.thread import OneThread

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE prices (
    id INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL,
    timestamp REAL NOT NULL,
    received_at REAL NOT NULL,
    price REAL NOT NULL,
    volume REAL,
    feed TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    UNIQUE (timestamp, sequence, symbol, feed)
)
"""
COLUMNS = ("symbol", "timestamp", "received_at", "price", "volume", "feed", "sequence")

FILE_MODE = 0o640
# Rows an INSERT: each statement costs the thread some turns with the interpreter, which a busy loop gives seldom, and
# more than a thousand rows at once would hold up the loop while they are bound. Few sizes, so that few are compiled.
ROWS = (1000, 100, 20, 5, 1)
# Rows are made on the loop, at most half a batch (0.7 ms) at a time.
SLICE = 256

# How often it is looked for rows that are too old, and how many go at once, at least: more than came in with the batch.
FORGET_SECONDS = 60.0
FORGET_ROWS = 2000
_FORGET = "DELETE FROM prices WHERE id IN (SELECT id FROM prices WHERE timestamp < ? ORDER BY timestamp LIMIT ?)"

_log = logging.getLogger(__name__)
_INSERT_NOTHING = f"INSERT INTO prices ({', '.join(COLUMNS)}) SELECT {', '.join(COLUMNS)} FROM prices WHERE 0"  # noqa: S608 - names of ours

_row = attrgetter(*COLUMNS)

Value = str | float | None


class PriceTable:
    """The database itself. Every call may block; all come from one thread. Raises `sqlite3.Error`, or `SinkError`."""

    def __init__(self, path: Path, sink: str, *, busy_seconds: float, checked_bytes: int) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._checked_bytes = checked_bytes
        self._sink = sink
        self._connection: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """Open the file, made with its folder and table where they are not there."""
        if self._connection is not None:
            return self._connection
        connection: sqlite3.Connection | None = None
        try:
            connection = connect(
                self._path,
                mode=FILE_MODE,
                busy_seconds=self._busy_seconds,
                checked_bytes=self._checked_bytes,
                cached_statements=len(ROWS) + 4,
            )
            found = self.version_of(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if found < SCHEMA_VERSION:
                self._migrate(connection)
        except BaseException as exc:
            if connection is not None:
                connection.close()
            self._put_aside_if_damaged(exc)
            raise
        self._connection = connection
        return connection

    def insert(self, values: Sequence[Value]) -> None:
        """Insert rows, given as their values one after the other (see `COLUMNS`): all of them, or none."""
        connection = self.open()
        width = len(COLUMNS)
        try:
            connection.execute("BEGIN IMMEDIATE")
            start = 0
            for rows in ROWS:
                while len(values) - start >= rows * width:
                    connection.execute(_insert(rows), values[start : start + rows * width])
                    start += rows * width
            connection.execute("COMMIT")
        except BaseException as exc:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            self._put_aside_if_damaged(exc)
            raise

    def probe(self) -> None:
        """Take the lock and insert nothing."""
        connection = self.open()
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_INSERT_NOTHING)
        except BaseException as exc:
            self._put_aside_if_damaged(exc)
            raise
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def forget(self, before: float, most: int) -> bool:
        """Delete rows of before that time (epoch seconds), at most `most`; whether there may be more."""
        connection = self.open()
        try:
            gone = connection.execute(_FORGET, (before, most)).rowcount
        except BaseException as exc:
            self._put_aside_if_damaged(exc)
            raise
        return gone >= most

    def newest(self) -> float | None:
        """The latest timestamp; None where there is no row."""
        (found,) = self.open().execute("SELECT max(timestamp) FROM prices").fetchone()
        return None if found is None else float(found)

    def close(self) -> None:
        """Bring everything into the main file, and close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def version_of(self, connection: sqlite3.Connection) -> int:
        """The version of the schema; 0 where there is none yet. Raises `SinkError` for what is not ours, or newer."""
        found = version(connection)
        if found > SCHEMA_VERSION:
            text = f"made by a newer pricestreamd (schema {found}; this one knows {SCHEMA_VERSION})"
        elif not found and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'prices'").fetchone():
            text = "has a table prices that is not ours: name another file"
        else:
            return found
        raise SinkError(f"{self._path}: {text}", sink=self._sink, transient=False)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")

    def _put_aside_if_damaged(self, exc: BaseException) -> None:
        if not is_damage(exc):
            return
        self.close()
        aside = put_aside(self._path)
        raise SinkError(
            f"{self._path}: not a sound database ({exc}); put aside as {aside.name}, a new one is begun",
            sink=self._sink,
        ) from exc


class SqliteSink:
    """Inserts the tick of each price event into `settings.path`.

    Waits `busy_seconds` for a lock of somebody else. A file of at most `checked_bytes` is read through when it is
    opened. `wall` gives epoch seconds, `clock` is monotonic.
    """

    carries = (PriceUpdate.event, PriceChange.event, PriceSpike.event, PriceAlert.event)
    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(
        self,
        name: str,
        settings: SqliteSinkSettings,
        *,
        busy_seconds: float = BUSY_SECONDS,
        checked_bytes: int = CHECKED_BYTES,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._wall = wall
        self._clock = clock
        self._forget_at = 0.0
        self._retention: Retention | None = None
        self.settings = settings
        self._table = PriceTable(settings.path, name, busy_seconds=busy_seconds, checked_bytes=checked_bytes)
        self._thread = OneThread(f"sink {name}")

    async def open(self) -> None:
        """Open the database, made where it is not there.

        Raises:
            SinkError: it is not open. Not transient: it is newer, or somebody else's.
        """
        with self._mapped():
            await self._thread.call(self._table.open)
            if self._retention is None and self.settings.retention is not None:
                newest = await self._thread.call(self._table.newest)
                self._retention = Retention(self.settings.retention, newest, self._clock())

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Insert `batch` in one transaction. An event of the user's own, whatever its name, has no tick: no row.

        Raises:
            SinkError: nothing of it was inserted. Not transient: a value in it will never be taken.
        """
        values: list[Value] = []
        step = max(SLICE, len(batch) // 2)
        for start in range(0, len(batch), step):
            if start:
                await asyncio.sleep(0)
            ticks = (event for event in batch[start : start + step] if isinstance(event, PriceUpdate))
            values.extend(itertools.chain.from_iterable(map(_row, ticks)))
        if values:
            with self._mapped():
                await self._thread.call(self._table.insert, values)
            await self._forget(2 * len(values) // len(COLUMNS))

    async def probe(self) -> None:
        """Begin to write, and take it back.

        Raises:
            SinkError: a batch would not be taken now.
        """
        with self._mapped():
            await self._thread.call(self._table.probe)

    async def close(self) -> None:
        """Close the database; its WAL is brought into the main file."""
        if not self._thread.running:
            return
        try:
            with self._mapped():
                await self._thread.call(self._table.close)
        finally:
            self._thread.stop()

    async def _forget(self, rows: int) -> None:
        """Delete what is too old, if it is time. That it fails is no failure of what was delivered."""
        retention, now = self._retention, self._clock()
        if retention is None or now < self._forget_at:
            return
        doubted = retention.doubts
        before = retention.before(self._wall(), now)
        if before is None:
            self._forget_at = now + FORGET_SECONDS
            if not doubted:
                _log.warning("%s: the clock is more than a day ahead of the rows: none is deleted", self.settings.path)
            return
        try:
            more = await self._thread.call(self._table.forget, before, max(rows, FORGET_ROWS))
        except (sqlite3.Error, OSError, SinkError) as exc:
            _log.warning("%s: rows that are too old are not deleted yet: %s", self.settings.path, exc)
            more = False
        self._forget_at = now if more else now + FORGET_SECONDS

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.InternalError, OSError) as exc:
            # Locked, full, read-only, broken off: the world may get better.
            raise SinkError(f"{self.settings.path}: {exc}", sink=self.name) from exc
        except (sqlite3.Error, ValueError, OverflowError) as exc:
            raise SinkError(f"{self.settings.path}: refused: {exc}", sink=self.name, transient=False) from exc


def _insert(rows: int) -> str:
    places = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO prices ({', '.join(COLUMNS)}) VALUES {', '.join([places] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608 - column names of ours; every value is a parameter
