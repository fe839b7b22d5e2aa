"""Coroutine listeners: a queue and a worker of their own, bounded, in order, and drained at the end."""

import asyncio
import functools
import gc
import logging
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import BREAKER_FAILURES, BREAKER_SECONDS, SLOW_SECONDS
from pricestreamd.dispatch.listener_queue import CANCEL_SECONDS, QUEUE_SIZE, ListenerQueue
from pricestreamd.model.events import Event, PriceError
from tests.support.records import ManualClock, alert, error, update
from tests.support.waiting import eventually


class Slow:
    """A coroutine listener that holds each event until it is let go."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.begun = 0
        self.gate = asyncio.Event()

    async def __call__(self, event: Event) -> None:
        self.begun += 1
        await self.gate.wait()
        self.heard.append(event.id)


async def test_a_coroutine_function_hears_every_event_in_order() -> None:
    heard: list[str] = []

    async def listener(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(event.id)

    async with EventDispatcher() as dispatcher:
        dispatcher.on("price.*", listener)
        for number in range(100):
            dispatcher.dispatch(update(number) if number % 3 else alert(number))
        assert heard == []
    assert heard == [f"run-{number}" for number in range(100)]


async def test_two_coroutine_listeners_do_not_wait_for_each_other() -> None:
    async with EventDispatcher() as dispatcher:
        stuck, free = Slow(), Slow()
        free.gate.set()
        dispatcher.on("price.update", stuck, priority=1)
        dispatcher.on("price.update", free)
        for number in range(10):
            dispatcher.dispatch(update(number))
        await eventually(lambda: len(free.heard) == 10)
        assert stuck.heard == []
        stuck.gate.set()


def bound_method() -> tuple[Callable[[Event], Awaitable[None]], Slow]:
    slow = Slow()
    return slow.__call__, slow


def partial() -> tuple[Callable[[Event], Awaitable[None]], Slow]:
    slow = Slow()

    async def listener(owner: Slow, event: Event) -> None:
        await owner(event)

    return functools.partial(functools.partial(listener), slow), slow


def an_object() -> tuple[Callable[[Event], Awaitable[None]], Slow]:
    slow = Slow()
    return slow, slow


@pytest.mark.parametrize("make", [bound_method, partial, an_object])
async def test_everything_that_must_be_awaited_is_a_coroutine_listener(
    make: Callable[[], tuple[Callable[[Event], Awaitable[None]], Slow]],
) -> None:
    function, slow = make()
    slow.gate.set()
    async with EventDispatcher() as dispatcher:
        dispatcher.on("price.update", function)
        dispatcher.dispatch(update())
    assert slow.heard == ["run-1"]


async def test_once_with_a_coroutine_function_hears_one_event_and_is_drained() -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.once("price.update", slow)
    for number in (1, 2, 3):
        dispatcher.dispatch(update(number))
    await eventually(lambda: slow.begun)
    closing = asyncio.create_task(dispatcher.aclose())
    await asyncio.sleep(0)
    slow.gate.set()
    assert await closing == 0
    assert slow.heard == ["run-1"]
    assert dispatcher.listeners() == []


async def test_what_was_queued_before_off_is_still_handed_over() -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", slow)
    for number in (1, 2):
        dispatcher.dispatch(update(number))
    dispatcher.off(slow)
    dispatcher.dispatch(update(3))
    dispatcher.on("price.update", Slow())
    slow.gate.set()
    assert await dispatcher.aclose() == 0
    assert slow.heard == ["run-1", "run-2"]


async def test_queues_of_listeners_that_have_gone_are_forgotten() -> None:
    dispatcher = EventDispatcher()
    for _ in range(50):
        slow = Slow()
        slow.gate.set()
        dispatcher.once("price.update", slow)
        dispatcher.dispatch(update())
        await eventually(lambda slow=slow: slow.heard)  # type: ignore[misc]  # a default binds it now
        await asyncio.sleep(0)
    assert len(dispatcher._queues) <= 2


# --- the bound


async def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", slow)
    (listener,) = dispatcher.listeners()
    for number in range(QUEUE_SIZE + 5):
        dispatcher.dispatch(update(number))
    assert listener.queue is not None
    assert len(listener.queue) == QUEUE_SIZE
    assert listener.dropped == 5
    slow.gate.set()
    assert await dispatcher.aclose() == 0
    assert slow.heard == [f"run-{number}" for number in range(5, QUEUE_SIZE + 5)]
    assert listener.dropped == 5


async def test_alerts_and_errors_never_give_way_to_others() -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.*", slow)
    precious = [alert(-1), error(-2), alert(-3)]
    dispatcher.dispatch(update(0))
    for event in precious:
        dispatcher.dispatch(event)
    for number in range(1, 3 * QUEUE_SIZE):
        dispatcher.dispatch(update(number))
    slow.gate.set()
    assert await dispatcher.aclose() == 0
    assert len(slow.heard) == QUEUE_SIZE
    assert slow.heard[:3] == [event.id for event in precious]
    newest = range(3 * QUEUE_SIZE - (QUEUE_SIZE - 3), 3 * QUEUE_SIZE)
    assert slow.heard[3:] == [f"run-{number}" for number in newest]


async def test_an_alert_finds_room_in_a_queue_full_of_errors() -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.*", slow)
    for number in range(QUEUE_SIZE):
        dispatcher.dispatch(error(number))
    dispatcher.dispatch(alert(QUEUE_SIZE))
    dispatcher.dispatch(update(QUEUE_SIZE + 1))
    slow.gate.set()
    await dispatcher.aclose()
    assert slow.heard == [f"run-{number}" for number in range(1, QUEUE_SIZE + 1)]


async def test_a_queue_full_of_alerts_stays_bounded_and_keeps_the_newest_alerts() -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.*", slow)
    (listener,) = dispatcher.listeners()
    for number in range(QUEUE_SIZE + 3):
        dispatcher.dispatch(alert(number))
    dispatcher.dispatch(update(-1))
    dispatcher.dispatch(error(-2))
    assert listener.dropped == 5
    slow.gate.set()
    await dispatcher.aclose()
    assert slow.heard == [f"run-{number}" for number in range(3, QUEUE_SIZE + 3)]


@given(st.lists(st.sampled_from([update, alert, error]), max_size=60))
def test_a_small_queue_keeps_what_a_naive_one_keeps(kinds: list[Callable[[int], Event]]) -> None:
    """The same rule in slow words: while it is full, the oldest of the lowest rank gives way, the newest included."""
    rank = {"price.alert": 2, "price.error": 1}
    events = [kind(number) for number, kind in enumerate(kinds)]

    def naive(size: int) -> list[str]:
        kept: list[Event] = []
        for event in events:
            kept.append(event)
            if len(kept) > size:
                lowest = min(rank.get(one.event, 0) for one in kept)
                kept.remove(next(one for one in kept if rank.get(one.event, 0) == lowest))
        return [event.id for event in kept]

    async def real(size: int) -> list[str]:
        slow = Slow()
        dispatcher = EventDispatcher()
        dispatcher.on("price.*", slow)
        queue = ListenerQueue(dispatcher.listeners()[0], dispatcher.troubles, size)
        for event in events:
            queue.offer(event)
        slow.gate.set()
        while worker := queue.work():
            await worker
        return slow.heard

    assert asyncio.run(real(8)) == naive(8)


async def test_a_queue_that_overflows_says_so_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    slow = Slow()
    dispatcher = EventDispatcher(monotonic=clock)
    dispatcher.attach("price.update", slow, name="the slow one")
    for number in range(QUEUE_SIZE + 3):
        dispatcher.dispatch(update(number))
    clock.now += 60
    dispatcher.dispatch(update())
    lines = [record for record in caplog.records if "falls behind" in record.getMessage()]
    assert [line.__dict__["suppressed"] for line in lines] == [0, 2]
    assert "listener the slow one" in lines[0].getMessage()
    slow.gate.set()
    await dispatcher.aclose()


async def test_a_stuck_listener_costs_the_stream_no_more_when_its_queue_is_full_of_alerts() -> None:
    """Looking for room does not search: 20,000 events on a full queue whose first 999 entries may not give way."""
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.*", slow)
    for number in range(QUEUE_SIZE - 1):
        dispatcher.dispatch(alert(number))
    one = update()
    started = time.process_time()
    for _ in range(20_000):
        dispatcher.dispatch(one)
    # Measured 2.5 us each; a search through the queue costs 20 us and more.
    assert (time.process_time() - started) / 20_000 < 15e-6
    slow.gate.set()
    await dispatcher.aclose()


# --- no loop, another loop


def test_events_before_the_loop_runs_wait_for_it() -> None:
    heard: list[str] = []

    async def listener(event: Event) -> None:
        heard.append(event.id)

    dispatcher = EventDispatcher()
    dispatcher.on("price.update", listener)
    for number in range(QUEUE_SIZE + 2):
        dispatcher.dispatch(update(number))
    assert heard == []
    assert asyncio.run(dispatcher.aclose()) == 0
    assert heard == [f"run-{number}" for number in range(2, QUEUE_SIZE + 2)]


async def test_a_worker_that_was_cancelled_before_it_began_does_not_block_the_queue() -> None:
    heard: list[str] = []

    async def listener(event: Event) -> None:
        heard.append(event.id)

    dispatcher = EventDispatcher()
    dispatcher.on("price.update", listener)
    dispatcher.dispatch(update(1))
    (worker,) = asyncio.all_tasks() - {asyncio.current_task()}
    worker.cancel()
    await asyncio.wait([worker])
    assert heard == []
    dispatcher.dispatch(update(2))
    assert await dispatcher.aclose() == 0
    assert heard == ["run-1", "run-2"]


def test_a_dispatcher_outlives_its_loop() -> None:
    heard: list[str] = []

    async def listener(event: Event) -> None:
        heard.append(event.id)

    dispatcher = EventDispatcher()
    dispatcher.on("price.update", listener)

    async def main(number: int) -> None:
        async with dispatcher:
            dispatcher.dispatch(update(number))

    for number in (1, 2):
        asyncio.run(main(number))
    assert heard == ["run-1", "run-2"]


def test_a_loop_that_is_thrown_away_is_no_failure_of_the_listener(caplog: pytest.LogCaptureFixture) -> None:
    async def begin() -> None:
        slow = Slow()
        dispatcher = EventDispatcher()
        dispatcher.on("price.update", slow)
        dispatcher.dispatch(update())
        await eventually(lambda: slow.begun)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    gc.collect()
    assert "was destroyed but it is pending" in caplog.text
    assert "failed on" not in caplog.text


# --- failures


class Failing:
    """A coroutine listener that fails while `failure` is set."""

    def __init__(self, failure: BaseException | None) -> None:
        self.failure = failure
        self.calls = 0
        self.heard: list[str] = []

    async def __call__(self, event: Event) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.heard.append(event.id)


FAILURES = [ValueError("bad"), SystemExit(3), asyncio.CancelledError(), GeneratorExit(), BaseException("bare")]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_a_coroutine_listener_that_raises_goes_on_with_the_next_event(failure: BaseException) -> None:
    failing = Failing(failure)
    told: list[PriceError] = []
    async with EventDispatcher() as dispatcher:
        dispatcher.on("price.error", told.append)
        dispatcher.attach("price.update", failing, name="the failing one")
        for number in (1, 2):
            dispatcher.dispatch(update(number))
        await eventually(lambda: failing.calls == 2)
        failing.failure = None
        dispatcher.dispatch(update(3))
        await eventually(lambda: failing.heard)
    assert failing.heard == ["run-3"]
    assert dispatcher.listeners()[1].errors == 2
    assert len(told) == 2
    assert told[0].message.startswith("listener the failing one failed on price.update: ")


def test_ctrl_c_in_a_coroutine_listener_passes() -> None:
    async def main() -> None:
        dispatcher = EventDispatcher()
        dispatcher.on("price.update", Failing(KeyboardInterrupt()))
        dispatcher.dispatch(update())
        await eventually(lambda: False)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


async def test_where_ctrl_c_is_heard_in_another_way_a_keyboard_interrupt_is_a_failure_of_the_coroutine() -> None:
    failing = Failing(KeyboardInterrupt())
    async with EventDispatcher(interruptible=False) as dispatcher:
        dispatcher.on("price.update", failing)
        dispatcher.dispatch(update(1))
        await eventually(lambda: failing.calls == 1)
        failing.failure = None
        dispatcher.dispatch(update(2))
        await eventually(lambda: failing.heard)
    assert failing.heard == ["run-2"]
    assert dispatcher.listeners()[0].errors == 1


async def test_the_breaker_leaves_a_coroutine_listener_alone_and_what_is_queued_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    failing = Failing(ValueError("bad"))
    dispatcher = EventDispatcher(monotonic=clock)
    dispatcher.on("price.update", failing)
    (listener,) = dispatcher.listeners()
    assert listener.queue is not None
    for number in range(BREAKER_FAILURES + 7):
        dispatcher.dispatch(update(number))
    await eventually(lambda: listener.quiet)
    assert (failing.calls, listener.errors, len(listener.queue)) == (100, 100, 7)
    assert len([line for line in caplog.records if "left alone" in line.getMessage()]) == 1

    dispatcher.dispatch(update(-1))
    await asyncio.sleep(0)
    assert (failing.calls, len(listener.queue), listener.dropped) == (100, 7, 1)

    clock.now += BREAKER_SECONDS
    failing.failure = None
    dispatcher.dispatch(update(-2))
    assert await dispatcher.aclose() == 0
    assert failing.heard == [*(f"run-{number}" for number in range(100, 107)), "run--2"]
    assert (listener.failures_in_a_row, listener.dropped) == (0, 1)


async def test_events_that_come_between_the_failures_are_no_successes() -> None:
    failing = Failing(ValueError("bad"))
    dispatcher = EventDispatcher(monotonic=ManualClock())
    dispatcher.on("price.update", failing)
    for number in range(BREAKER_FAILURES + 5):
        dispatcher.dispatch(update(number))
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0)
    assert failing.calls == BREAKER_FAILURES
    assert dispatcher.listeners()[0].dropped == 5


async def test_a_success_of_a_coroutine_listener_begins_the_count_of_failures_anew() -> None:
    failing = Failing(ValueError("bad"))
    async with EventDispatcher(monotonic=ManualClock()) as dispatcher:
        dispatcher.on("price.update", failing)
        (listener,) = dispatcher.listeners()
        for _ in range(2):
            for number in range(BREAKER_FAILURES - 1):
                dispatcher.dispatch(update(number))
            await eventually(lambda: listener.failures_in_a_row == BREAKER_FAILURES - 1)
            failing.failure, broken = None, failing.failure
            dispatcher.dispatch(update())
            await eventually(lambda: listener.failures_in_a_row == 0)
            failing.failure = broken
        assert not listener.quiet
    assert failing.calls == 2 * BREAKER_FAILURES


async def test_what_waits_for_a_listener_left_alone_counts_as_left_at_the_end() -> None:
    failing = Failing(ValueError("bad"))
    dispatcher = EventDispatcher(monotonic=ManualClock())
    dispatcher.on("price.update", failing)
    for number in range(BREAKER_FAILURES + 7):
        dispatcher.dispatch(update(number))
    assert await dispatcher.aclose(timeout=5.0) == 7
    assert dispatcher.listeners()[0].dropped == 7


# --- slow ones


async def test_a_slow_coroutine_listener_is_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()

    async def slow(_event: Event) -> None:
        until = time.perf_counter() + SLOW_SECONDS * 1.2
        await eventually(lambda: time.perf_counter() > until)

    async with EventDispatcher(monotonic=clock) as dispatcher:
        dispatcher.attach("price.update", slow, name="the slow one")
        for number in (1, 2, 3):
            dispatcher.dispatch(update(number))
    (listener,) = dispatcher.listeners()
    assert listener.slow == 3
    assert sum(listener.seconds.counts) == 3
    assert 3 * SLOW_SECONDS <= listener.seconds.total < 60
    (line,) = [record for record in caplog.records if "took" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert "listener the slow one took" in line.getMessage()
    assert "2 events wait in its queue" in line.getMessage()


async def test_a_coroutine_listener_that_never_waits_lets_others_have_a_turn() -> None:
    turns: list[int] = []
    heard: list[str] = []

    async def greedy(event: Event) -> None:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        heard.append(event.id)

    async def other() -> None:
        while len(heard) < 100:
            turns.append(len(heard))
            await asyncio.sleep(0)

    dispatcher = EventDispatcher()
    dispatcher.on("price.update", greedy)
    for number in range(100):
        dispatcher.dispatch(update(number))
    await other()
    # 100 ms of work: a turn at least every few milliseconds.
    assert len(turns) >= 10
    await dispatcher.aclose()


# --- the end


async def test_aclose_of_an_idle_dispatcher_is_immediate() -> None:
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", Slow())
    assert await dispatcher.aclose() == 0
    assert await dispatcher.aclose() == 0


async def test_aclose_gives_up_after_its_timeout_and_counts_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", slow)
    for number in range(5):
        dispatcher.dispatch(update(number))
    await eventually(lambda: slow.begun)
    started = time.monotonic()
    assert await dispatcher.aclose(timeout=0.05) == 5
    assert 0.05 <= time.monotonic() - started < 5.0
    assert "5 events were not handed to coroutine listeners within 0.1 s" in caplog.text
    assert dispatcher.listeners()[0].dropped == 5
    assert await dispatcher.aclose() == 0


async def test_aclose_without_any_time_counts_exactly() -> None:
    slow = Slow()
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", slow)
    for number in range(3):
        dispatcher.dispatch(update(number))
    assert await dispatcher.aclose(timeout=0) == 3
    assert slow.heard == []


async def test_aclose_waits_for_what_listeners_dispatch_to_each_other() -> None:
    heard: list[str] = []
    dispatcher = EventDispatcher()

    @dispatcher.on("price.update")
    async def first(event: Event) -> None:
        await asyncio.sleep(0)
        dispatcher.dispatch("second", {"of": event.id})

    @dispatcher.on("second")
    async def second(event: Event) -> None:
        await asyncio.sleep(0)
        dispatcher.dispatch("third", {"of": event["of"]})

    @dispatcher.on("third")
    async def third(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(event["of"])

    for number in (1, 2):
        dispatcher.dispatch(update(number))
    assert await dispatcher.aclose() == 0
    assert heard == ["run-1", "run-2"]


async def test_a_listener_that_ends_when_it_is_cancelled_counts_as_not_done() -> None:
    slow = Slow()
    cleaned: list[str] = []

    async def tidy(event: Event) -> None:
        try:
            await slow(event)
        finally:
            cleaned.append(event.id)

    dispatcher = EventDispatcher()
    dispatcher.on("price.update", tidy)
    for number in (1, 2):
        dispatcher.dispatch(update(number))
    await eventually(lambda: slow.begun)
    assert await dispatcher.aclose(timeout=0.01) == 2
    assert cleaned == ["run-1"]


async def test_a_listener_that_swallows_its_cancellation_gets_no_further_event() -> None:
    heard: list[str] = []

    async def stubborn(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(event.id)

    dispatcher = EventDispatcher()
    dispatcher.on("price.update", stubborn)
    for number in (1, 2, 3):
        dispatcher.dispatch(update(number))
    # The first event came to its end after all.
    assert await dispatcher.aclose(timeout=0.01) == 2
    assert heard == ["run-1"]


async def test_a_listener_that_refuses_to_end_does_not_hold_up_the_end() -> None:
    released = asyncio.Event()

    async def immortal(_event: Event) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    dispatcher = EventDispatcher()
    dispatcher.on("price.update", immortal)
    dispatcher.dispatch(update())
    started = time.monotonic()
    assert await dispatcher.aclose(timeout=0.01) == 1
    assert time.monotonic() - started < CANCEL_SECONDS + 2
    released.set()
    await eventually(lambda: len(asyncio.all_tasks()) == 1)


async def test_an_async_with_drains_also_after_an_error() -> None:
    heard: list[str] = []

    async def listener(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(event.id)

    async def main() -> None:
        async with EventDispatcher() as dispatcher:
            dispatcher.on("price.update", listener)
            dispatcher.dispatch(update())
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await main()
    assert heard == ["run-1"]
