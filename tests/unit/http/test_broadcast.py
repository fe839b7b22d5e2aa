"""The hub of the live stream, without sockets: batches, bounds, and who shares what."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.http.broadcast import LONG_BATCH, MAX_PENDING, QUEUE_SIZE, STALL_SECONDS, EventHub, Reader
from pricestreamd.http.selection import Selection
from pricestreamd.model.events import PriceChange, PriceUpdate, Run
from tests.support.waiting import eventually

ALL = Selection()


class House:
    """A dispatcher, a hub, and readers that keep what they were given."""

    def __init__(self) -> None:
        self.run = Run("test")
        self.dispatcher = EventDispatcher(self.run)
        self.hub = EventHub(self.dispatcher, heartbeat=0.05)
        self.got: dict[Reader, list[bytes]] = {}
        self.cut: list[Selection] = []
        self._tasks: list[asyncio.Task[None]] = []

    def join(self, selection: Selection = ALL, *, reads: bool = True) -> Reader:
        reader = self.hub.join(selection, lambda: self.cut.append(selection))
        self.got[reader] = []
        if reads:
            self._tasks.append(asyncio.create_task(self._read(reader)))
        return reader

    async def _read(self, reader: Reader) -> None:
        while batch := await reader.next():
            if not batch.startswith(b":"):
                self.got[reader].append(batch)

    def publish(self, count: int, kind: type[PriceUpdate] = PriceUpdate, symbol: str = "AAPL") -> None:
        for _ in range(count):
            number = self.run.next_number()
            self.dispatcher.dispatch(
                kind("test", number, 0.0, symbol, 1.0, None, 1.0, 0.0, 0.0, None, "f", 0.0, number)
            )

    def events(self, reader: Reader) -> int:
        return b"".join(self.got[reader]).count(b"\n\n")

    async def end(self) -> None:
        self.hub.close()
        await asyncio.gather(*self._tasks)
        for reader in self.got:
            self.hub.leave(reader)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    await made.end()


async def test_readers_of_one_kind_share_the_very_bytes(house: House) -> None:
    one, other, narrow = house.join(), house.join(), house.join(Selection.parse(["price.update"], ["aapl"]))
    await eventually(lambda: one.idle and other.idle and narrow.idle)
    house.publish(10)
    await eventually(lambda: house.events(one) == 10 and house.events(narrow) == 10)
    assert all(mine is yours for mine, yours in zip(house.got[one], house.got[other], strict=True))


async def test_events_of_one_turn_of_the_loop_leave_together(house: House) -> None:
    reader = house.join()
    await eventually(lambda: reader.idle)
    house.publish(LONG_BATCH - 1)
    await eventually(lambda: house.got[reader])
    assert len(house.got[reader]) == 1
    assert house.events(reader) == LONG_BATCH - 1


async def test_a_long_batch_does_not_wait_for_the_pause(house: House) -> None:
    reader = house.join()
    await eventually(lambda: reader.idle)
    house.publish(1)
    await eventually(lambda: house.got[reader])
    house.publish(LONG_BATCH)
    for _ in range(3):
        await asyncio.sleep(0)
    assert house.events(reader) == 1 + LONG_BATCH


async def test_a_batch_is_bounded_even_when_the_loop_never_turns(house: House) -> None:
    reader, slow = house.join(), house.join(reads=False)
    await eventually(lambda: reader.idle)
    house.publish(3 * MAX_PENDING)
    assert len(house.hub._pending) < MAX_PENDING
    assert slow.kept == 1
    await eventually(lambda: house.got[reader])
    # The first batch whole, then what a busy reader keeps: the newest.
    assert MAX_PENDING < house.events(reader) < MAX_PENDING + 3
    assert f"id: test-{3 * MAX_PENDING}\n".encode() in house.got[reader][-1]


async def test_a_busy_reader_keeps_256_others_and_not_one_more(house: House) -> None:
    slow = house.join(reads=False)
    house.publish(QUEUE_SIZE, PriceChange)
    await eventually(lambda: slow.kept == QUEUE_SIZE)
    house.publish(1000, symbol="MSFT")
    await eventually(lambda: slow.kept == QUEUE_SIZE + 1)
    assert slow.over is None
    house.publish(1, PriceChange)
    await eventually(lambda: slow.over == "overflow")
    assert house.hub.overflowed == 1


async def test_a_reader_that_takes_nothing_for_a_minute_is_cut(house: House) -> None:
    selection = Selection.parse(["price.update"], [])
    slow = house.join(selection, reads=False)
    house.publish(1)
    await eventually(lambda: slow.kept == 1)
    assert await slow.next()
    slow.since -= STALL_SECONDS
    await eventually(lambda: slow.over == "stalled")
    assert house.cut == [selection]
    assert house.hub.stalled == 1


async def test_an_idle_reader_is_never_stalled_however_long_nothing_happens(house: House) -> None:
    reader = house.join()
    await eventually(lambda: reader.idle)
    reader.since -= 10 * STALL_SECONDS
    before = reader.since
    await eventually(lambda: reader.since > before)
    assert reader.over is None


async def test_what_was_dispatched_before_a_reader_came_is_not_for_it(house: House) -> None:
    first = house.join()
    await eventually(lambda: first.idle)
    house.publish(1)
    second = house.join()
    house.publish(1)
    await eventually(lambda: house.events(first) == 2 and house.events(second) == 1)


async def test_leaving_twice_and_closing_twice_is_no_error(house: House) -> None:
    reader = house.join(reads=False)
    house.hub.leave(reader)
    house.hub.leave(reader)
    assert house.hub.readers == 0
    assert house.dispatcher.listeners() == []
    house.hub.close()
    house.hub.close()
    late = house.join(reads=False)
    assert await late.next() == b""
    assert house.hub.readers == 0
