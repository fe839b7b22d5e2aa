"""What must not be lost, by a sink that puts events off: the outbox lane asks again when the sink says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, to_json
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.not_yet import COUNTED, Counted, NotYet
from pricestreamd.sinks.notify.address import RIDE_SECONDS
from pricestreamd.sinks.notify.sink import NotifySink
from pricestreamd.sinks.outbox.deliveries import Deliveries, Entry
from pricestreamd.sinks.outbox.lane import OutboxLane
from pricestreamd.sinks.settings import NotifySinkSettings, SinkSettings
from pricestreamd.state.rows import Backlog, Delivery
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually
from tests.unit.sinks.outbox_samples import MemoryOutbox, delivery
from tests.unit.sinks.samples import BEGIN, MemorySink, alert, failed

BEFORE = -1.0
"""It was delivered before, with others."""


class PuttingOff(MemorySink):
    """Takes events in turn, by what `verdict` says: seconds to wait, an error, or None."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.verdict: Callable[[str], float | SinkError | None] = lambda _key: None

    async def deliver_in_turn(self, event: Event) -> bool:
        key = event["firing_id"]
        self.asked.append(key)
        verdict = self.verdict(key)
        if verdict == BEFORE:
            return False
        if isinstance(verdict, SinkError):
            raise verdict
        if verdict:
            raise NotYet(verdict)
        self.batches.append([event])
        return True


@contextlib.asynccontextmanager
async def at_work(sink: Any, outbox: MemoryOutbox, settings: SinkSettings, **kwargs: Any) -> AsyncIterator[OutboxLane]:
    lane = OutboxLane(SinkWorker(sink, settings), outbox, **kwargs)
    running = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        await lane.drain(5)
        await running


async def test_what_is_put_off_is_asked_for_again_and_costs_no_attempt() -> None:
    sink, outbox, told = PuttingOff(), MemoryOutbox(), list[tuple[str, int]]()
    waits = {"a": [0.05, 0.05], "b": [0.01]}
    sink.verdict = lambda key: waits[key].pop(0) if waits[key] else None

    def tell(_sink: str, error: Exception, lost: int) -> None:
        told.append((str(error), lost))

    async with at_work(sink, outbox, SinkSettings(), on_error=tell) as lane:
        lane.put(outbox.commit("a", "b"))
        await eventually(lambda: not outbox.waiting)
        assert lane.received == lane.delivered == 2
        assert lane.retries == 0
    assert sink.asked == ["a", "b", "b", "a", "a"]
    assert told == []
    assert [(outcome.event_id, outcome.result, outcome.attempts) for outcome in outbox.log] == [
        ("b", "delivered", 1),
        ("a", "delivered", 1),
    ]


async def test_what_is_put_off_stays_in_the_outbox_at_the_end_and_the_next_run_has_it() -> None:
    sink, outbox = PuttingOff(), MemoryOutbox()
    sink.verdict = lambda _key: 900.0
    async with at_work(sink, outbox, SinkSettings()) as lane:
        lane.put(outbox.commit("a"))
        await eventually(lambda: sink.asked)
        began = asyncio.get_running_loop().time()
        assert await lane.drain(5) == 1
        assert asyncio.get_running_loop().time() - began < 2
    assert outbox.waiting == ["a"]
    async with at_work(MemorySink(), outbox, SinkSettings()):
        await eventually(lambda: not outbox.waiting)


async def test_what_is_put_off_has_its_turn_though_the_breaker_is_open() -> None:
    sink, outbox = PuttingOff(), MemoryOutbox()
    held = [0.2]
    sink.verdict = lambda key: (held.pop() if held else None) if key == "held" else failed()
    async with at_work(sink, outbox, SinkSettings()) as lane:
        lane.put(outbox.commit("held", "x1", "x2", "x3", "x4"))
        await eventually(lambda: "held" not in outbox.waiting, timeout=2)
        assert set(sink.asked) == {"held", "x1", "x2", "x3", "x4"}
        outbox.rows.clear()
        sink.verdict = lambda _key: None


