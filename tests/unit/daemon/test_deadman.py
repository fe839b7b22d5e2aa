"""The deadman against a real receiver: it calls while all is well, and nothing it says shows the address."""

import asyncio
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
import trustme
from aiohttp import web

from pricestreamd.config.settings import DeadmanSettings
from pricestreamd.daemon.alive.deadman import RETRY_SECONDS, Deadman
from pricestreamd.model.secret import Secret
from tests.support.receiver import Received, Receiver, reset
from tests.support.waiting import eventually

KEY = "canary-8d1f2c"


@dataclass
class World:
    """What the deadman is told, and what came of it."""

    settings: DeadmanSettings
    fault: str | None = None
    looks: list[None] = field(default_factory=list)

    def told_fault(self) -> str | None:
        self.looks.append(None)
        return self.fault


def settings_for(url: str, interval: float = 0.05) -> DeadmanSettings:
    return DeadmanSettings(url=Secret(url), interval=interval)


def address(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/ping/{KEY}"


@asynccontextmanager
async def running(world: World, *, deadline: float = 5.0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Deadman]:
    deadman = Deadman(lambda: world.settings, world.told_fault, deadline=deadline, look=0.01, tls=tls)
    task = asyncio.create_task(deadman.run())
    try:
        yield deadman
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def said() -> Iterator[list[logging.LogRecord]]:
    """What it logs, in which the key never is."""
    records: list[logging.LogRecord] = []
    log = logging.getLogger("pricestreamd.daemon.alive.deadman")
    heard = logging.Handler()
    heard.emit = records.append  # type: ignore[assignment,method-assign]  # a list is all of a handler that is needed
    before = log.level
    log.addHandler(heard)
    log.setLevel(logging.INFO)
    yield records
    log.removeHandler(heard)
    log.setLevel(before)
    for record in records:
        assert KEY not in logging.Formatter().format(record)


async def test_while_all_is_well_it_asks_again_and_again_and_sends_nothing_but_the_address(
    said: list[logging.LogRecord],
) -> None:
    async with Receiver() as receiver:
        world = World(settings_for(address(receiver)))
        async with running(world) as deadman:
            await eventually(lambda: len(receiver.accepted) >= 3)
            await eventually(lambda: deadman.calls >= 3)
        assert deadman.failures == 0
    one = receiver.accepted[0]
    assert (one["path"], one["raw"]) == (f"/ping/{KEY}", b"")
    assert set(one["headers"]) == {"Host", "User-Agent", "Connection"}
    assert said == []


async def test_while_anything_is_wrong_it_is_silent_and_calls_at_once_when_all_is_well_again(
    said: list[logging.LogRecord],
) -> None:
    async with Receiver() as receiver:
        world = World(settings_for(address(receiver), interval=3600.0), fault=f"feed us: key={KEY} is refused")
        async with running(world) as deadman:
            await eventually(lambda: len(world.looks) > 20)
            assert (receiver.requests, deadman.calls) == ([], 0)
            world.fault = None
            await eventually(lambda: deadman.calls == 1)
            world.settings = settings_for(address(receiver))
            world.fault = "feed us: gone"
            await eventually(lambda: len(said) == 3)
            calls, looked = deadman.calls, len(world.looks)
            await eventually(lambda: len(world.looks) > looked + 20)
            assert deadman.calls == calls
    assert [(record.levelname, record.getMessage()) for record in said] == [
        # A daemon that has just started has nothing to be alarmed at.
        ("INFO", "deadman: silent, because feed us: key=*** is refused"),
        ("INFO", "deadman: calls, as all is well"),
        ("WARNING", "deadman: silent, because feed us: gone"),
    ]


async def test_without_an_address_it_does_nothing(said: list[logging.LogRecord]) -> None:
    world = World(DeadmanSettings(), fault="anything")
    async with running(world) as deadman:
        for _ in range(20):
            await asyncio.sleep(0)
    assert (deadman.calls, deadman.failures, world.looks, said) == (0, 0, [], [])


async def test_a_changed_address_counts_at_once_and_null_ends_it() -> None:
    async with Receiver() as first, Receiver() as second:
        world = World(settings_for(address(first), interval=3600.0))
        async with running(world) as deadman:
            await eventually(lambda: deadman.calls == 1)
            world.settings = settings_for(address(second), interval=3600.0)
            await eventually(lambda: deadman.calls == 2)
            world.settings = settings_for(address(second))
            await eventually(lambda: len(second.accepted) > 3)
            world.settings = DeadmanSettings()
            looked = len(world.looks)
            await eventually(lambda: deadman.calls == 1 + len(second.accepted))
            calls = deadman.calls
            await asyncio.sleep(0.2)  # four intervals of what was
            assert deadman.calls == calls
            assert len(world.looks) <= looked + 1
        assert len(first.accepted) == 1


async def answer_500(_request: web.Request, _received: Received) -> web.StreamResponse:
    return web.Response(status=500)


async def answer_by_a_reset(request: web.Request, _received: Received) -> web.StreamResponse:
    return reset(request)


async def answer_never(_request: web.Request, _received: Received) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answer_500, "127.0.0.1 answered 500"),
        (answer_by_a_reset, "127.0.0.1"),
        (answer_never, "127.0.0.1: no answer within 0.2 s"),
    ],
)
async def test_a_call_that_is_not_taken_is_counted_told_of_once_and_tried_again(
    said: list[logging.LogRecord], answer: object, words: str
) -> None:
    async with Receiver() as receiver:
        receiver.answer = answer  # type: ignore[assignment]  # one of the three above
        world = World(settings_for(address(receiver)))
        async with running(world, deadline=0.2) as deadman:
            await eventually(lambda: deadman.failures >= 3)
            assert deadman.calls == 0
            receiver.answer = Receiver().answer
            await eventually(lambda: deadman.calls >= 1)
    (record,) = said
    assert record.levelname == "WARNING"
    assert words in record.getMessage()


