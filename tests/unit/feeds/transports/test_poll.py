"""A connection made of requests: when they are made, what ends it, and what is told of the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType

from pricestreamd.feeds.connection.verdict import Loss, after_loss
from pricestreamd.feeds.transports import poll
from pricestreamd.feeds.transports.poll import Polling
from pricestreamd.feeds.transports.transport import Options, UpgradeRefused
from pricestreamd.model.errors import ProtocolError, TransportError
from tests.support.adapters import KEY, Polled
from tests.support.raw_http import Asked, RawHttp, Script, always, answer, ending, holding
from tests.support.waiting import eventually

FAST = Options(connect_timeout=5.0, max_message_size=10_000)
ONE = answer(200, b"one")


@asynccontextmanager
async def polling(
    script: Script, *steps: str | float, options: Options = FAST
) -> AsyncIterator[tuple[Polling, RawHttp]]:
    async with RawHttp(script) as server:
        transport = await poll.dial(Polled(server.url(""), steps), options)
        try:
            yield transport, server
        finally:
            await transport.discard()


async def ended(transport: Polling) -> Loss:
    message = await transport.receive()
    assert message == (WSMsgType.CLOSED, None, None)
    return transport.loss(*message)


async def numbered(asked: Asked) -> None:
    await asked.write(answer(200, asked.target.encode()))


async def test_each_answer_is_a_message_in_the_order_of_the_requests() -> None:
    async with polling(numbered, "/1", "/2", 0.05, "/3", 0.0, "/4") as (transport, server):
        for path in (b"/1", b"/2", b"/3", b"/4"):
            assert await transport.receive() == (WSMsgType.TEXT, path, "")
        assert (transport.host, transport.port) == ("127.0.0.1", server.port)
        assert server.dials == 1
        assert {asked.headers["X-Api-Key"] for asked in server.asked} == {KEY}


async def test_the_next_request_waits_for_its_time() -> None:
    async with polling(numbered, "/1", 0.3, "/2") as (transport, server):
        await transport.receive()
        before = time.monotonic()
        await transport.receive()
        assert 0.28 < time.monotonic() - before < 1.0
        assert len(server.asked) == 2


async def test_a_first_wait_opens_without_a_request() -> None:
    async with polling(numbered, 0.05, "/1") as (transport, server):
        assert server.asked == []
        assert (transport.host, transport.port) == ("127.0.0.1", server.port)
        assert (await transport.receive())[1] == b"/1"


async def test_a_long_wait_is_asked_about_again_because_other_symbols_may_be_wanted() -> None:
    async with RawHttp(numbered) as server:
        adapter = Polled(server.url(""), [600.0])
        transport = await poll.dial(adapter, FAST)
        waiting = asyncio.create_task(transport.receive())
        await eventually(lambda: len(adapter.asked_at) == 2)
        adapter.steps = ["/1"]
        assert (await asyncio.wait_for(waiting, 2.0))[1] == b"/1"
        await transport.discard()


@pytest.mark.parametrize("nothing", [0.0, -5.0])
async def test_an_adapter_that_never_wants_to_wait_leaves_others_their_turn(nothing: float) -> None:
    async with RawHttp(numbered) as server:
        adapter = Polled(server.url(""), [nothing] * 10_000)
        transport = await poll.dial(adapter, FAST)
        waiting = asyncio.create_task(transport.receive())
        await eventually(lambda: len(adapter.asked_at) >= 50)
        assert adapter.asked_at[49] - adapter.asked_at[0] >= 0.04
        transport.abort()
        await waiting
        await transport.discard()


@pytest.mark.parametrize("status", [201, 204, 400, 401, 403, 404, 429, 500, 503])
async def test_a_first_answer_other_than_200_is_a_refused_dial(status: int) -> None:
    text = b"" if status == 204 else b"apikey=" + KEY.encode() + b" is wrong"
    async with RawHttp(always(answer(status, text, retry_after="77"))) as server:
        with pytest.raises(UpgradeRefused, match=f"answered the request with HTTP {status}") as refused:
            await poll.dial(Polled(server.url(""), ["/1"]), FAST)
    assert (refused.value.status, refused.value.retry_after) == (status, 77.0)
    assert refused.value.text == ("" if status == 204 else "apikey=*** is wrong")
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("script", "error", "reason"),
    [
        (ending(b""), TransportError, "eof"),
        (ending(b"no HTTP\r\n\r\n"), ProtocolError, "protocol"),
        (holding(), TransportError, "timeout"),
        (always(answer(200, b"x" * 10_001)), TransportError, "too_big"),
    ],
)
async def test_a_first_request_that_fails_is_a_failed_dial(script: Script, error: type[Exception], reason: str) -> None:
    async with RawHttp(script) as server:
        with pytest.raises(error) as raised:
            await poll.dial(Polled(server.url(""), ["/1"]), Options(connect_timeout=0.3, max_message_size=10_000))
    assert raised.value.reason == reason  # type: ignore[attr-defined]


def then(later: Script) -> Script:
    """Answer the first request, and `later` the others."""

    async def script(asked: Asked) -> None:
        await (always(ONE) if asked.target == "/1" else later)(asked)

    return script


async def reset(asked: Asked) -> None:
    asked.reset()


@pytest.mark.parametrize(
    ("later", "loss"),
    [
        (
            always(answer(429, b"slow down", retry_after="120")),
            Loss("http_error", text="slow down", status=429, retry_after=120.0),
        ),
        (always(answer(503, b"", retry_after="garbage")), Loss("http_error", status=503)),
        (always(answer(401, b"bad key")), Loss("http_error", text="bad key", status=401)),
        (always(answer(302, b"away", location="/2")), Loss("http_error", text="away", status=302)),
        (holding(), Loss("timeout")),
        (ending(b""), Loss("eof")),
        (reset, Loss("reset")),
        (ending(b"no HTTP\r\n\r\n"), Loss("protocol")),
        (always(answer(200, b"x" * 10_001)), Loss("too_big")),
    ],
)
async def test_a_later_request_that_fails_ends_the_connection_and_is_told_by_a_stable_word(
    later: Script, loss: Loss
) -> None:
    options = Options(connect_timeout=0.5, max_message_size=10_000)
    async with polling(then(later), "/1", "/2", options=options) as (transport, _):
        assert (await transport.receive())[1] == b"one"
        assert await ended(transport) == loss
        assert await ended(transport) == loss


async def test_a_later_retry_after_is_a_floor_and_a_key_refused_later_is_fatal() -> None:
    adapter = Polled("http://127.0.0.1/")
    busy = after_loss(adapter, Loss("http_error", status=429, retry_after=120.0), "av", lambda low, _: low)
    assert (busy.reason, busy.floor, busy.fatal) == ("http_error", 120.0, False)
    assert after_loss(adapter, Loss("http_error", status=401), "av", lambda low, _: low).fatal


async def test_a_server_that_is_gone_later_is_a_lost_connection() -> None:
    server = RawHttp(ending(ONE))
    async with server:
        transport = await poll.dial(Polled(server.url(""), ["/1", "/2"]), FAST)
        await transport.receive()
    assert await ended(transport) == Loss("refused")
    await transport.discard()


async def abort(transport: Polling) -> Loss:
    transport.abort()
    return Loss("eof")


async def close(transport: Polling) -> Loss:
    await transport.close()
    return Loss("closed", 1000)


@pytest.mark.parametrize("end", [abort, close])
@pytest.mark.parametrize("step", ["/2", 600.0])
async def test_an_end_interrupts_whatever_is_waited_for(
    step: str | float, end: Callable[[Polling], Awaitable[Loss]]
) -> None:
    async with polling(then(holding()), "/1", step) as (transport, server):
        await transport.receive()
        waiting = asyncio.create_task(ended(transport))
        await eventually(lambda: step == 600.0 or len(server.asked) == 2)
        before = time.monotonic()
        loss = await end(transport)
        assert await waiting == loss
        assert time.monotonic() - before < 0.1
        if step == "/2":
            await eventually(lambda: server.asked[-1].ended)


async def test_a_receive_that_is_cancelled_drops_its_request() -> None:
    async with polling(then(holding()), "/1", "/2", "/3") as (transport, server):
        await transport.receive()
        waiting = asyncio.create_task(transport.receive())
        await eventually(lambda: len(server.asked) == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: server.asked[-1].ended)


async def test_a_dial_that_is_cancelled_drops_its_request() -> None:
    async with RawHttp(holding()) as server:
        dialling = asyncio.create_task(poll.dial(Polled(server.url(""), ["/1"]), FAST))
        await eventually(lambda: server.asked)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await eventually(lambda: server.asked[0].ended)


async def test_nothing_can_be_sent_and_nothing_is_asked() -> None:
    async with polling(numbered, "/1") as (transport, server):
        with pytest.raises(TransportError, match="nothing can be sent"):
            await transport.send("hello")
        await transport.ping()
        await transport.pong(b"")
        assert len(server.asked) == 1


class Broken(Polled):
    def next_poll(self, now: float) -> float:
        raise RuntimeError("a bug")


async def test_a_bug_in_the_adapter_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        await poll.dial(Broken("http://127.0.0.1/"), FAST)