async def test_putting_off_does_not_hold_up_other_events() -> None:
    sink, outbox = PuttingOff(), MemoryOutbox()
    sink.verdict = lambda key: 900.0 if key == "a" else None
    async with at_work(sink, outbox, SinkSettings()) as lane:
        lane.put(outbox.commit("a", "b"))
        await eventually(lambda: outbox.waiting == ["a"])
        assert lane.queued == 1


async def test_what_is_put_off_is_not_owed_before_its_time_and_what_fails_is() -> None:
    sink, outbox, now = PuttingOff(), MemoryOutbox(), [BEGIN + 10.0]
    sink.verdict = lambda key: 900.0 if key.startswith("held") else failed()
    async with at_work(sink, outbox, SinkSettings(), wall=lambda: now[0]) as lane:
        rows = outbox.commit("held1", "held2")
        lane.put(rows)
        await eventually(lambda: len(sink.asked) == 2)
        found = Backlog(pending=2, dead=1, oldest_at=rows[0].created_at)
        await eventually(lambda: lane.owed(found) == Backlog(pending=0, dead=1, oldest_at=None))
        bad = outbox.commit("bad")
        lane.put(bad)
        await eventually(lambda: "bad" in sink.asked)
        assert lane.owed(replace(found, pending=3)) == Backlog(pending=1, dead=1, oldest_at=bad[0].created_at)
        # Their time has come and they are still here: they are owed since then, not since they were put off.
        now[0] = BEGIN + 1000.0
        outbox.rows.clear()
        assert lane.owed(found).pending == 2
        sink.verdict = lambda _key: None


def entry_of(number: int, *, put_off_to: float | None = None) -> Entry:
    row = delivery(f"e{number}", number)
    made = Entry(row, (number, number), born=0.0, due=0.0, new=True)
    if put_off_to is not None:
        made.owed_at = put_off_to
    return made


@pytest.mark.parametrize(
    ("held", "failing", "elsewhere", "pending", "oldest"),
    [
        ((), (), 0, 0, None),
        ((), (1,), 0, 1, 1),
        ((1,), (), 0, 0, None),
        ((1,), (2,), 0, 1, 2),
        ((2,), (1,), 0, 1, 1),
        # Some are in the outbox only: of them nothing is known but that they wait.
        ((1,), (), 5, 5, 1),
        ((1, 2), (3,), 5, 6, 3),
    ],
)
def test_what_is_owed_is_what_waits_without_what_is_put_off(
    held: tuple[int, ...], failing: tuple[int, ...], elsewhere: int, pending: int, oldest: int | None
) -> None:
    deliveries = Deliveries(10)
    made = {
        number: entry_of(number, put_off_to=BEGIN + 900 if number in held else None) for number in (*held, *failing)
    }
    for entry in made.values():
        assert deliveries.admit(entry)
    first = min(made, default=None)
    found = Backlog(len(made) + elsewhere, 0, None if first is None else made[first].delivery.created_at)
    owed = deliveries.without_held(found, BEGIN + 100)
    assert owed == Backlog(pending, 0, None if oldest is None else made[oldest].delivery.created_at)


def test_what_is_put_off_makes_place_for_what_is_new_and_is_left_to_the_outbox() -> None:
    deliveries = Deliveries(2)
    for number in (1, 2):
        entry = Entry(delivery(f"held{number}", number), (number, number), born=0.0, due=0.0, new=True)
        assert deliveries.admit(entry)
        taken = deliveries.next(0.0, dead=False, free_at=0.0, read_to=9.0)
        assert taken is entry
        deliveries.put_off(entry, 100.0 + number, owed_at=BEGIN + 100.0 + number)
    assert deliveries.next_at(0.0) == 101.0
    assert deliveries.next_at(0.0, only_new=True) == 101.0
    assert deliveries.next(100.0, dead=False, free_at=0.0, read_to=9.0) is None
    fresh = Entry(delivery("fresh", 3), (3, 3), born=0.0, due=0.0, new=True)
    assert deliveries.admit(fresh)
    assert set(deliveries.known) == {"held1", "fresh"}
    assert deliveries.left_out_at == 102.0
    # It is in the outbox only, and put off all the same.
    found = Backlog(pending=3, dead=0, oldest_at=BEGIN)
    assert deliveries.without_held(found, BEGIN + 100.0) == Backlog(pending=1, dead=0, oldest_at=BEGIN)
    assert deliveries.without_held(found, BEGIN + 102.0).pending == 3
    assert deliveries.next(200.0, dead=True, free_at=900.0, read_to=9.0, only_new=True) is not fresh


