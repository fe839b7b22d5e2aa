"""The live stream over real sockets: order, filters, slow readers, many readers, and its end."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Self

import aiohttp
import pytest

from pricestreamd.http.app import HttpServer
from pricestreamd.http.broadcast import QUEUE_SIZE, EventHub
from pricestreamd.http.settings import HttpSettings
from pricestreamd.http.sse import HUB
from pricestreamd.model.events import PriceUpdate
from pricestreamd.model.secret import register
from tests.support.http_serving import EventReader, ServerSentEvent, parse_frame, serving
from tests.support.small_daemon import SmallDaemon
from tests.support.waiting import eventually

Served = tuple[HttpServer, aiohttp.ClientSession]


@pytest.fixture
def daemon() -> SmallDaemon:
    return SmallDaemon()


@pytest.fixture
async def served(daemon: SmallDaemon) -> AsyncIterator[Served]:
    async with serving(daemon) as both:
        yield both


@contextlib.asynccontextmanager
async def reading(served: Served, query: str = "") -> AsyncIterator[EventReader]:
    # Once its headers are here, the reader has joined.
    async with served[1].get(f"/api/v1/events{query}") as response:
        yield EventReader(response)


async def test_every_event_arrives_once_and_in_order_as_it_was_dispatched(daemon: SmallDaemon, served: Served) -> None:
    heard: list[PriceUpdate] = []
    daemon.dispatcher.on("*", heard.append)
    async with reading(served) as reader:
        for index in range(300):
            daemon.publish(("AAPL", "MSFT", "BTC/USD")[index % 3], 100.0 + index)
            if index % 10 == 0:
                daemon.alert("AAPL", f"AAPL crossed {index}")
            if index % 50 == 0:
                await asyncio.sleep(0)
        frames = await reader.take(len(heard))
    assert [frame.id for frame in frames] == [event.id for event in heard]
    assert [frame.event for frame in frames] == [event.event for event in heard]
    assert [frame.data for frame in frames] == [event.to_dict() for event in heard]
    assert frames[0].data["event"] == "price.update"
    assert frames[0].data["id"] == "test-1"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["price.update AAPL", "price.update MSFT", "price.alert MSFT", "price.error None", "feed.disconnected"]),
        (
            "?event=*",
            ["price.update AAPL", "price.update MSFT", "price.alert MSFT", "price.error None", "feed.disconnected"],
        ),
        ("?event=price.alert", ["price.alert MSFT"]),
        ("?event=price.*", ["price.update AAPL", "price.update MSFT", "price.alert MSFT", "price.error None"]),
        ("?event=price.alert,feed.*", ["price.alert MSFT", "feed.disconnected"]),
        ("?event=price.alert&event=feed.disconnected", ["price.alert MSFT", "feed.disconnected"]),
        ("?event=price.a*,*.disc*", ["price.alert MSFT", "feed.disconnected"]),
        ("?event=price.update&symbol=msft", ["price.update MSFT"]),
        ("?event=price.update&symbol=M*,aapl", ["price.update AAPL", "price.update MSFT"]),
        ("?event=price.update&symbol=*", ["price.update AAPL", "price.update MSFT"]),
        ("?symbol=AAPL", ["price.update AAPL", "price.error None", "feed.disconnected"]),
    ],
)
async def test_a_reader_gets_what_it_asked_for(
    daemon: SmallDaemon, served: Served, query: str, expected: list[str]
) -> None:
    async with reading(served, query) as reader:
        daemon.publish("AAPL", 1.0)
        daemon.publish("MSFT", 2.0)
        daemon.alert("MSFT", "MSFT crossed above 2")
        daemon.error("the connection was lost")
        daemon.disconnected("reset")
        frames = await reader.take(len(expected))
        await served[0].stop(2.0)
        with pytest.raises(EOFError):
            await reader.next()
    told = [f"{frame.event} {frame.data['symbol']}" if "symbol" in frame.data else frame.event for frame in frames]
    assert told == expected


@pytest.mark.parametrize(
    ("query", "parameter", "text"),
    [
        ("event=price.updat", "event", "there is no event price.updat; there are alert.blind"),
        ("event=price.x*", "event", "no event matches price.x*"),
        ("event=price.update,,", "event", "expected names or globs"),
        ("event=", "event", "expected names or globs"),
        ("symbol=%0A", "symbol", "such as AAPL"),
        ("symbol=" + "x" * 101, "symbol", "such as AAPL"),
    ],
)
async def test_a_filter_that_cannot_be_meant_is_400(served: Served, query: str, parameter: str, text: str) -> None:
    async with served[1].get(f"/api/v1/events?{query}") as response:
        assert response.status == 400
        body = await response.json(content_type=None)
    assert body["parameter"] == parameter
    assert text in body["detail"]


async def test_an_event_of_the_users_own_is_streamed_even_if_it_cannot_be_written(
    daemon: SmallDaemon, served: Served
) -> None:
    async with reading(served, "?event=my.*") as reader:
        daemon.dispatcher.dispatch("my.event", {"answer": 42, "text": "two\nlines\r\u2028"})
        daemon.dispatcher.dispatch("my.event", {"thing": object()})
        daemon.dispatcher.dispatch("my.event", {"text": "\ud800"})
        daemon.dispatcher.dispatch("my.\nevil", {})
        first, second, third, fourth = await reader.take(4)
    assert first.data["answer"] == 42
    assert first.data["text"] == "two\nlines\r\u2028"
    assert first.id == first.data["id"]
    assert "object object" in second.data["thing"]
    assert third.data["unencodable"] is True
    assert fourth.event == "my. evil"


async def test_no_secret_leaves_in_an_event(daemon: SmallDaemon, served: Served) -> None:
    register("canary-key-4711")
    async with reading(served) as reader:
        daemon.error("invalid key canary-key-4711 for wss://host/?apikey=another1")
        frame = await reader.next()
    assert "canary" not in str(frame.data)
    assert "another1" not in str(frame.data)
    assert frame.data["message"].startswith("invalid key ***")


# --- what it costs while nobody reads


async def test_without_readers_nothing_listens(daemon: SmallDaemon, served: Served) -> None:
    def heard() -> set[str]:
        return {name for name in ("price.update", "price.alert", "my.event") if daemon.dispatcher.heard(name)}

    assert heard() == set()
    async with reading(served, "?event=price.alert"):
        assert heard() == {"price.alert"}
        async with reading(served, "?event=price.*"):
            assert heard() == {"price.update", "price.alert"}
            async with reading(served):
                assert heard() == {"price.update", "price.alert", "my.event"}
                assert len(daemon.dispatcher.listeners()) == 1
            await eventually(lambda: heard() == {"price.update", "price.alert"})
        await eventually(lambda: heard() == {"price.alert"})
    await eventually(lambda: heard() == set())
    assert daemon.dispatcher.listeners() == []


async def test_clearing_the_dispatcher_leaves_the_live_stream(daemon: SmallDaemon, served: Served) -> None:
    async with reading(served) as reader:
        daemon.dispatcher.clear()
        daemon.publish("AAPL", 1.0)
        assert (await reader.next()).data["symbol"] == "AAPL"


async def test_a_reader_that_leaves_is_noticed_at_once(served: Served) -> None:
    async with reading(served):
        assert served[0].hub.readers == 1
    await eventually(lambda: served[0].hub.readers == 0, timeout=1.0)


# --- many readers, slow readers


async def test_many_readers_all_get_everything(daemon: SmallDaemon, served: Served) -> None:
    async with contextlib.AsyncExitStack() as stack:
        queries = ["", "?event=price.update", "?event=price.update&symbol=AAPL", "?event=price.alert"]
        readers = [await stack.enter_async_context(reading(served, queries[index % 4])) for index in range(100)]
        for index in range(200):
            daemon.publish(("AAPL", "MSFT")[index % 2], 100.0 + index)
            if index % 20 == 19:
                daemon.alert("MSFT", "crossed")
                await asyncio.sleep(0.001)
        counts = [210, 200, 100, 10]
        taken = await asyncio.gather(*(reader.take(counts[index % 4]) for index, reader in enumerate(readers)))
    for index, frames in enumerate(taken):
        assert frames == taken[index % 4]
    assert served[0].hub.overflowed == 0


class DeafReader:
    """A client that asks for the stream and then reads nothing, with small buffers in the kernel."""

    def __init__(self, server: HttpServer, query: str = "") -> None:
        host, _, port = server.address.rpartition(":")
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(0)
        self.socket.sendall(f"GET /api/v1/events{query} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())

    async def read_all(self) -> list[ServerSentEvent]:
        """Read until the server ends the stream; the events without the headers."""
        loop = asyncio.get_running_loop()
        got = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while piece := await loop.sock_recv(self.socket, 65536):
                got += piece
        body = bytes(got).partition(b"\r\n\r\n")[2]
        return [parse_frame(text.decode()) for text in body.split(b"\n\n")[:-1]]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()


async def block(daemon: SmallDaemon, hub: EventHub, symbols: tuple[str, ...] = ("AAPL", "MSFT")) -> int:
    """Publish until every reader's socket takes no more and events are kept for it; how many were published."""
    readers = hub._all()
    for count in range(1_000_000):
        daemon.publish(symbols[count % len(symbols)], 1.0 + count)
        if count % 500 == 0:
            await asyncio.sleep(0.001)
            if all(reader._writing and len(reader._updates) == len(symbols) for reader in readers):
                return count + 1
    raise AssertionError("the sockets take everything")


