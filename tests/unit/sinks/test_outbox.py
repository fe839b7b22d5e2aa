"""The durable lane: every delivery by its own clock, each once in a process, and none lost whatever fails."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricestreamd.model.errors import StateError
from pricestreamd.model.events import Event
from pricestreamd.sinks.base import DestinationGone, LeaveAlone, Sink
from pricestreamd.sinks.delivery.breaker import Breaker
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.outbox.deliveries import Deliveries
from pricestreamd.sinks.outbox.intake import Intake
from pricestreamd.sinks.outbox.lane import BESIDE_SECONDS, OutboxLane
from pricestreamd.sinks.outbox.outcomes import Outcomes
from pricestreamd.sinks.settings import BatchSettings, RetrySettings, SinkSettings
from tests.support.records import ManualClock
from tests.support.waiting import eventually
from tests.unit.sinks.outbox_samples import MemoryOutbox, delivery
from tests.unit.sinks.samples import BEGIN, MemorySink, alert_named, failed, refused, update

LONG = 1000.0
SLOWLY = RetrySettings(delays=(0.0, LONG), jitter=0, max_age=None)
AT_ONCE = RetrySettings(delays=(0.0,) * 5, jitter=0, max_age=None)

Told = list[tuple[str, Exception, int]]


class World:
    """A sink, its two lanes, and the outbox that outlasts them. `answers`: what is raised for an event, while it is."""

    def __init__(
        self,
        retry: RetrySettings = SLOWLY,
        *,
        outbox: MemoryOutbox | None = None,
        capacity: int = 1000,
        concurrent: int = 1,
        beside: float = BESIDE_SECONDS,
    ) -> None:
        self.outbox = outbox or MemoryOutbox()
        self.sink = MemorySink()
        self.sink.concurrent = concurrent
        self.sink.before = self._before
        self.answers: dict[str, Exception] = {}
        self.down: Exception | None = None
        self.tried: list[str] = []
        self.told: Told = []
        self.wall = ManualClock(BEGIN)
        self.worker = SinkWorker(self.sink, SinkSettings(retry=retry, batch=BatchSettings(size=1)), on_error=self._tell)
        self.lane = OutboxLane(
            self.worker, self.outbox, on_error=self._tell, wall=self.wall, capacity=capacity, beside=beside
        )

    def _tell(self, sink: str, error: Exception, lost: int) -> None:
        self.told.append((sink, error, lost))

    def _before(self, batch: Sequence[Event]) -> None:
        (event,) = batch
        self.tried.append(event["firing_id"])
        if answer := self.down or self.answers.get(event["firing_id"]):
            raise answer

    def fire(self, *event_ids: str) -> None:
        self.lane.put(self.outbox.commit(*event_ids))

    @property
    def delivered(self) -> list[str]:
        return [event["firing_id"] for event in self.sink.events]

    def counts_hold(self) -> bool:
        lane = self.lane
        return lane.received == lane.delivered + sum(lane.dropped.values()) + lane.queued

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.lane.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            assert self.counts_hold()


async def test_what_is_committed_is_delivered_at_once_in_order_and_leaves_the_outbox() -> None:
    world = World()
    async with world.running():
        world.fire("a", "b")
        world.fire("c")
        await eventually(lambda: not world.outbox.rows)
    assert world.delivered == ["a", "b", "c"]
    assert world.sink.opened == 1
    assert (world.lane.received, world.lane.delivered, world.lane.queued) == (3, 3, 0)
    assert world.told == []
    assert [(outcome.result, outcome.attempts, outcome.at) for outcome in world.outbox.log] == [
        ("delivered", 1, BEGIN)
    ] * 3


async def test_what_waits_in_the_outbox_at_the_start_is_delivered_in_the_order_of_its_commits() -> None:
    world = World()
    names = [f"e{number}" for number in range(1200)]
    world.outbox.commit(*names)
    async with world.running():
        await eventually(lambda: not world.outbox.rows, 20)
    assert world.delivered == names


async def test_a_failing_delivery_holds_up_no_other() -> None:
    world = World()
    world.answers["bad"] = failed()
    async with world.running():
        world.fire("bad")
        await eventually(lambda: world.tried.count("bad") == 2)
        world.fire("good")
        await eventually(lambda: world.delivered == ["good"] and world.outbox.rows["bad"].attempts == 2)
        row = world.outbox.rows["bad"]
        assert (row.attempts, row.last_error, row.dead) == (2, "away", False)
        assert row.due_at == pytest.approx(BEGIN + LONG, abs=1)
    assert [(name, str(error), lost) for name, error, lost in world.told[:2]] == [("memory", "away", 0)] * 2


async def test_a_success_after_failures_brings_forward_what_waits() -> None:
    world = World()
    world.down = failed()
    async with world.running():
        world.fire("a", "b")
        await eventually(lambda: world.tried.count("a") == 2 and world.tried.count("b") == 2, 10)
        world.down = None
        world.fire("probe")
        await eventually(lambda: not world.outbox.rows)
    assert world.delivered == ["probe", "a", "b"]


async def test_an_attempt_before_its_time_costs_nothing_of_the_schedule_and_is_made_once() -> None:
    world = World()
    world.answers["bad"] = failed()
    async with world.running():
        world.fire("bad")
        await eventually(lambda: len(world.tried) == 2)
        for good in "xyz":
            world.fire(good)
            await eventually(lambda good=good: good in world.delivered)  # type: ignore[misc]  # bound at once
        await eventually(lambda: world.tried.count("bad") == 3)
        for good in "uvw":
            world.fire(good)
            await eventually(lambda good=good: good in world.delivered)  # type: ignore[misc]  # bound at once
        # Long enough for the gaps after a success.
        await asyncio.sleep(0.3)
        assert world.tried.count("bad") == 3
        row = world.outbox.rows["bad"]
    assert row.attempts == 2
    assert row.due_at == pytest.approx(BEGIN + LONG, abs=1)


async def test_after_the_last_attempt_it_is_given_up_kept_and_told_of() -> None:
    world = World(RetrySettings(delays=(0.0, 0.0), jitter=0, max_age=None))
    world.answers["bad"] = failed("not today")
    async with world.running():
        world.fire("bad", "good")
        await eventually(lambda: world.outbox.rows and world.outbox.rows["bad"].dead)
    assert world.outbox.rows["bad"].attempts == 3
    assert world.delivered == ["good"]
    assert world.lane.dropped["retries"] == 1
    ((name, error, lost),) = [told for told in world.told if told[2]]
    assert (name, lost) == ("memory", 1)
    assert str(error) == "price.alert bad is given up after 3 attempts: not today"


async def test_what_the_sink_will_never_take_is_given_up_at_once() -> None:
    world = World()
    world.answers["bad"] = refused()
    async with world.running():
        world.fire("bad")
        await eventually(lambda: world.outbox.rows["bad"].dead)
    assert world.tried == ["bad"]
    assert world.lane.dropped["refused"] == 1


async def test_what_was_tried_for_longer_than_allowed_is_given_up() -> None:
    world = World(RetrySettings(delays=(0.1,), jitter=0, max_age=0.5))
    world.down = failed()
    async with world.running():
        world.fire("bad")
        await eventually(lambda: world.outbox.rows["bad"].dead)
    assert world.lane.dropped["expired"] == 1
    assert 2 <= len(world.tried) <= 6


@pytest.mark.parametrize("attempts", [0, 7])
async def test_what_waited_while_no_process_ran_is_tried_for_as_long_as_if_it_were_new(attempts: int) -> None:
    world = World(RetrySettings(delays=(0.05, 0.05), jitter=0, max_age=60.0))
    world.wall.now = BEGIN + 2 * 86400
    world.outbox.commit("sell", attempts=attempts)
    world.down = failed("the network is not up yet")
    async with world.running():
        await eventually(lambda: len(world.tried) >= 3)
        world.down = None
        await eventually(lambda: not world.outbox.rows, 10)
    assert world.delivered == ["sell"]
    assert world.lane.dropped["expired"] == 0


async def test_a_wall_clock_that_jumps_ahead_makes_nothing_old_that_was_committed_meanwhile() -> None:
    clock, wall, deliveries = ManualClock(1000.0), ManualClock(BEGIN), Deliveries(1)
    outcomes = Outcomes(MemoryOutbox().settle, failed=lambda _: None, kept=lambda _: None)
    retry = RetrySettings(delays=(1.0,), jitter=0, max_age=3600.0)
    last = delivery("a99", 99, created_at=BEGIN + 99 * 3600.0)
    intake = Intake(deliveries, outcomes, Breaker(), retry, clock=clock, wall=wall)
    for hour in range(1, 100):
        clock.now, wall.now = 1000.0 + hour * 3600.0, BEGIN + hour * 3600.0
        intake.put(delivery(f"a{hour}", hour, created_at=wall.now))
    # There was a place for the first one only; the last one was left to the outbox, and is read a minute later.
    assert "a99" not in deliveries
    deliveries.finish(deliveries.known["a1"])
    clock.now, wall.now = clock.now + 60.0, wall.now + 2 * 86400
    assert intake.take_in(last, forward=False) == "taken"
    assert clock.now - deliveries.known["a99"].born == pytest.approx(60.0, abs=36.0)


async def test_what_cannot_be_read_is_given_up_and_not_tried() -> None:
    world = World()
    async with world.running():
        world.lane.put(world.outbox.commit("torn", body=b'{"event"'))
        await eventually(lambda: world.outbox.rows["torn"].dead)
    assert world.tried == []


async def test_a_sink_with_a_bug_is_tried_as_the_schedule_says() -> None:
    world = World(AT_ONCE)
    world.answers["odd"] = KeyError("oops")
    async with world.running():
        world.fire("odd")
        await eventually(lambda: world.outbox.rows["odd"].attempts >= 2)
        world.answers.clear()
        await eventually(lambda: not world.outbox.rows)


async def test_a_delivery_that_is_cancelled_inside_the_sink_is_a_failure_and_not_the_end() -> None:
    world = World(AT_ONCE)
    world.answers["odd"] = asyncio.CancelledError()  # type: ignore[assignment]  # as a sink might raise it
    async with world.running():
        world.fire("odd")
        await eventually(lambda: world.outbox.rows["odd"].attempts >= 1)
        world.answers.clear()
        await eventually(lambda: not world.outbox.rows)


async def test_the_servers_own_wait_is_a_floor() -> None:
    world = World(AT_ONCE)
    world.answers["a"] = failed(retry_after=77.0)
    async with world.running():
        world.fire("a")
        await eventually(lambda: world.outbox.rows["a"].attempts == 1)
    assert world.outbox.rows["a"].due_at == pytest.approx(BEGIN + 77, abs=1)
    assert world.tried == ["a"]


async def test_a_destination_that_names_its_time_is_left_alone_by_what_is_new_too() -> None:
    world = World(AT_ONCE)
    world.down = LeaveAlone("503", sink="memory", retry_after=LONG)
    async with world.running(), worker_of(world):
        world.fire("a")
        await eventually(lambda: world.outbox.rows["a"].attempts == 1)
        world.down = None
        world.fire("b", "c")
        world.worker.offer(alert_named("other"))
        # Somebody who tries the sink out is let in.
        asked: list[Sink] = []
        async with asyncio.timeout(10):
            await world.worker.door.try_out(lambda sink: _noted(asked, sink))
        assert asked == [world.sink]
        for _ in range(100):
            await asyncio.sleep(0)
        assert world.tried == ["a"]
        # A person may ask for it all the same.
        world.lane.rescan()
        await eventually(lambda: not world.outbox.rows)
        await eventually(lambda: world.worker.delivered == 1)
    assert sorted(world.delivered) == ["a", "b", "c", "other"]


async def _noted(asked: list[Sink], sink: Sink) -> None:
    asked.append(sink)


@contextlib.asynccontextmanager
async def worker_of(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_the_time_that_a_destination_names_holds_the_other_way_too_and_a_success_under_way_ends_it() -> None:
    world = World(AT_ONCE, concurrent=2, beside=0.0)
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    world.sink.before = lambda batch: gate if batch[0]["firing_id"] == "slow" else world._before(batch)
    world.answers["a"] = LeaveAlone("429", sink="memory", retry_after=LONG)
    async with world.running(), worker_of(world):
        world.fire("slow", "a")
        await eventually(lambda: world.outbox.rows["a"].attempts == 1)
        world.answers.clear()
        world.fire("b")
        gate.set_result(None)
        await eventually(lambda: not world.outbox.rows)
    assert world.delivered[0] == "slow"
    assert sorted(world.delivered) == ["a", "b", "slow"]


async def test_a_success_of_this_way_ends_the_pause_of_the_other_after_it_could_not_open() -> None:
    world = World(SLOWLY)
    world.sink.open_errors = [failed("no stream")] * 3
    async with world.running(), worker_of(world):
        # It has no second attempt for a long time.
        await eventually(lambda: len(world.sink.open_errors) == 1)
        world.worker.offer(alert_named("other"))
        world.sink.open_errors.clear()
        world.fire("a")
        await eventually(lambda: world.worker.delivered == 1, 10)
    assert world.delivered == ["a", "other"]


async def test_a_dead_destination_is_probed_by_what_is_new_and_hardly_by_what_waits() -> None:
    world = World(AT_ONCE)
    world.down = failed()
    async with world.running():
        world.fire(*(f"old{number}" for number in range(50)))
        # Every one of them is tried at once, whatever became of those before.
        await eventually(lambda: len(set(world.tried)) == 50)
        before = len(world.tried)
        world.fire("new")
        await eventually(lambda: "new" in world.tried, 0.5)
        assert len(world.tried) <= before + 2
    assert before <= 53


async def test_when_everything_is_there_again_it_all_arrives() -> None:
    world = World()
    world.down = failed()
    names = [f"e{number}" for number in range(100)]
    async with world.running():
        world.fire(*names)
        await eventually(lambda: len(set(world.tried)) == 100)
        world.down = None
        world.fire("probe")
        await eventually(lambda: not world.outbox.rows, 10)
    assert sorted(world.delivered) == sorted([*names, "probe"])


async def test_410_stops_the_sink_keeps_everything_and_is_told_once() -> None:
    world = World()
    world.down = DestinationGone("410", sink="memory")
    async with world.running():
        world.fire("a", "b")
        await eventually(lambda: world.told)
        world.fire("c")
        work = asyncio.create_task(world.worker.run())
        world.worker.offer(update())
        await eventually(lambda: world.worker.dropped["stopped"] == 1)
        assert await world.worker.drain(1) == 0
        await work
        assert [(str(error), lost) for _, error, lost in world.told] == [("410", 0)]
        assert world.tried == ["a"]
        assert world.outbox.waiting == ["a", "b", "c"]
        assert world.outbox.rows["a"].attempts == 0
        # Somebody says that it is there again.
        world.down = None
        world.lane.rescan()
        await eventually(lambda: not world.outbox.rows)
    assert sorted(world.delivered) == ["a", "b", "c"]


async def test_a_restart_goes_on_with_the_schedule() -> None:
    world = World()
    world.outbox.commit("waits", attempts=2, due_at=BEGIN + 50)
    world.outbox.commit("due", attempts=2, due_at=BEGIN - 5)
    world.outbox.commit("fresh")
    async with world.running():
        await eventually(lambda: world.outbox.waiting == ["waits"])
    assert sorted(world.delivered) == ["due", "fresh"]


async def test_a_wall_clock_that_was_set_back_delays_nothing_beyond_the_schedule() -> None:
    world = World(RetrySettings(delays=(0.3,), jitter=0, max_age=3600.0))
    world.outbox.commit("far", attempts=1, due_at=BEGIN + 365 * 86400)
    began = asyncio.get_running_loop().time()
    async with world.running():
        await eventually(lambda: world.delivered == ["far"])
    assert asyncio.get_running_loop().time() - began >= 0.29


async def test_a_disk_that_refuses_stops_no_delivery_and_learns_of_it_later() -> None:
    world = World()
    world.outbox.broken = True
    async with world.running():
        world.fire("a", "b")
        await eventually(lambda: world.delivered == ["a", "b"])
        assert world.outbox.waiting == ["a", "b"]
        assert any(isinstance(error, StateError) for _, error, _ in world.told)
        world.outbox.broken = False
        await eventually(lambda: not world.outbox.rows)
    assert world.tried == ["a", "b"]


async def test_a_disk_that_hangs_stops_no_delivery_and_outcomes_are_written_together() -> None:
    world = World()
    async with world.running():
        await eventually(lambda: world.outbox.pages)
        world.outbox.gate = asyncio.Event()
        names = [f"e{number}" for number in range(20)]
        world.fire(*names)
        await eventually(lambda: world.delivered == names)
        assert world.outbox.settled == 0
        world.outbox.gate.set()
        await eventually(lambda: not world.outbox.rows)
    assert world.outbox.settled <= 2


async def test_what_was_delivered_is_not_delivered_again_by_this_process() -> None:
    world = World()
    async with world.running():
        # From memory, as the disk had refused the commit; the commit comes later.
        world.lane.put([delivery("a", 0)])
        await eventually(lambda: world.delivered == ["a"])
        world.lane.put(world.outbox.commit("a"))
        world.lane.rescan()
        await eventually(lambda: not world.outbox.rows)
    assert world.tried == ["a"]


async def test_a_row_that_comes_twice_is_tried_once() -> None:
    world = World()
    async with world.running():
        rows = world.outbox.commit("a")
        world.lane.put(rows)
        world.lane.put(rows)
        world.lane.rescan()
        await eventually(lambda: not world.outbox.rows)
    assert world.tried == ["a"]


async def test_what_was_given_up_is_tried_again_when_somebody_asks() -> None:
    world = World()
    world.answers["a"] = refused()
    async with world.running():
        world.fire("a")
        await eventually(lambda: world.outbox.rows["a"].dead)
        world.answers.clear()
        world.outbox.rows["a"] = replace(world.outbox.rows["a"], dead=False, attempts=0, due_at=0.0)
        world.lane.rescan()
        await eventually(lambda: not world.outbox.rows)
    assert world.tried == ["a", "a"]


async def test_memory_is_bounded_and_what_has_no_place_is_read_on_in_order() -> None:
    world = World(capacity=20)
    release = asyncio.Event()
    world.sink.before = lambda _batch: release.wait()
    names = [f"e{number:03}" for number in range(200)]
    async with world.running():
        for name in names:
            world.fire(name)
        await eventually(lambda: world.lane.queued == 20)
        release.set()
        await eventually(lambda: not world.outbox.rows, 20)
        assert world.lane.queued == 0
    assert world.delivered == names


async def test_what_waits_for_long_makes_place_and_comes_back_in_time() -> None:
    world = World(RetrySettings(delays=(2.0,) * 9, jitter=0, max_age=None), capacity=10)
    names = [f"e{number:03}" for number in range(30)]
    world.answers = {name: failed() for name in names}
    async with world.running():
        for name in names:
            world.fire(name)
            await eventually(lambda name=name: world.outbox.rows[name].attempts == 1)  # type: ignore[misc]  # bound at once
            assert world.lane.queued <= 10
            # So fast it would be more than can be told apart from what the outbox does not have.
            await eventually(lambda: not world.lane._deliveries.crowded)
        world.answers.clear()
        world.fire("probe")
        await eventually(lambda: not world.outbox.rows, 20)
    assert sorted(world.delivered) == [*names, "probe"]


async def test_a_long_backlog_for_a_dead_destination_holds_up_no_new_alert_and_fills_no_memory() -> None:
    world = World(capacity=100)
    world.down = failed()
    world.outbox.commit(*(f"old{number}" for number in range(3000)), attempts=2, due_at=BEGIN - 5)
    world.outbox.commit(*(f"untried{number}" for number in range(3000)))
    async with world.running():
        await eventually(lambda: len(world.tried) >= 3)
        for number in range(5):
            world.fire(f"new{number}")
            await eventually(lambda number=number: f"new{number}" in world.tried, 1.0)  # type: ignore[misc]  # bound at once
            assert world.lane.queued <= 100
    assert len(world.tried) < 20


async def test_a_new_alert_does_not_wait_for_a_disk_that_does_not_answer() -> None:
    world = World()
    world.outbox.gate = asyncio.Event()
    async with world.running():
        await asyncio.sleep(0)
        world.fire("new")
        await eventually(lambda: world.delivered == ["new"], 2.0)
        world.outbox.gate.set()
        await eventually(lambda: not world.outbox.rows)
    assert world.tried == ["new"]


async def test_the_beginning_of_a_burst_goes_out_before_the_outbox_was_read_and_in_order() -> None:
    world = World()
    world.outbox.commit("a", "b")
    async with world.running():
        world.fire("c", "d")
        await eventually(lambda: not world.outbox.rows)
    assert world.delivered == ["a", "b", "c", "d"]


async def test_what_takes_place_is_left_to_the_outbox_only_when_that_is_known_to_have_it() -> None:
    world = World(RetrySettings(delays=(LONG,), jitter=0, max_age=None), capacity=20)
    world.down = failed()
    async with world.running():
        for number in range(60):
            world.fire(f"e{number}")
            await eventually(lambda number=number: f"e{number}" in world.tried, 3.0)  # type: ignore[misc]  # bound at once
            await eventually(lambda: not world.lane._deliveries.crowded)
        assert len(world.outbox.waiting) == 60
        assert world.lane.queued <= 20
        world.down = None
        world.fire("probe")
        await eventually(lambda: not world.outbox.rows, 20)
    assert len(world.delivered) == len(set(world.delivered)) == 61


async def test_an_attempt_survives_the_end_of_its_task_and_is_not_made_twice() -> None:
    world = World()
    release = asyncio.Event()
    started = asyncio.Event()

    async def slowly() -> None:
        started.set()
        await release.wait()

    world.sink.before = lambda _batch: slowly()
    async with world.running():
        world.fire("a")
        await started.wait()
    async with world.running():
        release.set()
        await eventually(lambda: not world.outbox.rows)
    assert world.delivered == ["a"]


async def test_a_lane_runs_once_at_a_time() -> None:
    world = World()
    async with world.running():
        await eventually(lambda: world.outbox.pages)
        with pytest.raises(RuntimeError, match="runs already"):
            await world.lane.run()


async def test_drain_delivers_what_is_due_writes_it_down_and_closes() -> None:
    world = World()
    world.outbox.commit("later", attempts=2, due_at=BEGIN + 500)
    async with world.running():
        await eventually(lambda: world.lane.queued == 1)
    world.fire("a", "b")
    assert await world.lane.drain(5) == 1
    assert world.delivered == ["a", "b"]
    assert world.outbox.waiting == ["later"]
    assert not world.sink.is_open


async def test_drain_ends_a_lane_that_runs() -> None:
    world = World()
    task = asyncio.create_task(world.lane.run())
    await asyncio.sleep(0)
    world.fire("a")
    assert await world.lane.drain(5) == 0
    await task
    assert world.delivered == ["a"]
    await world.lane.run()


async def test_drain_ends_within_its_bound_and_leaves_what_hangs_to_the_outbox() -> None:
    world = World()
    world.sink.before = lambda _batch: asyncio.Event().wait()
    loop = asyncio.get_running_loop()
    async with world.running():
        world.fire("a", "b")
    began = loop.time()
    assert await world.lane.drain(0.3) == 2
    assert loop.time() - began < 1.0
    assert world.outbox.waiting == ["a", "b"]


async def test_drain_does_not_wait_for_a_dead_destination() -> None:
    world = World()
    world.down = failed()
    world.fire(*"abcdef")
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await world.lane.drain(10) == 6
    assert loop.time() - began < 2.0
    assert set(world.tried) == set("abcdef")


class Hanging:
    """Holds each delivery whose id is in `held`, or each one, until it is let go."""

    def __init__(self, world: World, *held: str, every: float = 0.0) -> None:
        self.began: dict[str, float] = {}
        self.release = asyncio.Event()
        self._held = set(held)
        self._every = every
        world.sink.before = self

    async def __call__(self, batch: Sequence[Event]) -> None:
        name = batch[0]["firing_id"]
        assert name not in self.began
        self.began[name] = asyncio.get_running_loop().time()
        await asyncio.sleep(self._every)
        if name in self._held:
            await self.release.wait()


async def test_a_fresh_alert_is_tried_within_about_a_second_whatever_hangs() -> None:
    world = World(concurrent=4)
    hanging = Hanging(world, "a", "b", "c")
    loop = asyncio.get_running_loop()
    async with world.running():
        for name in "abc":
            world.fire(name)
            await eventually(lambda name=name: name in hanging.began, 3)  # type: ignore[misc]  # bound at once
        put_at = loop.time()
        world.fire("fresh")
        await eventually(lambda: world.delivered == ["fresh"], 3)
        assert hanging.began["fresh"] - put_at < 1.5
        assert world.counts_hold()
        await eventually(lambda: world.lane.queued == 3)
        hanging.release.set()
        await eventually(lambda: not world.outbox.rows)
    assert sorted(world.delivered) == ["a", "b", "c", "fresh"]


async def test_what_takes_less_than_a_second_goes_out_one_by_one_in_order() -> None:
    world = World(concurrent=4)
    hanging = Hanging(world, every=0.02)
    names = [f"e{number:02}" for number in range(20)]
    async with world.running():
        world.fire(*names)
        while world.outbox.rows:
            assert len(world.lane._attempts) <= 1
            await asyncio.sleep(0.005)
    assert world.delivered == names == list(hanging.began)


async def test_a_backlog_for_a_destination_that_hangs_leaves_places_for_what_is_new() -> None:
    world = World(concurrent=4)
    old = [f"old{number}" for number in range(50)]
    world.outbox.commit(*old)
    hanging = Hanging(world, *old)
    async with world.running():
        await eventually(lambda: len(hanging.began) == 2, 5)
        # Longer than the next would take to begin.
        await asyncio.sleep(1.3)
        assert len(hanging.began) == 2
        for name in ("new1", "new2"):
            world.fire(name)
            await eventually(lambda name=name: name in world.delivered, 1.5)  # type: ignore[misc]  # bound at once
        hanging.release.set()
        await eventually(lambda: not world.outbox.rows, 10)
    assert sorted(world.delivered) == sorted([*old, "new1", "new2"])


async def test_a_new_alert_does_not_wait_behind_a_long_backlog_of_a_slow_destination() -> None:
    world = World()
    old = [f"old{number}" for number in range(2000)]
    world.outbox.commit(*old)
    hanging = Hanging(world, every=0.02)
    async with world.running():
        await eventually(lambda: len(world.delivered) > 3)
        world.fire("new1", "new2")
        await eventually(lambda: {"new1", "new2"} <= set(world.delivered), 2)
        assert len(hanging.began) < 200


async def test_a_sink_that_takes_one_at_a_time_gets_one_at_a_time() -> None:
    world = World()
    hanging = Hanging(world, "a")
    async with world.running():
        world.fire("a", "b")
        await eventually(lambda: "a" in hanging.began)
        # Longer than another would wait for it.
        await asyncio.sleep(1.2)
        assert list(hanging.began) == ["a"]
        hanging.release.set()
        await eventually(lambda: not world.outbox.rows)
    assert world.delivered == ["a", "b"]


async def test_attempts_side_by_side_survive_the_end_of_their_task_and_are_not_made_twice() -> None:
    world = World(concurrent=4)
    hanging = Hanging(world, "a", "b")
    async with world.running():
        world.fire("a", "b")
        await eventually(lambda: len(hanging.began) == 2, 3)
    async with world.running():
        world.fire("c")
        await eventually(lambda: world.delivered == ["c"], 3)
        hanging.release.set()
        await eventually(lambda: not world.outbox.rows)
    assert sorted(world.delivered) == ["a", "b", "c"]


async def test_drain_breaks_off_all_that_hangs_side_by_side_within_its_bound() -> None:
    world = World(concurrent=4)
    hanging = Hanging(world, "a", "b")
    loop = asyncio.get_running_loop()
    async with world.running():
        world.fire("a", "b")
        await eventually(lambda: len(hanging.began) == 2, 3)
    world.fire("c")
    began = loop.time()
    assert await world.lane.drain(1.5) == 2
    assert loop.time() - began < 2.0
    assert world.delivered == ["c"]
    assert world.outbox.waiting == ["a", "b"]
    assert world.counts_hold()


async def test_the_sink_is_closed_when_both_lanes_have_ended() -> None:
    world = World()
    lane, work = asyncio.create_task(world.lane.run()), asyncio.create_task(world.worker.run())
    world.fire("a")
    await eventually(lambda: world.delivered == ["a"])
    states = [world.sink.is_open]
    await world.worker.drain(1)
    states.append(world.sink.is_open)
    await world.lane.drain(1)
    states.append(world.sink.is_open)
    assert states == [True, True, False]
    await asyncio.gather(lane, work)


@settings(max_examples=25)
@given(st.data())
def test_whatever_happens_each_event_is_delivered_or_given_up_and_once_by_one_process(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32))
    asyncio.run(_anything(random.Random(seed), data))


async def _anything(dice: random.Random, data: st.DataObject) -> None:
    outbox = MemoryOutbox()
    names = (f"e{number:03}" for number in itertools.count())
    fired: list[str] = []
    for _ in range(data.draw(st.integers(1, 3), label="processes")):
        capacity, concurrent = data.draw(st.sampled_from([3, 10, 1000])), data.draw(st.sampled_from([1, 4]))
        world = World(AT_ONCE, outbox=outbox, capacity=capacity, concurrent=concurrent, beside=0.0)
        before = world.sink.before

        async def sometimes(batch: Sequence[Event], before: Callable[..., object] = before) -> None:  # type: ignore[assignment]
            before(batch)
            for _ in range(dice.randrange(5)):
                await asyncio.sleep(0)
            if dice.random() < 0.3:
                raise dice.choice([failed(), refused(), RuntimeError("bug")])

        world.sink.before = sometimes
        for _ in range(data.draw(st.integers(1, 4), label="runs")):
            async with world.running():
                for _ in range(dice.randrange(5)):
                    some = list(itertools.islice(names, dice.randrange(1, 8)))
                    fired += some
                    world.fire(*some)
                    outbox.broken = dice.random() < 0.2
                    for _ in range(dice.randrange(10)):
                        await asyncio.sleep(0)
                        assert world.counts_hold()
            outbox.broken = False
        await world.lane.drain(1)
        assert len(world.delivered) == len(set(world.delivered))
    last = World(AT_ONCE, outbox=outbox)
    async with last.running():
        await eventually(lambda: not outbox.waiting, 10)
    results = {event_id: {o.result for o in outbox.log if o.event_id == event_id} for event_id in fired}
    for event_id in fired:
        assert len(results[event_id] & {"delivered", "dead"}) == 1, event_id
        assert (event_id in outbox.rows) == ("dead" in results[event_id])
