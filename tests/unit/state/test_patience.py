"""An answer has its time, and what the loop slept through is no part of it."""

import asyncio
import time

import pytest

from pricestreamd.state.patience import LATE_SECONDS, within


async def test_an_answer_in_time_is_passed_on() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    assert await within(5.0, answer()) == 7


async def test_what_the_work_raises_is_passed_on() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(5.0, fail())


async def test_silence_for_the_whole_time_is_a_timeout_and_ends_the_work() -> None:
    ended = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await within(0.05, never())
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_loop_that_was_held_up_for_longer_than_the_time_looks_once_more() -> None:
    answered = asyncio.get_running_loop().create_future()

    async def answer() -> str:
        told: str = await answered
        return told

    asking = asyncio.create_task(within(0.05, answer()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(LATE_SECONDS + 0.2)  # the loop stands still
    # The loop finds its time over, before anybody can answer.
    for _ in range(3):
        await asyncio.sleep(0)
    answered.set_result("here")
    assert await asking == "here"


async def test_being_cancelled_cancels_the_work() -> None:
    work = asyncio.Event()
    asking = asyncio.create_task(within(5.0, _hold(work)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(work.wait(), 5)


async def _hold(ended: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()