async def test_a_redirect_is_not_followed_and_is_a_failure(said: list[logging.LogRecord]) -> None:
    async with Receiver() as elsewhere, Receiver() as receiver:

        async def redirect(_request: web.Request, _received: Received) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": address(elsewhere)})

        receiver.answer = redirect
        async with running(World(settings_for(address(receiver)))) as deadman:
            await eventually(lambda: deadman.failures >= 2)
            assert deadman.calls == 0
    assert elsewhere.requests == []
    assert said[0].getMessage() == (
        "deadman: 127.0.0.1 answered 302, a redirect, which is not followed: configure where it leads"
    )


def _has_failed(deadman: Deadman) -> bool:
    return deadman.failures > 0


async def test_nobody_there_and_no_name_and_no_address_are_failures_in_words(said: list[logging.LogRecord]) -> None:
    async with Receiver() as receiver:
        nobody = address(receiver)
    for url, words in (
        (nobody, "connection refused"),
        (f"http://nowhere.invalid/{KEY}", "no address for nowhere.invalid"),
        (f"http://[{KEY}", "its address cannot be read"),
    ):
        said.clear()
        async with running(World(settings_for(url))) as deadman:
            await eventually(partial(_has_failed, deadman), 15.0)
        assert words in said[0].getMessage().lower()


async def test_the_receivers_certificate_is_verified(said: list[logging.LogRecord]) -> None:
    authority = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    authority.configure_trust(trusting)
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/{KEY}"
        async with running(World(settings_for(url))) as deadman:
            await eventually(lambda: deadman.failures >= 1)
        assert asked == []
        assert "certificate" in said[0].getMessage()
        async with running(World(settings_for(url)), tls=trusting) as deadman:
            await eventually(lambda: deadman.calls >= 1)
        assert asked[0].startswith(f"GET /{KEY} ".encode())


async def test_an_answer_without_end_costs_one_look_at_its_head() -> None:
    async def endless(request: web.Request, _received: Received) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    async with Receiver() as receiver:
        receiver.answer = endless
        async with running(World(settings_for(address(receiver)))) as deadman:
            await eventually(lambda: deadman.calls >= 3)


async def test_a_name_is_looked_up_beside_the_loop() -> None:
    """What would hold up the loop is a thread of its own; the loop goes on turning meanwhile."""
    threads: set[str] = set()
    world = World(settings_for(f"http://nowhere.invalid/{KEY}"))
    async with running(world) as deadman:
        while not deadman.failures:
            threads |= {thread.name for thread in threading.enumerate()}
            await asyncio.sleep(0)
    assert "address of nowhere.invalid" in threads


def test_after_a_failure_it_tries_again_within_seconds() -> None:
    assert RETRY_SECONDS <= 10
