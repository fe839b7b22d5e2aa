"""Watchlists from files and SQLite, read as they are edited, broken, locked and gone."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.settings import WatchlistSettings, WatchlistSqlSettings
from pricestreamd.feeds.watchlists.symbol_list import WatchlistError
from pricestreamd.feeds.watchlists.watchlist import Watchlist
from pricestreamd.feeds.watchlists.watchlist_address import missing_extra, shown, url_fault
from pricestreamd.model.errors import FeedError
from pricestreamd.model.secret import Secret, redact
from tests.support.waiting import eventually

SELECT = "SELECT symbol FROM watchlist ORDER BY rowid"
FOREVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


def of_file(path: Path, **more: Any) -> Watchlist:
    return Watchlist("us", WatchlistSettings(file=path), **more)


def of_sql(url: str, query: str = SELECT, **more: Any) -> Watchlist:
    return Watchlist("us", WatchlistSettings(sql=WatchlistSqlSettings(url=Secret(url), query=query)), **more)


async def failure(watchlist: Watchlist) -> str:
    """What is said of a reading that must fail."""
    with pytest.raises(WatchlistError) as failed:
        await watchlist.read()
    assert isinstance(failed.value, FeedError)
    assert (failed.value.feed, failed.value.reason, failed.value.transient) == ("us", "watchlist", True)
    return str(failed.value)


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS watchlist (symbol)")
        yield connection
    finally:
        connection.close()


def fill(path: Path, *symbols: object) -> str:
    """A database with these symbols; its address."""
    with database(path) as connection:
        connection.execute("DELETE FROM watchlist")
        connection.executemany("INSERT INTO watchlist VALUES (?)", [(symbol,) for symbol in symbols])
    return f"sqlite:///{path}"


# --- files


async def test_a_file_is_read_as_it_is_each_time(tmp_path: Path) -> None:
    path = tmp_path / "symbols.txt"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\nAAPL\r\n\r\nmsft # software\r\nMSFT\r\n")
    watchlist = of_file(path)
    assert await watchlist.read() == ("AAPL", "msft")
    path.write_text("TSLA\n")
    assert await watchlist.read() == ("TSLA",)
    draft = tmp_path / "draft"
    draft.write_text("AMZN\n")
    draft.replace(path)
    assert await watchlist.read() == ("AMZN",)
    watchlist.close()


async def test_a_file_that_cannot_be_read_is_a_failure_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "symbols.txt"
    watchlist = of_file(path)
    assert await failure(watchlist) == f"{path}: No such file or directory"
    path.write_bytes(b"AAPL\n\xff\n")
    assert await failure(watchlist) == f"{path}: line 2: not UTF-8 text"
    path.write_bytes(b"A" * 2_000_000)
    assert await failure(watchlist) == f"{path}: larger than 1024 KiB"
    path.unlink()
    path.mkdir()
    assert await failure(watchlist) == f"{path}: Is a directory"
    path.rmdir()
    path.write_text("AAPL")
    assert await watchlist.read() == ("AAPL",)
    watchlist.close()


async def test_nobody_writes_to_the_pipe_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    watchlist = of_file(tmp_path / "pipe")
    assert await failure(watchlist) == f"{tmp_path}/pipe: not a regular file"
    watchlist.close()


# --- SQLite


async def test_the_first_column_of_a_query_is_the_list(tmp_path: Path) -> None:
    url = fill(tmp_path / "w.db", "AAPL", None, " msft ", "", "MSFT", "Ä")
    watchlist = of_sql(url, "SELECT symbol, 1 FROM watchlist ORDER BY rowid;")
    assert await watchlist.read() == ("AAPL", "msft", "Ä")
    fill(tmp_path / "w.db", "TSLA")
    assert await watchlist.read() == ("TSLA",)
    fill(tmp_path / "w.db")
    assert await watchlist.read() == ()
    watchlist.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT symbol FROM v",
        "SELECT DISTINCT upper(w.symbol) FROM watchlist w JOIN v USING (symbol) GROUP BY w.symbol ORDER BY count(*)",
        "SELECT value FROM json_each('[\"AAPL\"]')",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5) SELECT 'AAPL' FROM c",
        "SELECT 'AAPL' UNION SELECT symbol FROM watchlist",
    ],
)
async def test_a_query_may_be_any_select(tmp_path: Path, query: str) -> None:
    url = fill(tmp_path / "w.db", "AAPL")
    with database(tmp_path / "w.db") as connection:
        connection.execute("CREATE VIEW v AS SELECT symbol FROM watchlist")
    watchlist = of_sql(url, query)
    assert await watchlist.read() == ("AAPL",)
    watchlist.close()


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "50%25.db", "#1.db", "ä.db", "x.db?mode=rwc"])
async def test_the_name_of_a_database_is_taken_as_it_is_written(tmp_path: Path, name: str) -> None:
    watchlist = of_sql(fill(tmp_path / name, "AAPL"))
    assert await watchlist.read() == ("AAPL",)
    assert watchlist.place == str(tmp_path / name)
    watchlist.close()


async def test_a_database_in_wal_mode_is_read_while_its_writer_has_it_open(tmp_path: Path) -> None:
    fill(tmp_path / "w.db", "AAPL")
    with database(tmp_path / "w.db") as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO watchlist VALUES ('MSFT')")
        watchlist = of_sql(f"sqlite:///{tmp_path}/w.db")
        assert await watchlist.read() == ("AAPL",)
        writer.execute("COMMIT")
        assert await watchlist.read() == ("AAPL", "MSFT")
        watchlist.close()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT nosuch FROM watchlist", "no such column: nosuch"),
        ("SELECT symbol FROM nosuch", "no such table: nosuch"),
        ("SELEKT 1", 'near "SELEKT": syntax error'),
        ("SELECT 600519", "row 1: expected text, got int: CAST the first column AS TEXT"),
        ("SELECT x'00'", "row 1: expected text, got bytes: CAST the first column AS TEXT"),
        ("SELECT 'a'; SELECT 'b'", "You can only execute one statement at a time."),
        ("DELETE FROM watchlist", "attempt to write a readonly database"),
        ("INSERT INTO watchlist VALUES ('B') RETURNING symbol", "attempt to write a readonly database"),
        ("DROP TABLE watchlist", "attempt to write a readonly database"),
        ("PRAGMA user_version = 7", "attempt to write a readonly database"),
        ("VACUUM INTO 'other.db'", "the query does more than read: write a SELECT"),
        ("ATTACH 'other.db' AS other", "the query does more than read: write a SELECT"),
        ("ATTACH 'file:other.db?mode=rwc' AS other", "the query does more than read: write a SELECT"),
        ("SELECT load_extension('x')", "not authorized"),
        ("CREATE TEMP TABLE t (x)", "the query gives no rows: write a SELECT"),
        ("BEGIN", "the query gives no rows: write a SELECT"),
        ("", "the query gives no rows: write a SELECT"),
    ],
)
async def test_a_query_that_is_no_select_is_a_failure_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    url = fill(tmp_path / "w.db", "AAPL")
    before = (tmp_path / "w.db").read_bytes()
    watchlist = of_sql(url, query)
    assert told in await failure(watchlist)
    watchlist.close()
    assert (tmp_path / "w.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["w.db"]


async def test_a_database_that_is_none_or_is_not_there_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    watchlist = of_sql(f"sqlite:///{path}")
    assert await failure(watchlist) == f"{path}: No such file or directory"
    assert not path.exists()
    path.write_text("AAPL\nMSFT\n" * 1000)
    assert await failure(watchlist) == f"{path}: file is not a database"
    path.unlink()
    fill(path, "AAPL")
    assert await watchlist.read() == ("AAPL",)
    watchlist.close()


async def test_a_locked_database_is_given_up_in_time_and_readings_do_not_pile_up(tmp_path: Path) -> None:
    url = fill(tmp_path / "w.db", "AAPL")
    watchlist = of_sql(url, timeout=0.2)
    with database(tmp_path / "w.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert await failure(watchlist) == f"{tmp_path}/w.db: no answer within 0.2 s"
        assert await failure(watchlist) == f"{tmp_path}/w.db: an earlier reading has not come back"
        assert time.monotonic() - began < 1
    await eventually_read(watchlist, ("AAPL",))
    watchlist.close()


@pytest.mark.alone
async def test_a_query_without_end_is_ended(tmp_path: Path) -> None:
    url = fill(tmp_path / "w.db", "AAPL")
    watchlist = of_sql(url, FOREVER, timeout=0.2)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert "no answer within 0.2 s" in await failure(watchlist)
    ticking.cancel()
    assert ticks > 5  # the loop went on meanwhile
    # The thread comes back by itself: the next reading is another attempt, not a refusal.
    await eventually(lambda: not watchlist._thread.busy)
    assert "no answer within 0.2 s" in await failure(watchlist)
    watchlist.close()


async def eventually_read(watchlist: Watchlist, symbols: tuple[str, ...]) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(WatchlistError):
                assert await watchlist.read() == symbols
                return
            await asyncio.sleep(0.05)


async def test_a_reading_that_is_cancelled_leaves_the_next_alone(tmp_path: Path) -> None:
    url = fill(tmp_path / "w.db", "AAPL")
    watchlist = of_sql(url)
    reading = asyncio.create_task(watchlist.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    await eventually_read(watchlist, ("AAPL",))
    watchlist.close()


# --- addresses


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///w.db",
        "sqlite:////var/lib/w.db",
        "sqlite:///what?#.db",
        "postgresql://host/db",
        "postgresql://user:p%40ss%2F@host:5432/db?sslmode=verify-full",
        "postgresql://u:p@[::1]:5432/db",
        "postgresql://u@a:1,b:2/db",
        "postgresql://u@%2Frun%2Fpostgresql/db",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://",
        "postgres://u:p@host/db",
    ],
)
def test_addresses_that_can_be(url: str) -> None:
    assert url_fault(url) is None
    assert missing_extra(url) is None  # the tests have it


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://w.db", "three slashes"),
        ("sqlite:w.db", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("sqlite:////", "three slashes"),
        ("sqlite:///a\0b", "control characters"),
        ("mysql://u:p@host/db", "expected sqlite:///path.db or postgresql://user:password@host/database"),
        ("postgresql:host", "expected sqlite:///path.db or postgresql://user:password@host/database"),
        ("symbols.txt", "expected sqlite:///path.db or postgresql://user:password@host/database"),
        ("postgresql://u:pa/ss@host/db", "written as %3A %2F"),
        ("postgresql://u:12/34@host/db", "written as %3A %2F"),
        ("postgresql://u:pa?ss@host/db", "written as %3A %2F"),
        ("postgresql://u:pa#ss@host/db", "written as %3A %2F"),
        ("postgresql://u:pa@ss@host/db", "written as %3A %2F"),
        ("postgresql://u:pa[ss@host/db", "written as %3A %2F"),
        ("postgresql://u:p@host:port/db", "written as %3A %2F"),
    ],
)
def test_addresses_that_cannot_be_are_told_of_without_their_text(url: str, told: str) -> None:
    fault = url_fault(url)
    assert fault is not None
    assert told in fault
    assert "pa" not in fault.replace("path", "").replace("password", "")
    with pytest.raises(ValueError, match=r"watchlist of feed us"):
        of_sql(url)


@given(st.text(max_size=40))
def test_whatever_the_address_is_nothing_else_is_raised_and_a_password_is_not_shown(text: str) -> None:
    url = f"postgresql://user:canary{text}@host/db"
    if url_fault(url) is None and url_fault(text) is not None:
        assert "canary" not in shown(url)


def test_the_password_of_an_address_is_hidden_wherever_it_appears() -> None:
    url = "postgresql://user:hidden%2Fcanary-1@db.example.org:5432/market?password=second-canary&sslmode=require"
    assert shown(url) == "postgresql://db.example.org:5432/market"
    assert redact("it said hidden/canary-1, hidden%2Fcanary-1 and second-canary") == "it said ***, *** and ***"


def test_a_watchlist_has_one_source(tmp_path: Path) -> None:
    sql = WatchlistSqlSettings(url=Secret("sqlite:///x.db"), query=SELECT)
    for settings in (WatchlistSettings(), WatchlistSettings(file=tmp_path, sql=sql)):
        with pytest.raises(ValueError, match="either file or sql"):
            Watchlist("us", settings)