# --- the sink itself, behind the lane


def rows(outbox: MemoryOutbox, *keys: str, symbol: str = "AAPL") -> list[Delivery]:
    """Commit firings of one alert."""
    made = outbox.commit(*keys)
    found = []
    for row in made:
        event = structs.replace(alert(1, symbol), firing_id=row.event_id, alert_text=f"{symbol} crossed")
        body = to_json(event)
        outbox.rows[row.event_id] = replace(outbox.rows[row.event_id], body=body, sink="phone")
        found.append(replace(row, body=body, sink="phone"))
    return found


def texts(receiver: Receiver) -> list[str]:
    return [json.loads(received["raw"])["message"] for received in receiver.accepted]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def phone(receiver: Receiver, clock: Callable[[], float]) -> tuple[NotifySink, NotifySinkSettings]:
    settings = NotifySinkSettings(urls=(Secret(f"json://127.0.0.1:{receiver.port}/x"),))
    sink = NotifySink(
        "phone", settings, clock=clock, wall=lambda: BEGIN, storm=lambda alert: "storm" in alert.firing_id
    )
    return sink, settings


async def refusing(_request: web.Request, _received: Received) -> web.StreamResponse:
    return web.Response(status=503)


async def taking(_request: web.Request, _received: Received) -> web.StreamResponse:
    return web.Response(text="thanks")


async def test_a_window_is_closed_by_one_summary_and_nothing_leaves_the_outbox_before(receiver: Receiver) -> None:
    loop, outbox, shift = asyncio.get_running_loop(), MemoryOutbox(), 0.0

    def clock() -> float:
        return loop.time() + shift

    sink, settings = phone(receiver, clock)
    async with at_work(sink, outbox, settings, clock=clock) as lane:
        lane.put(rows(outbox, "a"))
        await eventually(lambda: not outbox.waiting)
        lane.put(rows(outbox, "b", "c"))
        await eventually(lambda: sink._addresses[0].repeats.knows("c"))
        assert outbox.waiting == ["b", "c"]
        assert texts(receiver) == ["AAPL crossed [a]"]
        shift = 901.0
        lane.put([])
        await eventually(lambda: not outbox.waiting)
    assert texts(receiver) == ["AAPL crossed [a]", "2 more crossings, the last: AAPL crossed [c]"]
    assert [outcome.attempts for outcome in outbox.log] == [1, 1, 1]


async def test_what_waited_for_its_summary_is_told_by_the_next_run(receiver: Receiver) -> None:
    outbox, loop = MemoryOutbox(), asyncio.get_running_loop()
    sink, settings = phone(receiver, loop.time)
    async with at_work(sink, outbox, settings) as lane:
        lane.put(rows(outbox, "a"))
        await eventually(lambda: not outbox.waiting)
        lane.put(rows(outbox, "b", "c"))
        await eventually(lambda: sink._addresses[0].repeats.knows("c"))
    assert outbox.waiting == ["b", "c"]
    sink, settings = phone(receiver, loop.time)
    async with at_work(sink, outbox, settings):
        await eventually(lambda: not outbox.waiting)
    assert texts(receiver) == ["AAPL crossed [a]", "AAPL crossed [c] (and 1 more before it)"]


