"""Works begin and end by name; the next of a name begins when the one before it is gone."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from pricestreamd.daemon.works import Works
from tests.support.waiting import eventually

told: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()


def crashed(name: str, crash: BaseException) -> None:
    told.append(f"{name} crashed: {crash}")


def work(name: str) -> Callable[[], Coroutine[object, object, None]]:
    async def life() -> None:
        told.append(f"{name} begins")
        try:
            await asyncio.Event().wait()
        finally:
            told.append(f"{name} ends")

    return life


def farewell(name: str, seconds: float = 0.0) -> Callable[[], Coroutine[object, object, None]]:
    async def say() -> None:
        await asyncio.sleep(seconds)
        told.append(f"{name} has said goodbye")

    return say


async def test_a_work_begins_when_the_one_before_it_of_its_name_is_gone() -> None:
    works = Works(crashed)
    async with works.group:
        works.begin("feed us", work("old"))
        await eventually(lambda: told)
        works.end("feed us", farewell("old", 0.05), 5.0)
        works.begin("feed us", work("new"))
        works.begin("feed eu", work("other"))
        await eventually(lambda: "new begins" in told)
        works.break_off()
    assert told[:5] == ["old begins", "other begins", "old ends", "old has said goodbye", "new begins"]


async def test_of_three_of_a_name_each_waits_for_the_one_before() -> None:
    works = Works(crashed)
    async with works.group:
        works.begin("sink", work("1"))
        await eventually(lambda: told)
        works.end("sink", farewell("1", 0.05), 5.0)
        works.begin("sink", work("2"))
        works.end("sink", farewell("2"), 5.0)
        works.begin("sink", work("3"))
        await eventually(lambda: "3 begins" in told)
        works.break_off()
    assert told[:3] == ["1 begins", "1 ends", "1 has said goodbye"]
    assert told.index("2 has said goodbye") < told.index("3 begins")


async def test_a_farewell_that_takes_too_long_is_broken_off() -> None:
    works = Works(crashed)
    async with works.group:
        works.begin("sink", work("old"))
        await eventually(lambda: told)
        works.end("sink", farewell("old", 60.0), 0.05)
        works.begin("sink", work("new"))
        await eventually(lambda: "new begins" in told)
        works.break_off()
    assert told[:3] == ["old begins", "old ends", "new begins"]


async def test_a_farewell_that_fails_ends_nothing_but_its_work(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("no goodbye")

    works = Works(crashed)
    async with works.group:
        works.begin("sink", work("old"))
        await eventually(lambda: told)
        works.end("sink", fail, 5.0)
        await eventually(lambda: "old ends" in told)
        works.begin("sink", work("new"))
        await eventually(lambda: "new begins" in told)
        works.break_off()
    assert "sink: its end failed: RuntimeError('no goodbye')" in caplog.text


async def test_a_work_that_crashes_is_told_of_and_begun_again() -> None:
    begun = []

    async def fragile() -> None:
        begun.append(1)
        if len(begun) == 1:
            raise ValueError("broken")
        await asyncio.Event().wait()

    works = Works(crashed)
    async with works.group:
        works.begin("feed", fragile)
        await eventually(lambda: len(begun) == 2)
        works.break_off()
    assert told == ["feed crashed: broken"]


async def test_the_end_of_all_leaves_farewells_their_time() -> None:
    works = Works(crashed)
    async with works.group:
        works.begin("sink", work("old"))
        works.begin("feed", work("other"))
        await eventually(lambda: len(told) == 2)
        works.end("sink", farewell("old", 0.05), 60.0)
        works.begin("sink", work("new"))
        works.cancel()
        await works.parted()
    assert told == ["old begins", "other begins", "other ends", "old ends", "old has said goodbye"]


async def test_whoever_does_not_end_is_broken_off() -> None:
    works = Works(crashed)
    async with works.group:
        works.begin("sink", work("old"))
        await eventually(lambda: told)
        works.end("sink", farewell("old", 60.0), 60.0)
        works.break_off()
    assert told == ["old begins", "old ends"]
