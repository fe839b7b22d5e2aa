"""What many who ask at once may cost: readers that never read (E4), wrong tokens by the thousand (E5), scrapes (E6)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import statistics
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from pricestreamd.http.access import REQUESTS, REQUESTS_A_SECOND, WRONG_TOKENS, WRONG_TOKENS_A_SECOND
from pricestreamd.http.allowance import Allowance
from pricestreamd.http.sse import MAX_READERS
from pricestreamd.model.secret import Secret
from pricestreamd.simulator.server import Simulator
from tests.support.controlled import bearer, controlled, world
from tests.support.daemon import DaemonProcess
from tests.support.http_serving import serving
from tests.support.small_daemon import SmallDaemon, connection, feed
from tests.support.waiting import eventually

MIB = 1 << 20
READERS = 100
SYMBOLS = 500
# Of each reader a connection, what lies in the socket and a piece on its way there; of all of them together the frames.
MOST_MIB = 40
A_SECOND = 1000
GUESSERS = 8
GUESS_SECONDS = 2
SCRAPES_A_SECOND = 50
SCRAPE_SECONDS = 4.0


def config(url: str, symbols: int = SYMBOLS) -> str:
    names = ", ".join(f"S{number:03}" for number in range(symbols))
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: any-key
    endpoint: {url}
    symbols: [{names}]
    market_hours: always
    max_symbols_per_connection: 500
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


def memory(daemon: DaemonProcess) -> int:
    """Bytes that the daemon has in memory now."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def deaf(daemon: DaemonProcess) -> socket.socket:
    """A reader of the live stream that never reads."""
    assert daemon.url is not None
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", int(daemon.url.rpartition(":")[2])))
    made.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return made


async def updates(daemon: DaemonProcess) -> int:
    return int((await daemon.get("/api/v1/stats"))["updates_received"])


async def test_e4_a_hundred_readers_that_never_read_cost_little_and_hold_up_nobody(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=3000) as simulator:
        async with DaemonProcess(tmp_path, config(simulator.url)) as daemon:
            await daemon.until("/api/v1/prices", lambda prices: len(prices) == SYMBOLS)
            # Histories fill up.
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 9_000, 20)
            before = memory(daemon)
            with contextlib.ExitStack() as stack:
                for _ in range(READERS):
                    stack.enter_context(contextlib.closing(deaf(daemon)))
                reached = await updates(daemon) + 9_000
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > reached, 20)
                grown = memory(daemon) - before
                async with (
                    aiohttp.ClientSession(daemon.url) as client,
                    client.get("/api/v1/events?event=price.update") as reader,
                ):
                    assert await asyncio.wait_for(reader.content.readuntil(b"\n\n"), 5)
                    assert await asyncio.wait_for(reader.content.readuntil(b"\n\n"), 5)
            assert await daemon.stop() == 0
    print(f"{READERS} deaf readers: {grown / MIB:.1f} MiB")
    assert grown < MOST_MIB * MIB


async def test_e4_readers_leave_connections_to_those_who_ask() -> None:
    daemon = SmallDaemon()
    async with serving(daemon) as (server, client), contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_READERS):
            await stack.enter_async_context(client.get("/api/v1/events"))
        async with client.get("/api/v1/events") as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "5"
        async with client.get("/health") as response:
            assert response.status == 200
        assert server.hub.readers == MAX_READERS


