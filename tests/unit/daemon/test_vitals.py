"""Alive is who still has its turns, and who waits for somebody else; everybody else is named."""

import asyncio
from collections.abc import Callable

import pytest

from pricestreamd.daemon.alive.vitals import Turns, Vitals
from pricestreamd.daemon.supervise import TaskDied, lasting
from tests.support.waiting import eventually


class Feed:
    looks: int | None = None


def looked(vitals: Vitals, times: int, between: Callable[[], object] = lambda: None) -> list[list[str]]:
    found = []
    for _ in range(times):
        between()
        found.append(vitals.look(10.0))
    return found


async def nothing() -> None:
    """Never run here."""


def test_a_task_without_a_turn_hangs_after_its_own_time_and_some_patience() -> None:
    vitals = Vitals({}, patience=30.0)
    vitals.owes("sight", Turns(nothing), 5.0)
    # 0, 10, 20, 30 and at 40 s more than 35 have passed.
    assert looked(vitals, 6) == [[], [], [], [], ["sight"], ["sight"]]


def test_any_turn_makes_it_alive_again() -> None:
    vitals = Vitals({}, patience=30.0)
    turns = Turns(nothing)
    vitals.owes("sight", turns, 5.0)
    assert looked(vitals, 5)[-1] == ["sight"]
    turns.count += 1
    assert looked(vitals, 4) == [[]] * 4


def test_whoever_may_take_long_is_given_long() -> None:
    vitals = Vitals({}, patience=30.0)
    vitals.owes("statistics", Turns(nothing), 60.0)
    assert looked(vitals, 11)[-2:] == [[], ["statistics"]]


def test_a_feed_that_looks_at_its_connections_is_alive_however_silent_its_provider() -> None:
    feed = Feed()
    feed.looks = 0
    vitals = Vitals({"us": feed}, patience=30.0)

    def look() -> None:
        feed.looks = (feed.looks or 0) + 1

    assert looked(vitals, 20, look) == [[]] * 20
    assert looked(vitals, 4)[-1] == ["feed us"]


def test_a_feed_that_does_not_run_owes_nothing() -> None:
    """As while it waits to be begun again."""
    feed = Feed()
    feed.looks = 7
    vitals = Vitals({"us": feed}, patience=30.0)
    assert looked(vitals, 3) == [[]] * 3
    feed.looks = None
    assert looked(vitals, 20) == [[]] * 20
    feed.looks = 7
    assert looked(vitals, 4) == [[]] * 4


def test_feeds_come_and_go() -> None:
    feeds: dict[str, Feed] = {"us": Feed()}
    feeds["us"].looks = 1
    vitals = Vitals(feeds, patience=30.0)
    assert looked(vitals, 4) == [[]] * 4
    feeds["us"] = Feed()
    feeds["us"].looks = 1  # another one with the same count
    assert looked(vitals, 4) == [[]] * 4
    del feeds["us"]
    assert looked(vitals, 9) == [[]] * 9


def test_who_was_let_go_owes_nothing() -> None:
    vitals = Vitals({}, patience=30.0)
    vitals.owes("sight", Turns(nothing), 1.0)
    assert looked(vitals, 5)[-1] == ["sight"]
    vitals.release()
    assert looked(vitals, 5) == [[]] * 5


async def test_a_stopped_process_has_missed_nothing() -> None:
    """Looks count, and no clock: after an hour asleep there was one look more, and one turn."""
    vitals = Vitals({}, patience=0.05)

    async def work() -> None:
        while True:
            await asyncio.sleep(0.001)

    turns = Turns(work)
    vitals.owes("sight", turns, 0.01)
    task = asyncio.create_task(lasting("sight", turns))
    await asyncio.sleep(0)
    assert vitals.look(0.02) == []
    await asyncio.sleep(0.2)
    assert vitals.look(0.02) == []
    task.cancel()
    await asyncio.wait({task})


# --- turns


async def test_turns_are_counted_and_the_work_is_none_the_wiser() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            loop = asyncio.get_running_loop()
            seen.append(await loop.run_in_executor(None, str, 5))
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("timeout")
        await asyncio.Event().wait()

    turns = Turns(work)
    task = asyncio.create_task(lasting("x", turns))
    await eventually(lambda: seen == ["5", "timeout"])
    count = turns.count
    assert count >= 6
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert turns.count == count + 1


async def test_work_may_swallow_an_error_thrown_into_it() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("asked")
        await asyncio.sleep(0)
        steps.append("done")

    async def wait() -> None:
        await Turns(work)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert steps == ["asked", "done"]


# --- own tasks


async def test_own_work_that_returns_is_no_end_in_silence() -> None:
    with pytest.raises(TaskDied, match="task sight has ended by itself"):
        await lasting("sight", nothing())


async def test_own_work_that_is_cancelled_from_within_is_no_end_in_silence() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(TaskDied, match="task sight was cancelled from within"):
        await lasting("sight", work())


async def test_own_work_that_fails_says_why() -> None:
    async def work() -> None:
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        await lasting("sight", work())
