"""A watchlist: symbols that are kept somewhere else, in a file or a database, and read again and again.

Reading never changes what is read: files are opened for reading, SQLite with `mode=ro`, PostgreSQL in a read-only
transaction. It never holds up the loop, and takes no longer than its deadline: what may block does so in a thread of
its own, and while that is stuck (a dead network file system) further readings fail at once.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pricestreamd.feeds.settings import WatchlistSettings
from pricestreamd.feeds.watchlists.symbol_list import (
    MAX_BYTES,
    MAX_SYMBOLS,
    UnreadableListError,
    WatchlistError,
    symbols_of_column,
    symbols_of_text,
)
from pricestreamd.feeds.watchlists.watchlist_address import SQLITE, missing_extra, shown, url_fault
from pricestreamd.model.secret import redact
from pricestreamd.state.thread import OneThread

READ_SECONDS = 10.0
"""For one reading: connecting, asking and fetching together."""

# Another program may write the database at this moment.
_BUSY_SECONDS = 5.0
# How often a query is asked whether its time is over, in instructions of SQLite's own machine: well under 1 ms.
_STEPS = 10_000
# What a database says is told up to this many characters.
_SAID = 200

_T = TypeVar("_T")


class Watchlist:
    """The watchlist of `feed`, where `settings` say it is. `timeout`: seconds for one reading.

    Raises:
        ValueError: the settings name neither a file nor a database, or an address that cannot be.
    """

    def __init__(self, feed: str, settings: WatchlistSettings, *, timeout: float = READ_SECONDS) -> None:
        self.feed = feed
        self._timeout = timeout
        self._thread = OneThread(f"watchlist {feed}")
        self._file = settings.file
        self._url = settings.sql.url.reveal() if settings.sql is not None else ""
        self._query = settings.sql.query if settings.sql is not None else ""
        if (settings.file is None) == (settings.sql is None):
            raise ValueError(f"watchlist of feed {feed}: either file or sql")
        if settings.sql is not None and (fault := url_fault(self._url)) is not None:
            raise ValueError(f"watchlist of feed {feed}: {fault}")
        self.place = str(settings.file) if settings.file is not None else shown(self._url)
        """Where it is, for people: a path, or host and database."""

    async def read(self) -> tuple[str, ...]:
        """The symbols that are in it now, each once, in order.

        Raises:
            WatchlistError: it could not be read, or is no list of symbols; the text says where and why.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._read()
        except (UnreadableListError, OSError) as exc:
            raise WatchlistError(redact(f"{self.place}: {self._reason(exc)}"), feed=self.feed) from exc

    def close(self) -> None:
        """End the thread, if there is one. A later reading begins a new one."""
        self._thread.stop()

    def _reason(self, exc: UnreadableListError | OSError) -> str:
        if isinstance(exc, TimeoutError):
            return f"no answer within {self._timeout:g} s"
        if isinstance(exc, ConnectionError) and exc.errno:
            return os.strerror(exc.errno)  # what asyncio says instead is the call that failed
        return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)[:_SAID]

    async def _read(self) -> tuple[str, ...]:
        if self._file is not None:
            return await self._apart(_read_file, self._file)
        if self._url.startswith(SQLITE):
            path, deadline = Path(self._url.removeprefix(SQLITE)), time.monotonic() + self._timeout
            return await self._apart(_read_sqlite, path, self._query, deadline)
        if (missing := missing_extra(self._url)) is not None:
            raise UnreadableListError(missing)
        # Imported when it is needed, which takes a while.
        postgres = await self._apart(import_module, "pricestreamd.feeds.watchlists.postgres_column")
        values: list[Any] = await postgres.read_column(
            self._url, self._query, rows=MAX_SYMBOLS + 1, seconds=self._timeout
        )
        return await self._apart(symbols_of_column, values)

    async def _apart(self, function: Callable[..., _T], *args: Any) -> _T:
        if self._thread.busy:
            raise UnreadableListError("an earlier reading has not come back")
        return await self._thread.call(function, *args)


def _read_file(path: Path) -> tuple[str, ...]:
    # Without O_NONBLOCK a pipe would be waited for as long as nobody writes to it.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - an open descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UnreadableListError("not a regular file")
        return symbols_of_text(file.read(MAX_BYTES + 1))


def _read_sqlite(path: Path, query: str, deadline: float) -> tuple[str, ...]:
    path.stat()  # raises what says more than SQLite does of a file that is not there
    try:
        with closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
            )
        ) as connection:
            connection.set_authorizer(_authorize)
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            cursor = connection.execute(query)
            if cursor.description is None:
                raise UnreadableListError("the query gives no rows: write a SELECT")
            return symbols_of_column(row[0] for row in cursor.fetchmany(MAX_SYMBOLS + 1))
    except (sqlite3.Error, sqlite3.Warning) as exc:
        if getattr(exc, "sqlite_errorcode", 0) == sqlite3.SQLITE_AUTH:
            raise UnreadableListError("the query does more than read: write a SELECT") from exc
        raise UnreadableListError(" ".join(str(exc).split())) from exc


def _authorize(action: int, *_: str | None) -> int:
    """Nothing can be written to a file that is opened for reading, but ATTACH and VACUUM INTO would make another."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