async def test_a_slow_reader_gets_the_newest_price_of_each_symbol_and_every_other_event(
    daemon: SmallDaemon, served: Served
) -> None:
    server, _ = served
    async with DeafReader(server) as deaf:
        await eventually(lambda: server.hub.readers == 1)
        published = await block(daemon, server.hub)
        for index in range(2000):
            daemon.publish(("AAPL", "MSFT")[index % 2], 5000.0 + index)
            if index % 20 == 0:
                daemon.alert("AAPL", f"alert {index // 20}")
                await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        [slow] = server.hub._all()
        assert slow.kept == 2 + 100
        reading_all = asyncio.create_task(deaf.read_all())
        await eventually(lambda: slow.idle)
        await server.stop(2.0)
        frames = [frame for frame in await reading_all if frame.event]
    updates = [frame for frame in frames if frame.event == "price.update"]
    alerts = [frame for frame in frames if frame.event == "price.alert"]
    assert [alert.data["alert_text"] for alert in alerts] == [f"alert {index}" for index in range(100)]
    assert {frame.data["symbol"]: frame.data["price"] for frame in updates} == {"AAPL": 6998.0, "MSFT": 6999.0}
    assert len(updates) < published + 2000
    numbers = [int(frame.id.removeprefix("test-")) for frame in frames]
    assert all(earlier < later for earlier, later in pairwise(numbers))


