"""Faults inside the process, rows P1 to P5: what listeners may do, and whom it harms."""

import asyncio
import logging
import time
from typing import Any

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener_queue import QUEUE_SIZE
from pricestreamd.model.events import Event, PriceAlert, PriceError, PriceUpdate, Run
from pricestreamd.model.tick import Tick
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.engine import StreamEngine
from pricestreamd.stream.settings import StreamSettings
from pricestreamd.telemetry.loop_lag import LoopLag
from tests.support.records import ManualClock
from tests.support.waiting import eventually


def stream(dispatcher: EventDispatcher) -> StreamEngine:
    """A stream of AAPL with an alert at 101."""
    engine = StreamEngine(StreamSettings(), dispatcher)
    engine.board.track(["AAPL"])
    engine.board.set_alert(AlertRule.from_mapping("AAPL", {"above": 101}))
    return engine


def tick(number: int, price: float = 100.0) -> Tick:
    return Tick("AAPL", price, float(number), float(number), 1.0, "USD", "us")


def spoken(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


@pytest.mark.parametrize(
    "failure",
    [
        *(ValueError("bad"), SystemExit(1), asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt()),
        BaseException("bare"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_p1_a_listener_that_raises_is_isolated_counted_and_the_next_one_hears(failure: BaseException) -> None:
    # As in the daemon, which hears of Ctrl-C from its loop.
    dispatcher = EventDispatcher(Run("run"), interruptible=False)
    engine = stream(dispatcher)
    told: list[PriceError] = []
    heard: list[PriceUpdate] = []

    @dispatcher.on("price.update", priority=1)
    def fails(_event: Event) -> None:
        raise failure

    dispatcher.on("price.update", heard.append)
    dispatcher.on("price.error", told.append)
    for number in range(10):
        engine.on_tick(tick(number))
    assert len(heard) == engine.sequence == 10
    assert [listener.errors for listener in dispatcher.listeners()] == [10, 0, 0]
    assert len(told) == 10
    assert all(type(failure).__name__ in event.message for event in told)


@pytest.mark.parametrize("failure", [ValueError("bad"), SystemExit(1)], ids=lambda failure: type(failure).__name__)
def test_p1_a_chain_stops_and_calls_catch_and_a_failure_in_catch_is_isolated(failure: BaseException) -> None:
    dispatcher = EventDispatcher(Run("run"))
    engine = stream(dispatcher)
    caught: list[BaseException] = []
    after: list[Any] = []

    def fails(_value: object) -> None:
        raise failure

    def catch_that_fails(exc: BaseException) -> None:
        caught.append(exc)
        raise KeyError("in catch")

    dispatcher.chain("price.update").then(fails).then(after.append).catch(caught.append).execute()
    dispatcher.chain("price.update").then(fails).then(after.append).catch(catch_that_fails).execute()
    dispatcher.on("price.update", after.append)
    engine.on_tick(tick(1))
    assert caught == [failure, failure]
    assert len(after) == 1
    assert [listener.errors for listener in dispatcher.listeners()] == [0, 1, 0]


@pytest.mark.parametrize("kind", ["plain", "coroutine", "chain"])
async def test_p1_a_hundred_failures_in_a_row_open_the_breaker_for_a_minute(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    dispatcher = EventDispatcher(Run("run"), monotonic=clock)
    engine = stream(dispatcher)
    calls: list[Event] = []
    heard: list[Event] = []
    broken = True

    def fails(event: Event) -> None:
        calls.append(event)
        if broken:
            raise ValueError

    async def fails_later(event: Event) -> None:
        await asyncio.sleep(0)
        fails(event)

    if kind == "chain":
        dispatcher.chain("price.update").then(fails).execute()
    else:
        dispatcher.on("price.update", fails if kind == "plain" else fails_later)
    dispatcher.on("price.update", heard.append)
    listener = dispatcher.listeners()[0]

    async def ticks(count: int) -> None:
        for _ in range(count):
            engine.on_tick(tick(len(heard)))
            await eventually(lambda: listener.queue is None or listener.queue.work() is None)

    # Ninety-nine are no hundred, and are forgotten after one that went well.
    await ticks(99)
    broken = False
    await ticks(1)
    broken = True
    await ticks(99)
    assert len(calls) == 199
    assert not spoken(caplog, "left alone")
    await ticks(51)
    assert (len(calls), listener.errors, listener.dropped) == (200, 199, 50)
    assert spoken(caplog, "left alone") == [f"listener {listener.name} failed 100 times in a row: left alone for 60 s"]
    clock.now += 59.9
    await ticks(1)
    assert len(calls) == 200
    # After a minute it is heard again, and has another hundred.
    clock.now += 0.1
    await ticks(120)
    assert (len(calls), listener.dropped) == (300, 71)
    assert len(heard) == engine.sequence == 371
    assert await dispatcher.aclose() == 0


@pytest.mark.alone
async def test_p2_a_stuck_coroutine_listener_delays_nobody_and_keeps_its_alerts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dispatcher = EventDispatcher(Run("run"))
    engine = stream(dispatcher)
    gate = asyncio.Event()
    late: list[Event] = []
    heard: list[Event] = []
    prompt: list[Event] = []

    @dispatcher.on("price.*", priority=10)
    async def stuck(event: Event) -> None:
        await gate.wait()
        late.append(event)

    @dispatcher.on("price.update")
    async def quick(event: Event) -> None:
        prompt.append(event)

    dispatcher.on("price.update", heard.append)
    slow = dispatcher.listeners()[0]
    # The price goes over 101 and back again at every 100th tick.
    for number in range(5000):
        engine.on_tick(tick(number, 102.0 if number % 100 == 99 else 100.0))
        if not number % 250:
            await asyncio.sleep(0)
    await eventually(lambda: len(prompt) == 5000)
    assert len(heard) == 5000
    assert slow.queue is not None
    assert len(slow.queue) == QUEUE_SIZE
    assert len(spoken(caplog, "falls behind")) == 1

    # Longer than 10 ms: counted, and logged by name.
    until = time.monotonic() + 0.02
    await eventually(lambda: time.monotonic() > until)
    gate.set()
    assert await dispatcher.aclose() == 0
    assert sum(isinstance(event, PriceAlert) for event in late) == engine.alerts_fired == 50
    assert [event.number for event in late] == sorted(event.number for event in late)
    assert slow.dropped + len(late) == dispatcher.get_stats()["total_dispatches"]
    assert slow.slow >= 1
    assert any("stuck took" in line for line in spoken(caplog, "took"))


async def test_p3_a_blocking_listener_is_named_and_shows_in_the_lag_of_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dispatcher = EventDispatcher(Run("run"))
    engine = stream(dispatcher)
    lag = LoopLag()
    watching = asyncio.create_task(lag.run(interval=0.01))
    await eventually(lambda: sum(lag.histogram.counts) >= 2)

    @dispatcher.on("price.update")
    def blocks(_event: Event) -> None:
        time.sleep(0.15)  # the fault itself

    engine.on_tick(tick(1))
    engine.on_tick(tick(2))
    await eventually(lambda: lag.max > 0.1)
    watching.cancel()
    assert dispatcher.listeners()[0].slow == 2
    (line,) = [record for record in caplog.records if "blocks took" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert "make it a coroutine function, or hand the work on" in line.getMessage()


def test_p4_on_and_off_during_an_event_change_the_next_one_only() -> None:
    dispatcher = EventDispatcher(Run("run"))
    engine = stream(dispatcher)
    heard: list[tuple[str, int]] = []

    def leaving(event: PriceUpdate) -> None:
        heard.append(("leaving", event.sequence))

    def arriving(event: PriceUpdate) -> None:
        heard.append(("arriving", event.sequence))

    def changes(event: PriceUpdate) -> None:
        heard.append(("changes", event.sequence))
        if event.sequence == 1:
            dispatcher.off(leaving)
            dispatcher.on("price.update", arriving)

    dispatcher.on("price.update", changes)
    dispatcher.on("price.update", leaving)
    for number in (1, 2):
        engine.on_tick(tick(number))
    assert heard == [("changes", 1), ("leaving", 1), ("changes", 2), ("arriving", 2)]


def test_p4_once_racing_two_ticks_fires_exactly_once() -> None:
    """A listener that brings in the next tick while one is handed out: the inner tick has its `once`, the outer not."""
    dispatcher = EventDispatcher(Run("run"))
    engine = stream(dispatcher)
    heard: list[int] = []
    every: list[int] = []

    def races(event: PriceUpdate) -> None:
        if event.sequence < 3:
            engine.on_tick(tick(event.sequence + 1))

    dispatcher.on("price.update", races, priority=1)
    dispatcher.once("price.update", lambda event: heard.append(event.sequence))
    dispatcher.on("price.update", lambda event: every.append(event.sequence))
    engine.on_tick(tick(1))
    assert heard == [3]
    assert every == [3, 2, 1]


async def test_p4_once_with_a_coroutine_function_racing_two_ticks_fires_exactly_once() -> None:
    heard: list[int] = []
    async with EventDispatcher(Run("run")) as dispatcher:
        engine = stream(dispatcher)

        @dispatcher.once("price.update")
        async def first(event: PriceUpdate) -> None:
            await asyncio.sleep(0)
            heard.append(event.sequence)

        for number in (1, 2):
            engine.on_tick(tick(number))
    assert heard == [1]


async def test_p5_a_worker_that_is_killed_is_replaced_and_what_waited_is_handed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dispatcher = EventDispatcher(Run("run"))
    engine = stream(dispatcher)
    gate = asyncio.Event()
    heard: list[int] = []

    @dispatcher.on("price.update")
    async def listener(event: PriceUpdate) -> None:
        await gate.wait()
        heard.append(event.sequence)

    for number in (1, 2, 3):
        engine.on_tick(tick(number))
    await asyncio.sleep(0)
    (worker,) = asyncio.all_tasks() - {asyncio.current_task()}
    worker.cancel()
    await asyncio.wait([worker])
    gate.set()
    engine.on_tick(tick(4))
    assert await dispatcher.aclose() == 0
    # The one in hand died with its worker; the others waited.
    assert heard == [2, 3, 4]
    assert not spoken(caplog, "never retrieved")


async def test_p5_nothing_that_a_coroutine_listener_raises_dies_with_its_task(caplog: pytest.LogCaptureFixture) -> None:
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    told: list[PriceError] = []
    failures = iter([ValueError("bad"), SystemExit(1), asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt()])
    async with EventDispatcher(Run("run"), interruptible=False) as dispatcher:
        engine = stream(dispatcher)
        dispatcher.on("price.error", told.append)

        @dispatcher.on("price.update")
        async def fails(_event: PriceUpdate) -> None:
            raise next(failures)

        for number in range(5):
            engine.on_tick(tick(number))
    assert len(told) == 5
    assert len(spoken(caplog, "fails failed on price.update")) == 5
    assert unheard == []
