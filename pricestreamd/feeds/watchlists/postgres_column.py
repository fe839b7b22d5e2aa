"""The first column of a query, from PostgreSQL. Needs the extra `postgres`; imported only where it is configured.

One connection a reading, closed at its end: a watchlist is read once a minute, and a connection that is kept is one
more thing that can be half dead. The transaction is read-only, and the server ends the query itself when its time is
over. What the address leaves out is taken from the environment as libpq does (`PGHOST`, `PGUSER`, `~/.pgpass`, ...).
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from pricestreamd.feeds.watchlists.symbol_list import UnreadableListError

# What the server says is told up to this many characters.
_SAID = 200


async def read_column(url: str, query: str, *, rows: int, seconds: float) -> list[Any]:
    """The values of the first column of the first `rows` rows. After `seconds` the server ends the query by itself.

    Cancelling lets go of everything at once, also of a server that does not answer.

    Raises:
        UnreadableListError: the server refused something.
        OSError: it could not be reached.
    """
    reading = _Reading(url, query, rows, seconds)
    task = asyncio.create_task(reading.run())
    try:
        await asyncio.wait({task})
    finally:
        await reading.abandon(task)
    return task.result()


class _Reading:
    def __init__(self, url: str, query: str, rows: int, seconds: float) -> None:
        self._url = url
        self._query = query
        self._rows = rows
        self._seconds = seconds
        self._connection: Any = None

    async def run(self) -> list[Any]:
        try:
            # Without prepared statements that outlive the transaction, poolers such as PgBouncer do not mind.
            self._connection = connection = await asyncpg.connect(self._url, statement_cache_size=0)
            try:
                async with connection.transaction(readonly=True):
                    await connection.execute(f"SET LOCAL statement_timeout = {max(1, int(1000 * self._seconds))}")
                    statement = await connection.prepare(self._query)
                    if not statement.get_attributes():
                        raise UnreadableListError("the query gives no rows: write a SELECT")
                    cursor = await statement.cursor()
                    records = await cursor.fetch(self._rows)
            finally:
                await connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
            raise UnreadableListError(_said(exc)) from exc
        return [record[0] for record in records]

    async def abandon(self, task: asyncio.Task[list[Any]]) -> None:
        """Let go of everything, whether the server answers or not."""
        if not task.done():
            # First the socket: asyncpg answers a cancelled query with a request on a new connection, for which a
            # server that does not answer would have to be waited for as well.
            if self._connection is not None:
                self._connection.terminate()
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()


def _said(exc: Exception) -> str:
    text = " ".join(str(exc).split()) or type(exc).__name__
    return text[:_SAID]