async def test_a_reader_that_overflows_is_disconnected_and_the_others_are_not(
    daemon: SmallDaemon, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = served
    async with DeafReader(server) as deaf:
        await eventually(lambda: server.hub.readers == 1)
        await block(daemon, server.hub)
        async with reading(served, "?event=price.change") as quick:
            for index in range(QUEUE_SIZE):
                daemon.change("AAPL", float(index))
            await asyncio.sleep(0.05)
            assert server.hub.overflowed == 0
            assert server.hub.readers == 2
            daemon.change("AAPL", 999.0)
            await eventually(lambda: server.hub.readers == 1)
            assert server.hub.overflowed == 1
            assert [frame.data["price"] for frame in await quick.take(QUEUE_SIZE + 1)][-1] == 999.0
        assert not [frame for frame in await deaf.read_all() if frame.event == "price.change"]
    assert "too slow" in caplog.text


async def test_a_silent_stream_sends_a_comment(daemon: SmallDaemon) -> None:
    server = HttpServer(daemon, HttpSettings(listen="127.0.0.1:0"))
    server.app[HUB] = EventHub(daemon.dispatcher, heartbeat=0.05)
    await server.start()
    try:
        async with (
            aiohttp.ClientSession(f"http://{server.address}") as client,
            client.get("/api/v1/events?event=price.alert") as response,
        ):
            reader = EventReader(response)
            assert (await reader.frame()).retry == "2000"
            assert (await reader.frame()).comment.startswith(":")
            assert (await reader.frame()).comment.startswith(":")
            assert response.headers["X-Accel-Buffering"] == "no"
            assert response.headers["Cache-Control"] == "no-store"
    finally:
        await server.stop()


# --- its end


async def test_streams_end_at_once_when_the_server_stops_with_what_was_dispatched_before(
    daemon: SmallDaemon, served: Served
) -> None:
    server, _ = served
    async with DeafReader(server), reading(served) as reader:
        await eventually(lambda: server.hub.readers == 2)
        await block_only_deaf(daemon, server, reader)
        daemon.alert("AAPL", "the last word")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await server.stop(5.0)
        assert loop.time() - began < 1.0
        last = ServerSentEvent()
        with contextlib.suppress(EOFError):
            while True:
                last = await reader.next()
        assert last.data["alert_text"] == "the last word"
    assert server.hub.readers == 0
    assert daemon.dispatcher.listeners() == []


async def block_only_deaf(daemon: SmallDaemon, server: HttpServer, reader: EventReader) -> None:
    """Publish until the reader that does not read takes no more, while the other one keeps reading."""
    while not any(known._writing and known._updates for known in server.hub._all()):
        for count in range(500):
            daemon.publish("AAPL", 1.0 + count)
        await reader.take(500)


async def test_a_reader_that_comes_while_the_server_stops_gets_an_empty_stream(daemon: SmallDaemon) -> None:
    async with serving(daemon) as (server, client):
        server.hub.close()
        async with client.get("/api/v1/events") as response:
            assert await response.read() == b"retry: 2000\n\n"
