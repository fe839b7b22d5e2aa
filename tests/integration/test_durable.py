"""The daemon with a durable sink: through SIGKILL, an outage of the destination, and a reload that changes the sink."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually


@pytest.fixture
async def market() -> AsyncIterator[Simulator]:
    async with Simulator("twelvedata", rate=200) as simulator:
        yield simulator


def config(simulator: Simulator, **sink: Any) -> str:
    ticks = {
        "type": "sqlite",
        "path": "prices.db",
        "durable": True,
        "batch": {"interval": "50ms"},
        "retry": {"delays": ["50ms"]},
        **sink,
    }
    return f"""
feeds:
  us: {{provider: twelvedata, api_key: k, endpoint: '{simulator.url}', symbols: [AAPL, MSFT], market_hours: always}}
sinks: {json.dumps({"ticks": ticks})}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


@contextlib.contextmanager
def away(folder: Path) -> Iterator[None]:
    """The database is locked by somebody else."""
    with contextlib.closing(sqlite3.connect(folder / "prices.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def rows(folder: Path, column: str = "received_at") -> list[float]:
    """When each tick that is there was received, or another column, in the order of the rows."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'prices.db'}?mode=ro", uri=True)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'prices'").fetchone() is None:
            return []
        return [value for (value,) in connection.execute(f"SELECT {column} FROM prices ORDER BY id")]


async def offered(daemon: DaemonProcess) -> int:
    """Prices that were accepted."""
    answer = await daemon.get("/api/v1/stats")
    count: int = answer["updates_received"]
    return count


async def test_ticks_of_an_outage_and_of_a_process_that_was_killed_reach_the_database_in_order(
    market: Simulator, tmp_path: Path
) -> None:
    text = config(market)
    with away(tmp_path):
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually_async(daemon, 400)
            before = await offered(daemon)
            daemon.process.kill()
            await daemon.ended()
        async with DaemonProcess(tmp_path, text) as daemon:
            await daemon.said("wait in its spool from before")
            await eventually_async(daemon, 200)
            assert await daemon.stop() == 0, "what is in the spool is not lost"
    async with DaemonProcess(tmp_path, text) as daemon:
        await eventually(lambda: len(rows(tmp_path)) > before, 10)
        assert await daemon.stop() == 0
    found = rows(tmp_path)
    assert found == sorted(found)
    assert len(found) >= before, "of what the first one had a second at most is missing, and the others came on top"


async def eventually_async(daemon: DaemonProcess, count: int) -> None:
    await daemon.until("/api/v1/stats", lambda answer: answer["updates_received"] >= count, 20)


async def test_a_reload_that_changes_a_durable_sink_loses_nothing(market: Simulator, tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, config(market)) as daemon:
        await eventually_async(daemon, 100)
        daemon.config.write_text(config(market, batch={"interval": "20ms"}))
        token = (daemon.folder / "http-token").read_text().strip()
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.post(f"{daemon.url}/-/reload") as response,
        ):
            assert response.status == 200, await response.text()
        at_least = await offered(daemon) + 200
        await eventually_async(daemon, at_least)
        assert await daemon.stop() == 0
    found = rows(tmp_path, "sequence")
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= at_least
