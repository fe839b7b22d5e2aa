"""Watchlists in PostgreSQL: a real server that answers, refuses, freezes, dies and comes back."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from pricestreamd.feeds.settings import WatchlistSettings, WatchlistSqlSettings
from pricestreamd.feeds.watchlists.symbol_list import WatchlistError
from pricestreamd.feeds.watchlists.watchlist import Watchlist
from pricestreamd.model.secret import Secret
from tests.support.postgres import PASSWORD, PostgresServer, running
from tests.support.waiting import eventually

SELECT = "SELECT symbol FROM watchlist ORDER BY symbol"


@pytest.fixture(scope="module")
def one_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def server(one_server: PostgresServer) -> PostgresServer:
    """With AAPL and MSFT in its watchlist."""
    one_server.execute(
        "DROP TABLE IF EXISTS watchlist; CREATE TABLE watchlist (symbol varchar(20)); "
        "INSERT INTO watchlist VALUES ('MSFT'), ('AAPL'), (NULL), ('')"
    )
    return one_server


def watchlist(url: str, query: str = SELECT, timeout: float = 10.0) -> Watchlist:
    settings = WatchlistSettings(sql=WatchlistSqlSettings(url=Secret(url), query=query))
    return Watchlist("us", settings, timeout=timeout)


async def read(url: str, query: str = SELECT, timeout: float = 10.0) -> tuple[str, ...]:
    """One reading. Nothing of it may stay behind."""
    before = asyncio.all_tasks()
    source = watchlist(url, query, timeout)
    try:
        return await source.read()
    finally:
        source.close()
        assert asyncio.all_tasks() == before


async def failure(url: str, query: str = SELECT, timeout: float = 10.0) -> str:
    with pytest.raises(WatchlistError) as failed:
        await read(url, query, timeout)
    assert PASSWORD not in str(failed.value)
    return str(failed.value).removeprefix(f"postgresql://{url.rpartition('@')[2].partition('?')[0]}: ")


async def test_the_first_column_of_a_query_is_the_list(server: PostgresServer) -> None:
    assert await read(server.url) == ("AAPL", "MSFT")
    server.execute("INSERT INTO watchlist VALUES ('BTC/USD')")
    assert await read(server.url, f"{SELECT};") == ("AAPL", "BTC/USD", "MSFT")
    server.execute("DELETE FROM watchlist")
    assert await read(server.url) == ()


@pytest.mark.parametrize("value", ["'AAPL'::text", "'AAPL'::varchar(9)", "'AAPL'::char(9)", "'AAPL'::name"])
async def test_every_kind_of_text_is_text(server: PostgresServer, value: str) -> None:
    assert await read(server.url, f"SELECT {value}, 5") == ("AAPL",)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT symbol FROM nosuch", 'relation "nosuch" does not exist'),
        ("SELEKT 1", 'syntax error at or near "SELEKT"'),
        ("SELECT 600519", "row 1: expected text, got int: CAST the first column AS TEXT"),
        ("SELECT ARRAY['AAPL']", "row 1: expected text, got list: CAST the first column AS TEXT"),
        ("SELECT 'A'; SELECT 'B'", "cannot insert multiple commands into a prepared statement"),
        ("DELETE FROM watchlist RETURNING symbol", "cannot execute DELETE in a read-only transaction"),
        (
            "WITH gone AS (DELETE FROM watchlist RETURNING symbol) SELECT symbol FROM gone",
            "cannot execute SELECT in a read-only transaction",
        ),
        ("DROP TABLE watchlist", "the query gives no rows: write a SELECT"),
        ("COMMIT", "the query gives no rows: write a SELECT"),
        ("SELECT", "the query gives no rows: write a SELECT"),
        ("", "the query gives no rows: write a SELECT"),
        ("SELECT 'S' || n FROM generate_series(1, 50000) n", "more than 10,000 rows: SELECT DISTINCT, or fewer"),
    ],
)
async def test_a_query_that_gives_no_list_is_a_failure_and_changes_nothing(
    server: PostgresServer, query: str, told: str
) -> None:
    assert await failure(server.url, query) == told
    assert server.execute("SELECT count(*) FROM watchlist") == "4"
    assert server.sessions() == 0


async def test_as_many_symbols_as_are_allowed_are_read(server: PostgresServer) -> None:
    symbols = await read(server.url, "SELECT 'S' || n FROM generate_series(1, 10000) n")
    assert symbols == tuple(f"S{n}" for n in range(1, 10_001))


async def test_a_refused_password_and_a_database_that_is_not_there_are_told_without_it(server: PostgresServer) -> None:
    assert await failure(server.url.replace("pg-canary", "pg-other")) == (
        'password authentication failed for user "daemon"'
    )
    assert await failure(server.url.replace("/postgres", "/nosuch")) == 'database "nosuch" does not exist'


async def test_a_query_that_takes_too_long_is_given_up_on_both_sides(server: PostgresServer) -> None:
    began = time.monotonic()
    assert await failure(server.url, "SELECT pg_sleep(60)::text", timeout=0.5) == "no answer within 0.5 s"
    assert time.monotonic() - began < 2
    await eventually(lambda: server.sessions() == 0)


async def test_a_frozen_server_is_given_up_in_time_and_read_again_when_it_thaws(server: PostgresServer) -> None:
    server.freeze()
    try:
        for _ in range(2):
            began = time.monotonic()
            assert await failure(server.url, timeout=0.5) == "no answer within 0.5 s"
            assert time.monotonic() - began < 2
    finally:
        server.thaw()
    assert await read(server.url) == ("AAPL", "MSFT")


async def test_a_server_that_freezes_in_the_middle_of_a_query_is_given_up_in_time(server: PostgresServer) -> None:
    source = watchlist(server.url, "SELECT 'A' FROM (SELECT pg_sleep(1)) s", timeout=1.5)
    reading = asyncio.create_task(source.read())
    await asyncio.to_thread(_until_asked, server)
    server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(WatchlistError, match=r"no answer within 1\.5 s"):
            await reading
        assert time.monotonic() - began < 3
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        server.thaw()
    source.close()
    assert await read(server.url) == ("AAPL", "MSFT")


async def test_a_server_that_dies_in_the_middle_of_a_query_is_a_failure(server: PostgresServer) -> None:
    source = watchlist(server.url, "SELECT pg_sleep(60)::text")
    reading = asyncio.create_task(source.read())
    await asyncio.to_thread(_until_asked, server)
    await asyncio.to_thread(server.kill)
    try:
        with pytest.raises(WatchlistError) as failed:
            await reading
        assert "no answer" not in str(failed.value)
        assert await failure(server.url) == "Connection refused"
    finally:
        await asyncio.to_thread(server.start)
    source.close()
    assert await read(server.url) == ("AAPL", "MSFT")


async def test_a_reading_that_is_cancelled_leaves_nothing_behind(server: PostgresServer) -> None:
    source = watchlist(server.url, "SELECT pg_sleep(60)::text", timeout=2.0)
    reading = asyncio.create_task(source.read())
    await asyncio.to_thread(_until_asked, server)
    server.freeze()
    try:
        reading.cancel()
        began = time.monotonic()
        await asyncio.wait([reading])
        assert reading.cancelled()
        assert time.monotonic() - began < 1
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        server.thaw()
    source.close()
    # The server does not look whether somebody still listens, but it was told how long the query may take.
    await eventually(lambda: server.sessions() == 0, 10)


def _until_asked(server: PostgresServer) -> None:
    """Return when the server is busy with a query of ours."""
    while (
        server.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active'") < "2"
    ):
        time.sleep(0.02)


async def test_every_postgresql_of_this_machine_does() -> None:
    """That of the wheel and that of the machine: a test that cannot have the one takes the other."""
    for folder in running():
        with PostgresServer(folder) as server:
            server.execute("CREATE TABLE watchlist (symbol text); INSERT INTO watchlist VALUES ('AAPL')")
            assert await read(server.url) == ("AAPL",), folder
