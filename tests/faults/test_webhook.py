"""Webhooks that go wrong, rows S4, S5 and S6: a real receiver, the real state, and time that passes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import to_json
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.outbox.lane import OutboxLane
from pricestreamd.sinks.settings import WebhookRetrySettings, WebhookSinkSettings
from pricestreamd.sinks.webhook.sink import WebhookSink
from pricestreamd.state.rows import Delivery, EventRow, StateChange
from pricestreamd.state.store import StateStore
from tests.faults.webhook_programs import METADATA, PUBLIC
from tests.support.own_network import own_network
from tests.support.receiver import Received, Receiver, accept
from tests.support.waiting import eventually
from tests.unit.sinks.samples import BEGIN, alert_named

ROOT = Path(__file__).parents[2]
SINK = "hook"
QUICKLY = WebhookRetrySettings(delays=(0.0, 0.3, 0.6), jitter=0)


class Daemon:
    """What the daemon has of a webhook: the state, the sink with its two ways in, and what was told."""

    def __init__(
        self, folder: Path, url: str, *, retry: WebhookRetrySettings = QUICKLY, deadline: float = 15.0
    ) -> None:
        settings = WebhookSinkSettings(url=Secret(url), retry=retry, allow_private=("127.0.0.0/8",))
        self.told: list[tuple[str, int]] = []
        self.gone: list[Exception] = []
        self.store = StateStore(folder / "state.db", on_damage=self._damaged)
        worker = SinkWorker(WebhookSink(SINK, settings, deadline=deadline), settings)
        self.lane = OutboxLane(worker, self.store, on_error=self._tell)

    def _damaged(self, text: str) -> None:
        raise AssertionError(text)

    def _tell(self, sink: str, error: Exception, lost: int) -> None:
        assert sink == SINK
        assert "path-secret" not in str(error)
        assert "query-secret" not in str(error)
        self.told.append((str(error), lost))
        if isinstance(error, DestinationGone):
            self.gone.append(error)

    async def fire(self, *firing_ids: str) -> None:
        """Alerts as the journal hands them out: committed first, and without a number."""
        change = StateChange()
        deliveries = []
        for firing_id in firing_ids:
            body = to_json(alert_named(firing_id))
            change.events.append(EventRow(firing_id, "price.alert", "AAPL", "aapl-high", BEGIN, body))
            change.owed.append((firing_id, SINK))
            deliveries.append(Delivery(0, SINK, firing_id, "price.alert", body, BEGIN))
        await self.store.commit(change)
        self.lane.put(deliveries)

    async def owed(self) -> tuple[int, int]:
        """What the state says: deliveries that wait, and those given up."""
        backlog = (await self.store.backlogs()).get(SINK)
        return (0, 0) if backlog is None else (backlog.pending, backlog.dead)

    async def until_owed(self, pending: int, dead: int = 0) -> None:
        async with asyncio.timeout(20):
            while await self.owed() != (pending, dead):
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.store.open()
        task = asyncio.create_task(self.lane.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.lane.drain(0.5)
            await self.store.close()


class Timed:
    """Answers by a script, then 200, and notes when each request came."""

    def __init__(self, *answers: Callable[[], web.Response]) -> None:
        self.answers = list(answers)
        self.times: list[float] = []

    async def __call__(self, request: web.Request, received: Received) -> web.StreamResponse:
        self.times.append(asyncio.get_running_loop().time())
        return self.answers.pop(0)() if self.answers else await accept(request, received)

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


def status(code: int, **headers: str) -> Callable[[], web.Response]:
    return lambda: web.Response(status=code, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as made:
        yield made


async def test_s4_a_receiver_that_is_down_gets_every_alert_once_when_it_is_back(tmp_path: Path) -> None:
    async with Receiver() as gone:
        port, url = gone.port, gone.url
    daemon = Daemon(tmp_path, url, retry=WebhookRetrySettings())
    names = [f"firing-{number}" for number in range(20)]
    async with daemon.running():
        await daemon.fire(*names)
        await eventually(lambda: sum(daemon.lane.flush_seconds.counts) >= 20)
        assert all("connection refused" in text for text, _ in daemon.told)
        assert len(daemon.told) == 3, "that it is away is told once"
        assert await daemon.owed() == (20, 0)
        async with Receiver(port=port) as back:
            # By the schedule the next attempts would be minutes away. A new alert finds out that it is back.
            await daemon.fire("probe")
            await daemon.until_owed(0)
            assert sorted(back.ids) == sorted([*names, "probe"])
    assert not any(lost for _, lost in daemon.told)


@pytest.mark.parametrize("code", [500, 307])
async def test_s4_what_is_not_taken_is_tried_by_the_schedule_then_given_up_and_kept(
    tmp_path: Path, receiver: Receiver, code: int
) -> None:
    receiver.answer = timed = Timed(*[status(code, Location="/elsewhere")] * 4)
    daemon = Daemon(tmp_path, receiver.url)
    async with daemon.running():
        await daemon.fire("a")
        await daemon.until_owed(0, dead=1)
        assert len(timed.times) == 4
        # 0, 0.3 and 0.6 s; the third failure in a row makes the pause a second.
        for gap, least, most in zip(timed.gaps, (0.0, 0.29, 0.59), (0.25, 0.8, 1.8), strict=True):
            assert least <= gap < most
        assert {received["id"] for received in receiver.requests} == {"a"}
        assert daemon.told[-1][0].startswith("price.alert a is given up after 4 attempts: 127.0.0.1 answered")
        assert [lost for _, lost in daemon.told] == [0, 0, 0, 1]
        reports = await daemon.store.deliveries_of(["a"])
        assert [(report.result, report.attempts) for report in reports] == [
            ("retry", 1),
            ("retry", 2),
            ("retry", 3),
            ("dead", 4),
        ]


async def test_s4_a_receiver_that_answers_too_late_is_tried_again_and_holds_up_no_other(
    tmp_path: Path, receiver: Receiver
) -> None:
    release = asyncio.Event()

    async def slow(request: web.Request, received: Received) -> web.StreamResponse:
        if received["id"] == "slow":
            await release.wait()
        return await accept(request, received)

    receiver.answer = slow
    daemon = Daemon(tmp_path, receiver.url, deadline=0.3)
    async with daemon.running():
        await daemon.fire("slow", "quick")
        await daemon.until_owed(1)
        assert receiver.ids == ["quick"]
        assert ("127.0.0.1: no answer within 0.3 s", 0) in daemon.told
        release.set()
        await daemon.until_owed(0)
    assert "slow" in receiver.ids


@pytest.mark.parametrize("code", [429, 503])
async def test_s4_retry_after_makes_the_next_attempt_later(tmp_path: Path, receiver: Receiver, code: int) -> None:
    receiver.answer = timed = Timed(status(code, **{"Retry-After": "1"}))
    daemon = Daemon(tmp_path, receiver.url)
    async with daemon.running():
        await daemon.fire("a")
        await daemon.until_owed(0)
    assert timed.gaps[0] >= 0.99


async def test_s4_410_stops_the_sink_until_the_next_start_and_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = Timed(status(410))
    daemon = Daemon(tmp_path, receiver.url)
    async with daemon.running():
        await daemon.fire("a")
        await eventually(lambda: daemon.gone)
        await daemon.fire("b", "c")
        assert await daemon.owed() == (3, 0)
    assert [received["id"] for received in receiver.requests] == ["a"]
    assert len(daemon.told) == 1
    again = Daemon(tmp_path, receiver.url)
    async with again.running():
        await again.until_owed(0)
    assert receiver.ids == ["a", "b", "c"]


async def test_s4_what_waits_goes_on_after_a_restart_under_the_same_id(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = Timed(*[status(500)] * 2)
    daemon = Daemon(tmp_path, receiver.url, retry=WebhookRetrySettings(delays=(0.0, 1.0), jitter=0))
    async with daemon.running():
        await daemon.fire("a")
        await eventually(lambda: len(daemon.told) == 2)
    again = Daemon(tmp_path, receiver.url)
    async with again.running():
        await again.until_owed(0)
    assert [received["id"] for received in receiver.requests] == ["a"] * 3
    assert receiver.requests[0]["raw"] == receiver.requests[2]["raw"]


async def test_s4_a_receiver_that_refuses_now_and_then_gets_every_alert(tmp_path: Path) -> None:
    names = [f"firing-{number}" for number in range(60)]
    retry = WebhookRetrySettings(delays=(0.0, *[0.05] * 30), jitter=0)
    async with Receiver(refuse=0.3, seed=7, hang=0.05) as receiver:
        daemon = Daemon(tmp_path, receiver.url, retry=retry)
        async with daemon.running():
            for name in names:
                await daemon.fire(name)
            await daemon.until_owed(0)
        assert set(receiver.ids) == set(names)
        # More than once only where the answer was lost.
        assert len(receiver.requests) > len(receiver.ids) >= 60


@contextlib.asynccontextmanager
async def raw_server(answer: Callable[[asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """An HTTP server without manners: what it sends after each request is up to `answer`."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def plain_sink(url: str, deadline: float) -> WebhookSink:
    return WebhookSink(SINK, WebhookSinkSettings(url=Secret(url), allow_private=True), deadline=deadline)


