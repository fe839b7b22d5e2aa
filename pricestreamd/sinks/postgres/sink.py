"""The sink `postgres`: every tick becomes a row of the table `prices`, by COPY.

Needs the extra `postgres`; imported only where it is configured. A batch is one transaction. It is copied straight into
the table, which is as fast as it gets. Where a row of it is there already (the batch came through before, and only the
answer was lost) it is inserted in the slower way that leaves such rows out. So a batch may come again, and so may the
tick of a price.update with its price.change.

    one deadline around each delivery, connecting included; then the connection is torn down at once, without a word to
    the server, and the next delivery makes a new one. The server ends a statement by itself a little earlier.

Nothing is kept on the server between transactions, so poolers such as PgBouncer do not mind. What the address leaves
out is taken from the environment as libpq does (`PGHOST`, `PGUSER`, `~/.pgpass`, ...).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine, Sequence
from typing import Any
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]  # it has no types

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, PriceAlert, PriceChange, PriceSpike, PriceUpdate
from pricestreamd.sinks.base import MOST_AT_ONCE
from pricestreamd.sinks.postgres.rows import COLUMNS, COPY_BEGIN, COPY_END, binary_rows, columns_of
from pricestreamd.sinks.postgres.schema import prepare
from pricestreamd.sinks.said import SAID, said_by
from pricestreamd.sinks.settings import PostgresSinkSettings
from pricestreamd.sinks.waiting import ended

CONNECT_SECONDS = 5.0
# A delivery takes no longer.
DEADLINE = 15.0
# The part of it after which the server ends a statement, or a wait for somebody's lock.
_OF_SERVER = 0.8
# What a person must mend is not asked for every second.
MENDED_SECONDS = 60.0
# Rows are made on the loop, so many at a time (half a millisecond).
SLICE = 256

_TYPES = ("text", "timestamptz", "timestamptz", "float8", "float8", "text", "int8")
_INSERT = (
    f"INSERT INTO prices ({', '.join(COLUMNS)}) SELECT * FROM "  # noqa: S608 - names of ours; every value is a parameter
    f"unnest({', '.join(f'${number}::{kind}[]' for number, kind in enumerate(_TYPES, 1))}) ON CONFLICT DO NOTHING"
)
_INSERT_NOTHING = f"INSERT INTO prices ({', '.join(COLUMNS)}) SELECT {', '.join(COLUMNS)} FROM prices WHERE false"  # noqa: S608 - names of ours

# Classes of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html). A value that is never taken, by
# its type, a constraint, a view, a limit, or a trigger that raises an exception:
_OF_THE_ROW = ("22", "23", "44", "54", "P0001")
# Something that a person must set right:
_REMEDIES = {
    "28": "set user and password in its url, and reload",
    "3D": "create the database, or name another one in its url",
    "3F": "create the schema, or name another one in its url",
    "42501": "let its user CREATE in the schema once, and SELECT and INSERT in prices and pricestreamd_schema",
}
# The same for every row, although the server says it of one:
_CHECK_VIOLATED, _NULL_REFUSED = "23514", "23502"
_NO_PARTITION = "make the partition that the row belongs to, or a default one"
_NO_DEFAULT = "give that column a default, or let it be null"
_NO_FILE = "no such file: its Unix socket, or a certificate that its url names"
_CERTIFICATE = "give the certificate of its authority by sslrootcert=/path/ca.pem in its url"
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
_FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class PostgresSink:
    """Copies the tick of each price event into the database at `settings.url`. `deadline` in seconds.

    Raises:
        SinkError: the address cannot be used.
    """

    carries = (PriceUpdate.event, PriceChange.event, PriceSpike.event, PriceAlert.event)
    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(self, name: str, settings: PostgresSinkSettings, *, deadline: float = DEADLINE) -> None:
        self.name = name
        self.settings = settings
        self._deadline = deadline
        address = urlsplit(settings.url.reveal())
        if address.scheme not in ("postgres", "postgresql"):
            text = f"sink {name}: expected postgresql://user:password@host/database"
            raise SinkError(text, sink=name, transient=False)
        # Without user and password, and without options.
        self._place = f"{address.netloc.rpartition('@')[2] or 'PostgreSQL'}{address.path}"
        self._connection: Any = None
        # Whether that connection has met the table as it should be.
        self._prepared = False
        # The tick of the last row that was written: its other events need none.
        self._last: tuple[str, int] | None = None

    async def open(self) -> None:
        """Connect, and make the table where it is not there.

        Raises:
            SinkError: it is not ready. Not transient: the table is newer, or somebody else's.
        """
        await self._bounded(self._connected())

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Copy `batch` into the table, in one transaction. An event of the user's own has no tick: no row.

        Raises:
            SinkError: nothing of it is in the table, as far as is known. Not transient: a value in it is refused.
        """
        ticks = self._ticks(batch)
        if not ticks:
            return
        pieces = [COPY_BEGIN]
        try:
            for start in range(0, len(ticks), SLICE):
                if start:
                    await asyncio.sleep(0)
                pieces += binary_rows(ticks[start : start + SLICE])
        except (ValueError, OverflowError, struct.error) as exc:
            raise SinkError(f"{self._place}: refused: {exc}", sink=self.name, transient=False) from exc
        pieces.append(COPY_END)
        await self._bounded(self._write(b"".join(pieces), ticks))
        self._last = ticks[-1].run, ticks[-1].sequence

    async def probe(self) -> None:
        """Have the server check everything that a row needs, of a statement that inserts none.

        Raises:
            SinkError: it would not take one.
        """
        await self._bounded(self._insert_nothing())

    async def close(self) -> None:
        """Disconnect. All that was delivered is committed, so nobody is waited for."""
        self._let_go()

    def _ticks(self, batch: Sequence[Event]) -> list[PriceUpdate]:
        """The ticks of `batch`, each once: the events of one tick come one after the other."""
        ticks: list[PriceUpdate] = []
        last = self._last
        for event in batch:
            if isinstance(event, PriceUpdate):
                tick = event.run, event.sequence
                if tick != last:
                    last = tick
                    ticks.append(event)
        return ticks

    async def _connected(self) -> Any:
        if self._prepared and not self._connection.is_closed():
            return self._connection
        self._let_go()
        connection = self._connection = await asyncpg.connect(
            self.settings.url.reveal(),
            timeout=CONNECT_SECONDS,
            statement_cache_size=0,
            server_settings={"application_name": "pricestreamd"},
        )
        await prepare(connection, self.name)
        self._prepared = True
        return connection

    async def _write(self, rows: bytes, ticks: Sequence[PriceUpdate]) -> None:
        was_idle = self._prepared
        try:
            await self._insert(rows, ticks)
        except _LOST:
            # An idle connection turned out to be closed: a new one is made at once.
            if not was_idle:
                raise
            self._let_go()
            await self._insert(rows, ticks)

    async def _insert(self, rows: bytes, ticks: Sequence[PriceUpdate]) -> None:
        connection = await self._connected()
        try:
            async with connection.transaction():
                await self._limit(connection)
                # Bytes as they are would be taken for the name of a file.
                await connection.copy_to_table("prices", source=memoryview(rows), columns=COLUMNS, format="binary")
        except asyncpg.UniqueViolationError:
            async with connection.transaction():
                await self._limit(connection)
                await connection.execute(_INSERT, *columns_of(ticks))

    async def _insert_nothing(self) -> None:
        connection = await self._connected()
        async with connection.transaction():
            await self._limit(connection)
            await connection.execute(_INSERT_NOTHING)

    async def _limit(self, connection: Any) -> None:
        milliseconds = max(1, int(1000 * _OF_SERVER * self._deadline))
        await connection.execute(
            f"SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {milliseconds}"
        )

    async def _bounded(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do `work` within the deadline. Where it does not end, or is cancelled, the connection is torn down first.

        asyncpg answers a cancelled query with a request on a new connection, for which a server that hangs would have
        to be waited for as well; without a connection it has nothing to ask for.
        """
        task = asyncio.create_task(work, name=f"sink {self.name} postgres")
        in_time = True
        try:
            await asyncio.wait({task}, timeout=self._deadline)
        finally:
            if not task.done():
                self._let_go()
                in_time = await ended(task)
        if not in_time:
            raise SinkError(f"{self._place}: no answer within {self._deadline:g} s", sink=self.name)
        try:
            task.result()
        except _FOREIGN as exc:
            raise self._told(exc) from exc

    def _let_go(self) -> None:
        connection, self._connection, self._prepared = self._connection, None, False
        if connection is not None:
            connection.terminate()

    def _told(self, exc: BaseException) -> SinkError:
        """What went wrong, what to do about it, and whether another attempt is worth it."""
        state = str(getattr(exc, "sqlstate", None) or "")
        said = _said(exc)
        remedy = _of_the_table(exc, state)
        if state.startswith(_OF_THE_ROW) and remedy is None:
            return SinkError(f"{self._place}: refused: {said}", sink=self.name, transient=False)
        # Whatever else it is, a new connection finds the table anew, too.
        self._let_go()
        remedy = remedy or _REMEDIES.get(state) or _REMEDIES.get(state[:2])
        wait = MENDED_SECONDS if remedy else None
        return SinkError(f"{self._place}: {said}{f': {remedy}' if remedy else ''}", sink=self.name, retry_after=wait)


def _of_the_table(exc: BaseException, state: str) -> str | None:
    """What a person must do about the table before it takes any row; None: it is not the table."""
    # A constraint has a name, and what a trigger raises names no table.
    if state == _CHECK_VIOLATED and getattr(exc, "table_name", None) and not getattr(exc, "constraint_name", None):
        return _NO_PARTITION
    column = getattr(exc, "column_name", None)
    return _NO_DEFAULT if state == _NULL_REFUSED and column and column not in COLUMNS else None


def _said(exc: BaseException) -> str:
    """What went wrong; of a file that is not there, which one that is."""
    if isinstance(exc, asyncpg.ClientConfigurationError) and "root certificate" in str(exc):
        # The library goes on about what else could be done.
        return f"{str(exc).splitlines()[0][:SAID]}: {_CERTIFICATE}"
    return _NO_FILE if isinstance(exc, FileNotFoundError) else said_by(exc)