async def guess(daemon: DaemonProcess, a_second: float, seconds: float) -> Counter[str]:
    """Wrong tokens over one connection; how often each status came, and `Retry-After` with it."""
    assert daemon.url is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", int(daemon.url.rpartition(":")[2]))
    body = b'{"symbol": "S000", "above": 1}'
    question = (
        b"POST /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    count = int(a_second * seconds)
    begun = time.monotonic()
    told: Counter[str] = Counter()

    async def read() -> None:
        for _ in range(count):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            told[head.split()[1]] += 1
            told["Retry-After"] += "\r\nRetry-After: " in head
            length = re.search(r"Content-Length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))

    reading = asyncio.create_task(read())
    for number in range(count):
        writer.write(question)
        await asyncio.sleep(begun + number / a_second - time.monotonic())
    await asyncio.wait_for(reading, 20)
    writer.close()
    return told


async def test_e5_a_thousand_wrong_tokens_a_second_reach_no_handler_and_a_probe_is_answered(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator.url, symbols=3)) as daemon:
            await daemon.until("/api/v1/prices", lambda prices: len(prices) == 3)
            begun = time.monotonic()
            guessing = asyncio.gather(*(guess(daemon, A_SECOND / GUESSERS, GUESS_SECONDS) for _ in range(GUESSERS)))
            waited = []
            while not guessing.done():
                asked = time.monotonic()
                assert await daemon.get("/readyz") == "ok\n"
                waited.append(time.monotonic() - asked)
                await asyncio.sleep(0.05)
            told = sum(await guessing, Counter())
            seconds = time.monotonic() - begun
            # What the address may ask has to fill up again.
            assert await daemon.until("/api/v1/alerts", lambda answer: "alerts" in answer) == {"alerts": []}
            assert await daemon.stop() == 0
    print(f"{told} in {seconds:.1f} s, a probe in {1000 * statistics.median(waited):.0f} ms")
    assert set(told) == {"401", "429", "Retry-After"}
    assert told["401"] + told["429"] == A_SECOND * GUESS_SECONDS
    assert WRONG_TOKENS <= told["401"] <= WRONG_TOKENS + WRONG_TOKENS_A_SECOND * seconds + 1
    assert told["Retry-After"] == told["429"]
    assert statistics.median(waited) < 0.25


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        # Who stands behind a proxy is not believed to be somebody else.
        ({"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost", "Host": "evil.example"}, 421),
        ({"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "Origin": "https://localhost"}, 403),
    ],
)
async def test_e5_the_wrong_host_page_or_token_reaches_no_handler(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    body = {"symbol": "AAPL", "above": 5}
    async with world(tmp_path) as made, controlled(made, tmp_path) as (_, client):
        async with client.post("/api/v1/alerts", json=body, headers=bearer(tmp_path) | headers) as response:
            assert response.status == status
            assert response.content_type == "application/problem+json"
        assert made.alert_ids() == ["from-yaml"]


async def test_e5_who_asks_too_often_is_told_to_wait_and_a_probe_is_answered_all_the_same() -> None:
    small = Allowance(20, 10.0)
    async with serving(SmallDaemon(), requests=small) as (_, client):
        statuses: Counter[int] = Counter()
        for number in range(40):
            # Another address in a header is no other address.
            header = {"X-Forwarded-For": f"10.0.0.{number}", "Forwarded": f"for=10.0.0.{number}"}
            async with client.get("/api/v1/prices", headers=header) as response:
                statuses[response.status] += 1
                if response.status == 429:
                    assert response.headers["Retry-After"] == "1"
                    assert response.content_type == "application/problem+json"
        assert statuses[200] >= 20
        assert statuses[429] > 5
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            async with client.get(path) as response:
                assert response.status == 200


async def test_e5_health_is_told_to_the_hurried_too_and_is_never_older_than_a_second() -> None:
    daemon = SmallDaemon()
    async with serving(daemon, requests=Allowance(5, 0.001)) as (_, client):

        async def health() -> int:
            async with client.get("/health") as response:
                return response.status

        assert [await health() for _ in range(20)] == [200] * 20
        daemon.feed_reports = {"stocks": feed(connection(state="parked"), state="parked")}
        begun = time.monotonic()
        while await health() == 200:
            assert time.monotonic() - begun < 1.5


async def test_e5_who_has_the_right_token_pays_for_nobody_else_at_its_address() -> None:
    right = {"Authorization": f"Bearer {'t' * 40}"}
    async with serving(SmallDaemon(), auth_token=Secret("t" * 40), requests=Allowance(20, 0.001)) as (server, client):

        async def busy(headers: dict[str, str]) -> Counter[int]:
            return Counter([await status(client, headers) for _ in range(40)])

        assert (await busy({}))[429] >= 20
        # Nor does one program of its owner for another one.
        assert (await busy(right))[429] >= 19
        async with aiohttp.ClientSession(server.url) as another:
            assert await status(another, right) == 200
            assert await status(another, {}) == 429


async def status(client: aiohttp.ClientSession, headers: dict[str, str]) -> int:
    async with client.get("/api/v1/prices", headers=headers) as response:
        return response.status


def test_e5_what_people_use_is_well_within_what_they_may() -> None:
    # A page with its files, twenty of them opened at once, and a script that asks for each of five hundred symbols.
    assert REQUESTS > 20 * 20 + 500
    # A hundred pages that ask once a second, twenty of `top`, and the scrapes of this row.
    assert REQUESTS_A_SECOND > 100 + 20 + SCRAPES_A_SECOND


@pytest.mark.alone
async def test_e6_fifty_scrapes_a_second_are_rendered_once_a_second_and_the_loop_turns(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=1000) as simulator:
        async with DaemonProcess(tmp_path, config(simulator.url)) as daemon:
            await daemon.until("/api/v1/prices", lambda prices: len(prices) == SYMBOLS)
            calm, _ = await scraped(daemon, a_second=4)
            busy, bodies = await scraped(daemon, a_second=SCRAPES_A_SECOND)
            assert await daemon.stop() == 0
    print(f"lag ms calm {ms(calm)}, busy {ms(busy)}, {len(bodies)} renderings")
    assert len(bodies) <= SCRAPE_SECONDS + 2
    # The middle is the loop's own; the worst may be the machine's.
    assert statistics.median(busy) < 0.020
    assert statistics.median(busy) < statistics.median(calm) + 0.005


def ms(lags: list[float]) -> str:
    return f"median {1000 * statistics.median(lags):.1f} worst {1000 * max(lags):.1f}"


async def scraped(daemon: DaemonProcess, *, a_second: int) -> tuple[list[float], set[bytes]]:
    """Scrape for a while; the lags of the loop that `/livez` tells meanwhile, and the different answers."""
    lags: list[float] = []
    bodies: set[bytes] = set()
    async with aiohttp.ClientSession(daemon.url) as client:
        begun = time.monotonic()
        for number in range(int(SCRAPE_SECONDS * a_second)):
            async with client.get("/metrics") as response:
                assert response.status == 200
                bodies.add(await response.read())
            if number % max(1, a_second // 8) == 0:
                async with client.get("/livez?verbose") as response:
                    found = re.search(r"last lag ([0-9.]+) ms", await response.text())
                    assert found is not None
                    lags.append(float(found[1]) / 1000)
            await asyncio.sleep(max(0.0, begun + number / a_second - time.monotonic()))
    return lags, bodies


async def test_e1_the_limit_on_connections_does_not_wait_for_them_to_end(tmp_path: Path) -> None:
    """A place that is given up is free at once."""
    async with serving(SmallDaemon(), max_connections=5) as (server, client):
        for _ in range(3):
            writers = [(await asyncio.open_connection(*address(server.address)))[1] for _ in range(20)]
            async with client.get("/livez") as response:
                assert response.status == 200
            assert len(server.room) <= 5
            for writer in writers:
                writer.transport.abort()
            await eventually(lambda: len(server.room) <= 1)


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
