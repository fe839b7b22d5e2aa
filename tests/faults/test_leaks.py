"""What a daemon must not lose hold of: memory and descriptors over many connections (P6), and its last ones (P7)."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import statistics
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pricestreamd.http.sse import MAX_READERS
from pricestreamd.simulator.server import Simulator
from tests.soak.daemon import RestlessDaemon, Sample, table
from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually

RECONNECTS = 1000
ROUNDS = 6
# Nothing that the collector knows is kept of a connection, and nothing large; of the small things only what is
# remembered for a minute: times, so that nobody is dialled too often.
MOST_OBJECTS = RECONNECTS / 2
MOST_LARGE_MEGABYTES = 0.5
MOST_BLOCKS = 12 * RECONNECTS
# What the allocators need for all that, in steps.
MOST_MEGABYTES = 4.0

# A shell's usual limit, an eighth of what the unit sets.
FILES = 1024
CLIENTS = 3000


async def test_p6_a_thousand_reconnects_leave_no_descriptor_no_task_and_no_memory_behind(tmp_path: Path) -> None:
    async with RestlessDaemon(tmp_path) as restless:
        # Histories, windows and pools fill up first.
        for _ in range(2):
            await restless.round(150)
        begin = await restless.round(10)
        for _ in range(ROUNDS):
            await restless.round((RECONNECTS + ROUNDS - 1) // ROUNDS)
        end = await restless.round(10)
        alerts = (await restless.daemon.get("/api/v1/stats"))["alerts_triggered"]
        assert await restless.daemon.stop() == 0
    told = table(restless.samples)
    print(told)
    assert end.reconnects - begin.reconnects >= RECONNECTS
    assert alerts > RECONNECTS
    measured = restless.samples[2:]
    assert {each.descriptors for each in measured} == {begin.descriptors}, told
    strange = [Counter(each.tasks) - Counter(begin.tasks) for each in measured]
    assert all(each.tasks == begin.tasks for each in measured), f"{told}\n{strange}"
    assert {each.threads for each in measured} == {begin.threads}, told
    first, last = measured[:3], measured[-3:]
    assert growth(first, last, "objects") < MOST_OBJECTS, told
    assert growth(first, last, "large") < MOST_LARGE_MEGABYTES, told
    assert growth(first, last, "blocks") < MOST_BLOCKS, told
    assert growth(first, last, "rss") < MOST_MEGABYTES, told


def growth(first: Sequence[Sample], last: Sequence[Sample], name: str) -> float:
    """Of the middle one of each: what is under way when one looks differs by some hundred objects."""
    before, after = (statistics.median(getattr(each, name) for each in some) for some in (first, last))
    return float(after - before)


async def test_p7_where_clients_take_all_they_can_get_feeds_still_connect_and_files_still_open(tmp_path: Path) -> None:
    watchlist = sqlite3.connect(tmp_path / "watchlist.db", isolation_level=None)
    watchlist.execute("CREATE TABLE watchlist (symbol TEXT)")
    watchlist.execute("INSERT INTO watchlist VALUES ('NVDA')")
    async with Simulator("twelvedata", rate=200) as simulator:
        async with DaemonProcess(tmp_path, crowded_config(simulator.url), KEY="any-key") as daemon:
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
            await daemon.until("/api/v1/prices", lambda prices: len(prices) == 3)
            before = descriptors(daemon)
            async with Crowd(daemon, CLIENTS) as crowd:
                assert crowd.held == MAX_READERS
                assert crowd.held + crowd.refused == CLIENTS
                # The feeds have to connect again; the watchlist is a database that is opened for each reading, its
                # new symbols need a connection of their own, and the state keeps them.
                connects = simulator.connects
                for connection in list(simulator.connections):
                    await simulator.drop(connection)
                await eventually(lambda: simulator.connects >= connects + 2)
                watchlist.execute("INSERT INTO watchlist VALUES ('TSLA'), ('GOOGL')")
                await eventually(lambda: len(simulator.connections) == 3)
                await eventually(lambda: kept(tmp_path) == {"NVDA", "TSLA", "GOOGL"})
                # They were there all the time, and kept coming.
                await crowd.press(500)
                assert crowd.held == MAX_READERS
            await eventually(lambda: descriptors(daemon) < before + 20)
            assert await daemon.get("/readyz") == "ok\n"
            assert set(await daemon.get("/api/v1/prices")) == {"AAPL", "MSFT", "NVDA", "TSLA", "GOOGL"}
            assert await daemon.stop() == 0
    watchlist.close()
    assert not [line for line in daemon.log if "oo many open files" in line or "Errno 24" in line]


def crowded_config(url: str) -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {url}
    symbols: [AAPL, MSFT]
    max_symbols_per_connection: 2
    max_connections: 5
    watchlist: {{sql: {{url: "sqlite:///watchlist.db", query: "SELECT symbol FROM watchlist"}}, refresh: 1s}}
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


def kept(folder: Path) -> set[str]:
    """The watchlist in the state."""
    with closing(sqlite3.connect(f"file:{folder / 'state.db'}?mode=ro", uri=True)) as connection:
        return {
            symbol
            for (symbols,) in connection.execute("SELECT symbols FROM watchlists")
            for symbol in json.loads(symbols)
        }


def descriptors(daemon: DaemonProcess) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


class Crowd:
    """Clients that ask for the live stream and stay, as many as there is room for; the others are told so."""

    def __init__(self, daemon: DaemonProcess, clients: int) -> None:
        assert daemon.url is not None
        host, _, port = daemon.url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        self._clients = clients
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.refused = 0
        self._entered = 0

    async def __aenter__(self) -> Crowd:
        await self.press(self._clients)
        return self

    async def press(self, clients: int) -> None:
        """So many at the door, a hundred at a time."""
        for _ in range(0, clients, 100):
            await asyncio.gather(*(self._enter() for _ in range(100)))

    async def _enter(self) -> None:
        # From many addresses: one alone may not ask so often.
        self._entered += 1
        origin = f"127.0.0.{2 + self._entered % 8}"
        reader, writer = await asyncio.open_connection(*self._address, local_addr=(origin, 0))
        writer.write(b"GET /api/v1/events?event=price.alert HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            status = await reader.readline()
        except ConnectionResetError:  # another took its place before it was asked
            status = b""
        if b" 200 " in status:
            self._open.append((reader, writer))
            return
        assert not status or b" 503 " in status
        self.refused += 1
        writer.close()

    @property
    def held(self) -> int:
        """How many are inside."""
        return sum(not reader.at_eof() for reader, _ in self._open)

    async def __aexit__(self, *exc_info: object) -> None:
        for _, writer in self._open:
            writer.close()
