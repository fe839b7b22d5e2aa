"""Watchlists in the daemon as a process: followed on the open connection, and kept whatever happens to their source."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.waiting import eventually

FILE = "{file: symbols.txt, refresh: 1s}"
SQLITE = "{sql: {url: 'sqlite:///w.db', query: 'SELECT symbol FROM watchlist'}, refresh: 1s}"
POSTGRES = "{sql: {url: '${DATABASE}', query: 'SELECT symbol FROM watchlist ORDER BY 1'}, refresh: 1s}"


def config(simulator: Simulator, watchlist: str, symbols: str = "AAPL", more: str = "") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {simulator.url}
    symbols: [{symbols}]
    watchlist: {watchlist}
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""


async def subscribed(simulator: Simulator, *symbols: str, timeout: float = 10) -> None:
    """Return when the provider streams these symbols and no others."""
    await eventually(
        lambda: set(simulator.subscribed) == set(symbols), timeout, f"{simulator.subscribed} and not {symbols}"
    )


def troubles(daemon: DaemonProcess, word: str) -> list[dict[str, Any]]:
    return [record for record in daemon.records if record.get("error.code") == word]


@pytest.fixture(scope="module")
def one_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def server(one_server: PostgresServer) -> PostgresServer:
    """With TSLA in its watchlist."""
    one_server.execute(
        "DROP TABLE IF EXISTS watchlist; CREATE TABLE watchlist (symbol text); INSERT INTO watchlist VALUES ('TSLA')"
    )
    return one_server


async def test_an_edited_file_is_followed_on_the_open_connection(tmp_path: Path) -> None:
    path = tmp_path / "symbols.txt"
    path.write_text("TSLA\nAMZN\n")
    alert = "alerts: [{symbol: MSFT, above: 1, once: true}]"
    async with Simulator("twelvedata", rate=200) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, FILE, more=alert), KEY="any-key") as daemon:
            await subscribed(simulator, "AAPL", "TSLA", "AMZN")
            await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "TSLA", "AMZN"})
            before = time.time()
            path.write_text("TSLA\nMSFT\naapl\n")
            await subscribed(simulator, "AAPL", "TSLA", "MSFT")
            # Prices of what is new, nothing of what is gone, and an alert that was waiting for its symbol.
            await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "TSLA", "MSFT"})
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 1)
            symbols = (await daemon.get("/api/v1/symbols"))["symbols"]
            assert {row["symbol"]: (row["source"], row["state"]) for row in symbols} == {
                "AAPL": ("yaml", "subscribed"),
                "TSLA": ("watchlist", "subscribed"),
                "MSFT": ("watchlist", "subscribed"),
            }
            scrape = await daemon.until("/metrics", lambda text: _last_success(text) > before, timeout=10)
            assert 'pricestream_symbols_wanted{feed="us"} 3.0' in scrape
            assert await daemon.stop() == 0
        assert simulator.connects == 1
    assert troubles(daemon, "watchlist") == []


def _last_success(scrape: str) -> float:
    (line,) = [line for line in scrape.splitlines() if line.startswith("pricestream_watchlist_last_success")]
    assert line.startswith('pricestream_watchlist_last_success_timestamp_seconds{feed="us"} ')
    return float(line.split()[1])


async def test_a_file_that_vanishes_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "symbols.txt"
    path.write_text("TSLA\n")
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, FILE), KEY="any-key") as daemon:
            await subscribed(simulator, "AAPL", "TSLA")
            path.unlink()
            await daemon.said(f"{path}: No such file or directory; its last list of 1 symbol stays")
            assert set(simulator.subscribed) == {"AAPL", "TSLA"}
            assert (await daemon.get("/health"))["status"] == "healthy"
            path.write_text("MSFT\n")
            await subscribed(simulator, "AAPL", "MSFT")
            await daemon.said("watchlist read again after")
            assert await daemon.stop() == 0
        assert simulator.connects == 1
    (trouble,) = troubles(daemon, "watchlist")  # however often it failed
    assert (trouble["severity"], trouble["feed"], trouble["fatal"]) == ("warning", "us", False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_last_list_outlives_the_process_while_the_database_is_away(
    tmp_path: Path, number: signal.Signals
) -> None:
    database = tmp_path / "w.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE watchlist (symbol)")
        connection.execute("INSERT INTO watchlist VALUES ('TSLA'), ('MSFT')")
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, SQLITE), KEY="any-key") as daemon:
            await subscribed(simulator, "AAPL", "TSLA", "MSFT")
            await eventually(lambda: _saved(tmp_path) == {"us": ["TSLA", "MSFT"]})
            await daemon.stop(number)
        database.rename(tmp_path / "away.db")
        async with DaemonProcess(tmp_path, config(simulator, SQLITE), KEY="any-key") as daemon:
            await subscribed(simulator, "AAPL", "TSLA", "MSFT")
            await daemon.said("its last list of 2 symbols stays")
            await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "TSLA", "MSFT"})
            assert _last_success(await daemon.get("/metrics")) == 0
            (tmp_path / "away.db").rename(database)
            await daemon.said("watchlist read again after")
            assert await daemon.stop() == 0


def _saved(folder: Path) -> dict[str, list[str]]:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder}/state.db?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT feed, symbols FROM watchlists").fetchall()
    except sqlite3.OperationalError:
        return {}
    return {feed: json.loads(symbols) for feed, symbols in rows}


# --- PostgreSQL


async def test_a_database_that_stops_freezes_and_comes_back_is_followed_and_never_missed(
    tmp_path: Path, server: PostgresServer
) -> None:
    async with Simulator("twelvedata", rate=100) as simulator:
        text = config(simulator, POSTGRES)
        async with DaemonProcess(tmp_path, text, KEY="any-key", DATABASE=server.url) as daemon:
            await subscribed(simulator, "AAPL", "TSLA")
            server.execute("INSERT INTO watchlist VALUES ('MSFT')")
            await subscribed(simulator, "AAPL", "TSLA", "MSFT")
            await asyncio.to_thread(server.stop)
            await daemon.said("Connection refused; its last list of 2 symbols stays")
            assert set(simulator.subscribed) == {"AAPL", "TSLA", "MSFT"}
            await asyncio.to_thread(server.start)
            await daemon.said("watchlist read again after")
            server.execute("DELETE FROM watchlist WHERE symbol = 'TSLA'")
            await subscribed(simulator, "AAPL", "MSFT")
            server.freeze()
            try:
                # The reading that is now due hangs: prices go on all the while, and a stop is not held up.
                before = (await daemon.get("/api/v1/stats"))["updates_received"]
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > before + 200)
                assert (await daemon.get("/health"))["status"] == "healthy"
                assert set(simulator.subscribed) == {"AAPL", "MSFT"}
                began = time.monotonic()
                assert await daemon.stop() == 0
                assert time.monotonic() - began < 5
            finally:
                server.thaw()
        assert simulator.connects == 1
    _no_password(daemon)


@pytest.mark.parametrize("away", ["stopped", "frozen"])
async def test_a_restart_while_the_database_is_away_keeps_the_list(
    tmp_path: Path, server: PostgresServer, away: str
) -> None:
    async with Simulator("twelvedata", rate=100) as simulator:
        text = config(simulator, POSTGRES)
        async with DaemonProcess(tmp_path, text, KEY="any-key", DATABASE=server.url) as daemon:
            await subscribed(simulator, "AAPL", "TSLA")
            await eventually(lambda: _saved(tmp_path) == {"us": ["TSLA"]})
            assert await daemon.stop() == 0
        await asyncio.to_thread(server.stop if away == "stopped" else server.freeze)
        try:
            async with DaemonProcess(tmp_path, text, KEY="any-key", DATABASE=server.url) as daemon:
                await subscribed(simulator, "AAPL", "TSLA")
                await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "TSLA"})
                await asyncio.to_thread(server.start if away == "stopped" else server.thaw)
                server.execute("INSERT INTO watchlist VALUES ('AMZN')")
                await subscribed(simulator, "AAPL", "AMZN", "TSLA", timeout=20)
                assert await daemon.stop() == 0
        finally:
            if away == "frozen":
                server.thaw()
    _no_password(daemon)


def _no_password(daemon: DaemonProcess) -> None:
    for line in [*daemon.log, *daemon.out]:
        assert PASSWORD not in line
        assert "pg-canary" not in line
        assert "Traceback" not in line


# --- reload


async def test_a_reload_changes_removes_and_brings_watchlists_on_the_open_connection(tmp_path: Path) -> None:
    (tmp_path / "symbols.txt").write_text("TSLA\n")
    (tmp_path / "other.txt").write_text("AMZN\n")
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, FILE), KEY="any-key") as daemon:

            async def reload(watchlist: str, symbols: str = "AAPL") -> None:
                daemon.config.write_text(config(simulator, watchlist, symbols))
                daemon.send(signal.SIGHUP)

            await subscribed(simulator, "AAPL", "TSLA")
            await reload("{file: other.txt, refresh: 1h}")
            await subscribed(simulator, "AAPL", "AMZN")
            await reload("null", symbols="AAPL, MSFT")
            await subscribed(simulator, "AAPL", "MSFT")
            prices = await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "MSFT"})
            assert prices
            assert "watchlist_last_success" not in _samples(await daemon.get("/metrics"))
            await reload("{file: symbols.txt, refresh: 1h}", symbols="AAPL, MSFT")
            await subscribed(simulator, "AAPL", "MSFT", "TSLA")
            # Broken: all stays as it is.
            await reload("{file: symbols.txt, sql: {url: 'sqlite:///w.db', query: q}}")
            await daemon.said("there is sql already; keep one of the two")
            assert set(simulator.subscribed) == {"AAPL", "MSFT", "TSLA"}
            assert await daemon.stop() == 0
        assert simulator.connects == 1


def _samples(scrape: str) -> str:
    return "\n".join(line for line in scrape.splitlines() if not line.startswith("#"))


# --- state


async def test_L11_a_state_of_a_newer_version_ends_the_start_with_78(tmp_path: Path) -> None:
    (tmp_path / "symbols.txt").write_text("TSLA\n")
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    async with Simulator("twelvedata") as simulator:
        async with DaemonProcess(tmp_path, config(simulator, FILE), ready=False, KEY="any-key") as daemon:
            assert await daemon.ended() == 78
        assert simulator.connects == 0
    told = "".join(daemon.log)
    assert f"{daemon.config}: state.path: {tmp_path}/state.db is made by a newer pricestreamd (schema 99;" in told
    assert "Traceback" not in told


async def test_S9_a_damaged_state_is_put_aside_and_the_daemon_streams(tmp_path: Path) -> None:
    (tmp_path / "symbols.txt").write_text("TSLA\n")
    (tmp_path / "state.db").write_bytes(b"\x13" * 50_000)
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, FILE), KEY="any-key") as daemon:
            await subscribed(simulator, "AAPL", "TSLA")
            await eventually(lambda: _saved(tmp_path) == {"us": ["TSLA"]})
            assert await daemon.stop() == 0
    (aside,) = tmp_path.glob("state.db.corrupt-*")
    assert aside.read_bytes() == b"\x13" * 50_000
    (trouble,) = troubles(daemon, "state")
    assert trouble["severity"] == "critical"
    assert aside.name in trouble["message"]


async def test_a_state_directory_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "symbols.txt").write_text("TSLA\n")
    (tmp_path / "file").write_text("")
    async with Simulator("twelvedata", rate=100) as simulator:
        text = config(simulator, FILE, more="state: {path: file/state.db}")
        async with DaemonProcess(tmp_path, text, KEY="any-key") as daemon:
            await subscribed(simulator, "AAPL", "TSLA")
            await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "TSLA"})
            assert (await daemon.get("/health"))["status"] == "healthy"
            assert await daemon.stop() == 0
    assert len(troubles(daemon, "state")) == 1
