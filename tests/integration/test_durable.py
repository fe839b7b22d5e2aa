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
from pricestreamd.state.spool_folders import count_waiting
from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually


@pytest.fixture
async def market() -> AsyncIterator[Simulator]:
    async with Simulator("twelvedata", rate=400) as simulator:
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
    """There can be no database yet: something else has its name."""
    (folder / "prices.db").mkdir()
    yield
    (folder / "prices.db").rmdir()


def rows(folder: Path, column: str = "received_at") -> list[float]:
    """When each tick that is there was received, or another column, in the order of the rows."""
    if not (folder / "prices.db").is_file():
        return []
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


async def reload(daemon: DaemonProcess, text: str) -> None:
    """Have it read `text`."""
    daemon.config.write_text(text)
    await ask(daemon, "POST", "/-/reload")


async def ask(daemon: DaemonProcess, method: str, path: str) -> Any:
    """The answer to a change that has the token."""
    token = (daemon.folder / "http-token").read_text().strip()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.request(method, f"{daemon.url}{path}") as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


async def some_more(daemon: DaemonProcess, count: int = 100) -> int:
    """Wait until so many more prices have come; all of them."""
    at_least = await offered(daemon) + count
    await eventually_async(daemon, at_least)
    return at_least


async def unclaimed(daemon: DaemonProcess) -> dict[str, int]:
    """Sinks that are none any more, and how much waits in their spools."""
    reports = (await daemon.get("/api/v1/sinks"))["sinks"]
    return {one["sink"]: one["queued"] for one in reports if one["state"] == "unclaimed"}


CHANGES = [
    pytest.param({"durable": True}, {"durable": True, "batch": {"interval": "20ms"}}, id="durable, then otherwise"),
    pytest.param({"durable": True}, {"durable": False}, id="durable, then not"),
    pytest.param({"durable": False}, {"durable": True}, id="not durable, then durable"),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_a_reload_that_changes_a_sink_loses_nothing_and_keeps_the_order(
    before: dict[str, Any], after: dict[str, Any], market: Simulator, tmp_path: Path
) -> None:
    async with DaemonProcess(tmp_path, config(market, **before)) as daemon:
        await some_more(daemon)
        await reload(daemon, config(market, **after))
        await some_more(daemon)
        await reload(daemon, config(market, **before))
        at_least = await some_more(daemon)
        assert await daemon.stop() == 0
    found = rows(tmp_path, "sequence")
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= at_least


async def test_a_reload_that_renames_a_durable_sink_loses_nothing_and_leaves_nothing(
    market: Simulator, tmp_path: Path
) -> None:
    async with DaemonProcess(tmp_path, config(market)) as daemon:
        await some_more(daemon)
        await reload(daemon, config(market).replace('"ticks"', '"rows"'))
        at_least = await some_more(daemon)
        await daemon.said("sink ticks, as it was before the reload")
        assert await daemon.stop() == 0
    assert [count_waiting(tmp_path / "state.db", sink) for sink in ("ticks", "rows")] == [(0, [])] * 2
    # Two sinks, one database: each keeps its own order.
    found = rows(tmp_path, "sequence")
    assert sorted(found) == list(range(1, len(found) + 1))
    assert len(found) >= at_least


async def test_a_reload_while_the_database_is_away_leaves_what_waits_to_the_next_one_in_its_order(
    market: Simulator, tmp_path: Path
) -> None:
    with away(tmp_path):
        async with DaemonProcess(tmp_path, config(market)) as daemon:
            await some_more(daemon)
            await reload(daemon, config(market, batch={"interval": "20ms"}))
            # The old one has its time, and what comes meanwhile waits for the new one.
            await daemon.said("wait in its spool from before")
            at_least = await some_more(daemon)
            assert await daemon.stop() == 0
    async with DaemonProcess(tmp_path, config(market)) as daemon:
        await eventually(lambda: len(rows(tmp_path)) >= at_least, 10)
        assert await daemon.stop() == 0
    found = rows(tmp_path, "sequence")
    # The second process counts from 1 again.
    first = found[: found.index(1, 1) if 1 in found[1:] else None]
    assert first == list(range(1, len(first) + 1))
    assert len(first) >= at_least


async def test_what_waits_for_a_sink_that_is_not_durable_any_more_is_told_of_and_goes_when_it_is_again(
    market: Simulator, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        outage = stack.enter_context(contextlib.ExitStack())
        outage.enter_context(away(tmp_path))
        daemon = await stack.enter_async_context(DaemonProcess(tmp_path, config(market)))
        await some_more(daemon)
        await reload(daemon, config(market, durable=False))
        await daemon.said("wait in the spool of sink ticks", 15)
        assert (await unclaimed(daemon))["ticks"] >= 100
        outage.close()
        await eventually(lambda: rows(tmp_path))
        await reload(daemon, config(market))
        assert await unclaimed(daemon) == {}
        at_least = await some_more(daemon)
        await eventually(lambda: 1 in rows(tmp_path, "sequence"))
        assert await daemon.stop() == 0
    found = rows(tmp_path, "sequence")
    assert sorted(found) == list(range(1, len(found) + 1))
    assert len(found) >= at_least


async def test_what_waits_for_a_sink_of_another_name_is_told_of_at_the_start_and_can_be_dropped(
    market: Simulator, tmp_path: Path
) -> None:
    renamed = config(market).replace('"ticks"', '"rows"').replace("prices.db", "other.db")
    with away(tmp_path):
        async with DaemonProcess(tmp_path, config(market)) as daemon:
            await some_more(daemon)
            assert await daemon.stop() == 0
    async with DaemonProcess(tmp_path, renamed) as daemon:
        await daemon.said("pricestreamd outbox drop --sink ticks")
        waiting = await unclaimed(daemon)
        assert waiting == {"ticks": count_waiting(tmp_path / "state.db", "ticks")[0]}
        assert waiting["ticks"] >= 100
        answer = await ask(daemon, "DELETE", "/api/v1/outbox?sink=ticks")
        assert answer["dropped"] == waiting
        assert await unclaimed(daemon) == {}
        assert await daemon.stop() == 0
    assert count_waiting(tmp_path / "state.db", "ticks") == (0, [])
