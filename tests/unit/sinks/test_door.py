"""The door: one delivery at a time, what is durable first, and what hangs does not hold it up."""

import asyncio
from collections.abc import Sequence

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.delivery.door import Door
from tests.support.waiting import eventually
from tests.unit.sinks.samples import MemorySink, alert, failed, refused, updates

BATCH = updates(2)


class Busy(MemorySink):
    """Notes whether two deliveries are under way at once. `hold`: what a delivery waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = self.most_inside = 0
        self.hold: dict[int, asyncio.Event] = {}
        self.began: list[int] = []

    async def deliver(self, batch: Sequence[Event]) -> None:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.began.append(len(batch))
        try:
            if len(batch) in self.hold:
                await self.hold[len(batch)].wait()
            await asyncio.sleep(0)
            await super().deliver(batch)
        finally:
            self.inside -= 1


class Slow(Busy):
    """Ends a delivery of two that was cancelled when it `may_end`, once."""

    def __init__(self) -> None:
        super().__init__()
        self.hold[2] = asyncio.Event()
        self.may_end = asyncio.Event()
        self.is_cancelled = False

    async def deliver(self, batch: Sequence[Event]) -> None:
        try:
            await super().deliver(batch)
        except asyncio.CancelledError:
            self.is_cancelled = True
            await self.may_end.wait()
            raise


async def test_two_deliveries_are_never_under_way_at_once() -> None:
    door = Door(sink := Busy())
    work = [door.deliver(updates(number + 2)) for number in range(5)]
    alerts = [door.deliver_durable("lane", alert(number)) for number in range(5)]
    await asyncio.gather(*(coroutine for pair in zip(work, alerts, strict=True) for coroutine in pair))
    assert sink.most_inside == 1
    assert len(sink.batches) == 10


async def test_durable_deliveries_pass_beside_each_other_as_many_as_the_sink_takes_and_no_other_beside_them() -> None:
    sink = Busy()
    sink.concurrent = 3
    door = Door(sink)
    sink.hold[1] = asyncio.Event()
    alerts = [asyncio.create_task(door.deliver_durable("lane", alert(number))) for number in range(5)]
    await eventually(lambda: sink.inside == 3)
    other = asyncio.create_task(door.deliver(BATCH))
    for _ in range(5):
        await asyncio.sleep(0)
    assert sink.began == [1, 1, 1]
    alerts[0].cancel()
    await eventually(lambda: len(sink.began) == 4)
    sink.hold[1].set()
    await asyncio.wait([*alerts, other])
    assert sink.began == [1, 1, 1, 1, 1, 2]
    assert sink.most_inside == 3
    assert sink.opened == 1


async def test_what_is_durable_goes_first() -> None:
    door = Door(sink := Busy())
    sink.hold[1] = asyncio.Event()
    first = asyncio.create_task(door.deliver_durable("lane", alert(1)))
    await eventually(lambda: sink.inside)
    other = asyncio.create_task(door.deliver(BATCH))
    await asyncio.sleep(0)
    second = asyncio.create_task(door.deliver_durable("lane", alert(2)))
    await asyncio.sleep(0)
    sink.hold[1].set()
    await asyncio.gather(first, second, other)
    assert sink.began == [1, 1, 2]


async def test_a_delivery_that_hangs_is_broken_off_for_a_durable_one_and_made_again() -> None:
    door = Door(sink := Busy(), patience=0.05)
    sink.hold[2] = asyncio.Event()
    other = asyncio.create_task(door.deliver(BATCH))
    await eventually(lambda: sink.inside)
    await door.deliver_durable("lane", alert())
    assert [list(batch) for batch in sink.batches] == [[alert()]]
    assert not other.done()
    sink.hold[2].set()
    await other
    assert sink.batches[1] == BATCH
    assert sink.began == [2, 1, 2]


async def test_one_that_takes_its_time_to_end_when_it_is_broken_off_stops_nothing() -> None:
    """Another alert comes while it is already being broken off: its time cannot be changed any more."""
    door = Door(sink := Slow(), patience=0.02)
    other = asyncio.create_task(door.deliver(BATCH))
    await eventually(lambda: sink.inside)
    first = asyncio.create_task(door.deliver_durable("lane", alert(1)))
    await eventually(lambda: sink.is_cancelled)
    second = asyncio.create_task(door.deliver_durable("lane", alert(2)))
    await asyncio.sleep(0)
    sink.hold[2].set()
    sink.may_end.set()
    await asyncio.gather(first, second, other)
    assert sink.began == [2, 1, 1, 2]
    await asyncio.wait_for(door.deliver(BATCH), 5)


async def test_more_alerts_give_one_that_hangs_no_more_time() -> None:
    door = Door(sink := Busy(), patience=0.2)
    sink.hold[2] = asyncio.Event()
    other = asyncio.create_task(door.deliver(BATCH))
    await eventually(lambda: sink.inside)
    limits = []
    alerts = []
    for number in range(3):
        alerts.append(asyncio.create_task(door.deliver_durable("lane", alert(number))))
        await asyncio.sleep(0)
        assert door._limit is not None
        limits.append(door._limit.when())
    assert len(set(limits)) == 1
    sink.hold[2].set()
    await asyncio.gather(other, *alerts)


async def test_between_two_alerts_of_a_backlog_one_that_hung_rests_several_times_as_long() -> None:
    door = Door(sink := Busy(), patience=0.02)
    sink.hold[2] = asyncio.Event()
    door.more_durable(is_due=True)
    other = asyncio.create_task(door.deliver(BATCH))
    await eventually(lambda: sink.inside)
    began = asyncio.get_running_loop().time()
    await door.deliver_durable("lane", alert(0))
    while asyncio.get_running_loop().time() < began + 0.05:
        await door.deliver_durable("lane", alert(1))
    assert sink.began.count(2) == 1
    while sink.began.count(2) == 1:
        await door.deliver_durable("lane", alert(2))
        for _ in range(3):  # the next one of a lane begins a moment later
            await asyncio.sleep(0)
    sink.hold[2].set()
    await other


async def test_one_that_is_quick_is_hardly_held_up_by_a_backlog_of_alerts() -> None:
    door = Door(sink := Busy())
    door.more_durable(is_due=True)
    for number in range(20):
        await door.deliver(BATCH)
        await door.deliver_durable("lane", alert(number))
    assert sink.began == [2, 1] * 20


async def test_one_that_rests_goes_on_when_no_alert_is_due_any_more() -> None:
    door = Door(sink := Busy(), patience=0.02)
    sink.hold[2] = asyncio.Event()
    door.more_durable(is_due=True)
    other = asyncio.create_task(door.deliver(BATCH))
    await eventually(lambda: sink.inside)
    await door.deliver_durable("lane", alert(0))
    door._share_at = float("inf")
    sink.hold[2].set()
    door.more_durable(is_due=False)
    await other
    assert sink.began == [2, 1, 2]


async def test_a_delivery_that_is_quick_is_not_broken_off() -> None:
    door = Door(sink := Busy(), patience=5.0)
    sink.hold[2] = asyncio.Event()
    other = asyncio.create_task(door.deliver(BATCH))
    await eventually(lambda: sink.inside)
    durable = asyncio.create_task(door.deliver_durable("lane", alert()))
    await asyncio.sleep(0)
    sink.hold[2].set()
    await asyncio.gather(other, durable)
    assert sink.began == [2, 1]


async def test_what_the_sink_raises_comes_out_on_both_ways() -> None:
    door = Door(sink := MemorySink())

    def raising(_batch: Sequence[Event]) -> None:
        raise TimeoutError("its own")

    sink.before = raising
    with pytest.raises(TimeoutError, match="its own"):
        await door.deliver(BATCH)
    with pytest.raises(TimeoutError, match="its own"):
        await door.deliver_durable("lane", alert())
    sink.before = None
    await door.deliver(BATCH)


async def test_cancelling_one_way_leaves_the_other_open() -> None:
    door = Door(sink := Busy(), patience=60.0)
    sink.hold[2] = asyncio.Event()
    other = asyncio.create_task(door.deliver(BATCH))
    await eventually(lambda: sink.inside)
    durable = asyncio.create_task(door.deliver_durable("lane", alert()))
    await asyncio.sleep(0)
    durable.cancel()
    await asyncio.wait([durable])
    sink.hold[2].set()
    await other
    await door.deliver_durable("lane", alert())
    assert len(sink.batches) == 2


async def test_the_sink_is_opened_for_a_durable_delivery_and_a_refusal_to_open_may_be_over_later() -> None:
    door = Door(sink := MemorySink())
    sink.open_errors = [refused("a newer file")]
    with pytest.raises(SinkError, match="a newer file") as caught:
        await door.deliver_durable("lane", alert())
    assert caught.value.transient
    await door.deliver_durable("lane", alert(1))
    await door.deliver_durable("lane", alert(2))
    assert sink.opened == 1


async def test_the_sink_is_closed_when_the_last_one_leaves() -> None:
    door = Door(sink := MemorySink())
    await door.open("worker")
    await door.deliver_durable("lane", alert())
    await door.close("worker")
    states = [sink.is_open]
    await door.close("lane")
    states.append(sink.is_open)
    assert states == [True, False]


async def test_a_destination_that_is_gone_shuts_the_door_until_somebody_opens_it() -> None:
    door = Door(sink := MemorySink())
    script = [DestinationGone("410", sink="memory"), failed()]

    def answer(_batch: Sequence[Event]) -> None:
        if script:
            raise script.pop(0)

    sink.before = answer
    for _ in range(2):
        with pytest.raises(DestinationGone, match="410"):
            await door.deliver(BATCH)
        with pytest.raises(DestinationGone, match="410"):
            await door.deliver_durable("lane", alert())
    assert len(script) == 1
    assert [door.tell_gone(), door.tell_gone()] == [True, False]
    door.reopen()
    with pytest.raises(SinkError, match="away"):
        await door.deliver(BATCH)
    await door.deliver(BATCH)