async def test_s5_requests_that_hang_hold_up_no_fresh_alert(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def hold_some(request: web.Request, received: Received) -> web.StreamResponse:
        if received["id"].startswith("held"):
            await release.wait()
        return await accept(request, received)

    async with Receiver() as receiver:
        receiver.answer = hold_some
        daemon = Daemon(tmp_path, receiver.url)
        loop = asyncio.get_running_loop()
        async with daemon.running():
            await daemon.fire("held1", "held2", "held3")
            await eventually(lambda: len(receiver.requests) == 3)
            put_at = loop.time()
            await daemon.fire("fresh")
            await eventually(lambda: receiver.ids == ["fresh"])
            assert loop.time() - put_at < 2.0
            release.set()
            await daemon.until_owed(0)
    assert sorted(receiver.ids) == ["fresh", "held1", "held2", "held3"]
    assert len(receiver.requests) == 4


async def test_s5_an_answer_whose_head_never_ends_is_given_up_at_the_deadline() -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    loop = asyncio.get_running_loop()
    async with raw_server(trickle) as url:
        sink = plain_sink(url, 0.5)
        began = loop.time()
        with pytest.raises(SinkError, match=r"no answer within 0\.5 s"):
            await sink.deliver([alert_named("a")])
        assert 0.45 <= loop.time() - began < 2.0
        await sink.close()


async def test_s5_a_200_whose_body_never_ends_is_delivered_and_let_go() -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    loop = asyncio.get_running_loop()
    async with raw_server(trickle) as url:
        sink = plain_sink(url, 15.0)
        began = loop.time()
        await sink.deliver([alert_named("a")])
        assert loop.time() - began < 5.0
        await sink.close()


async def test_s5_of_a_body_of_many_megabytes_hardly_anything_is_read() -> None:
    size, sent = 256 * 1024 * 1024, 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async with raw_server(flood) as url:
        sink = plain_sink(url, 15.0)
        await sink.deliver([alert_named("a")])
        await sink.deliver([alert_named("b")])
        await sink.close()
    # What is more than twice 64 KiB is in the buffers of the system.
    assert 0 < sent < size // 8


def test_s6_a_name_that_leads_to_private_addresses_now_and_then_never_gets_there(tmp_path: Path) -> None:
    command = [
        *own_network(tmp_path),
        sys.executable,
        "-m",
        "tests.faults.webhook_programs",
        "rebinding",
        str(tmp_path),
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    # Eight of sixteen lookups had a public address among others; whatever else they had, nothing was sent there.
    assert found["received"] == {PUBLIC: 8}
    assert len(found["told"]) == 8
    assert any(f"hook.example.org leads to {METADATA}, no public address: refused" in text for text in found["told"])
    # One lookup an attempt: there is no second one whose answer could differ.
    assert found["asked"] == 16