async def test_a_storm_at_a_receiver_that_is_away_closes_no_breaker_and_all_leave_when_it_is_back(
    receiver: Receiver,
) -> None:
    loop, outbox, shift, back = asyncio.get_running_loop(), MemoryOutbox(), 0.0, list[bool]()

    def clock() -> float:
        return loop.time() + shift

    sink, settings = phone(receiver, clock)
    worker = SinkWorker(sink, settings, clock=clock)
    worker.breaker.on_back(back.append)
    lane = OutboxLane(worker, outbox, clock=clock)
    receiver.answer = refusing
    running = asyncio.create_task(lane.run())
    for number in range(4):
        lane.put(rows(outbox, f"a{number}", f"storm{number}"))
        await eventually(partial(sink._addresses[0].repeats.knows, f"storm{number}"))
        tried = len(receiver.requests)
        shift += 3.0
        lane.put([])
        await eventually(lambda tried=tried: len(receiver.requests) > tried)  # type: ignore[misc]  # bound in the loop
    await eventually(lambda: worker.breaker.open)
    assert back == []
    assert worker.breaker.times_opened == 1
    assert worker.door.standing.last_success is None
    assert lane.delivered == 0
    assert lane.received == lane.queued == len(outbox.waiting) == 8

    receiver.answer = taking
    lane.put(rows(outbox, "newest", symbol="MSFT"))
    await eventually(lambda: receiver.accepted, timeout=40)
    # The one success brings forward all that has failed; what was only put off is asked for soon.
    await eventually(lambda: not [key for key in outbox.waiting if not key.startswith("storm")], timeout=5)
    shift += RIDE_SECONDS
    lane.put([])
    await eventually(lambda: not outbox.waiting)
    assert back == [True]
    assert lane.received == lane.delivered == 9
    assert texts(receiver) == ["AAPL crossed [storm3] (and 7 more before it)\nMSFT crossed [newest]"]
    await lane.drain(5)
    await running


async def test_a_storms_crossings_are_in_the_outbox_at_the_end_and_the_next_run_tells_their_number(
    receiver: Receiver,
) -> None:
    outbox, loop = MemoryOutbox(), asyncio.get_running_loop()
    storm = [f"storm{number}" for number in range(100)]
    sink, settings = phone(receiver, loop.time)
    async with at_work(sink, outbox, settings) as lane:
        lane.put(rows(outbox, "a"))
        await eventually(lambda: not outbox.waiting)
        lane.put(rows(outbox, *storm))
        await eventually(lambda: sink._addresses[0].repeats.knows(storm[-1]))
    sink, settings = phone(receiver, loop.time)
    async with at_work(sink, outbox, settings):
        await eventually(lambda: len(receiver.accepted) == 2)
        await eventually(lambda: not outbox.waiting)
    assert texts(receiver) == ["AAPL crossed [a]", "AAPL crossed [storm9] (and 99 more before it)"]


async def test_what_is_only_counted_is_settled_and_is_neither_a_delivery_nor_a_success() -> None:
    sink, outbox, told = PuttingOff(), MemoryOutbox(), list[str]()
    sink.verdict = lambda key: Counted() if key.startswith("counted") else failed()
    worker = SinkWorker(sink, SinkSettings())
    lane = OutboxLane(worker, outbox, on_error=lambda _sink, error, _lost: told.append(str(error)))
    running = asyncio.create_task(lane.run())
    lane.put(outbox.commit("x1", "x2", "x3"))
    await eventually(lambda: worker.breaker.open)
    said = list(told)
    lane.put(outbox.commit("counted1", "counted2"))
    await eventually(lambda: outbox.waiting == ["x1", "x2", "x3"])
    assert worker.breaker.open
    assert worker.door.standing.last_success is None
    assert told == said
    assert (lane.received, lane.delivered, lane.queued) == (3, 0, 3)
    assert [(one.result, one.error) for one in outbox.log if one.event_id == "counted1"] == [("delivered", COUNTED)]
    sink.verdict = lambda _key: None
    await lane.drain(5)
    await running


async def test_what_was_told_before_with_others_is_delivered_and_says_nothing_of_the_destination() -> None:
    sink, outbox = PuttingOff(), MemoryOutbox()
    sink.verdict = lambda key: BEFORE if key == "told" else failed()
    worker = SinkWorker(sink, SinkSettings())
    lane = OutboxLane(worker, outbox)
    running = asyncio.create_task(lane.run())
    lane.put(outbox.commit("x1", "x2", "x3"))
    await eventually(lambda: worker.breaker.open)
    lane.put(outbox.commit("told"))
    await eventually(lambda: outbox.waiting == ["x1", "x2", "x3"])
    assert worker.breaker.open
    assert worker.door.standing.last_success is None
    assert (lane.received, lane.delivered, lane.queued) == (4, 1, 3)
    assert [(one.result, one.error) for one in outbox.log if one.event_id == "told"] == [("delivered", None)]
    sink.verdict = lambda _key: None
    await lane.drain(5)
    await running
