"""Lag of the event loop: measured on a real one that is held up on purpose."""

import asyncio
import time

from pricestreamd.telemetry.loop_lag import LoopLag
from tests.support.waiting import eventually


def test_a_look_is_counted_and_the_largest_remembered() -> None:
    lag = LoopLag()

    for seconds in (0.002, 0.5, 0.001, -1.0):
        lag.observe(seconds)

    assert (lag.last, lag.max) == (0.0, 0.5)
    assert sum(lag.histogram.counts) == 4
    assert lag.histogram.total == 0.503


def test_a_peak_is_taken_once() -> None:
    lag = LoopLag()
    lag.observe(0.5)

    assert (lag.take_peak(), lag.take_peak()) == (0.5, 0.0)
    assert lag.max == 0.5


async def test_a_loop_that_is_held_up_is_seen() -> None:
    lag = LoopLag()
    task = asyncio.create_task(lag.run(interval=0.01))
    await eventually(lambda: sum(lag.histogram.counts) > 0)

    time.sleep(0.08)  # what a listener must never do
    await eventually(lambda: lag.max >= 0.06)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
