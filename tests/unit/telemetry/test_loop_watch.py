"""Who holds up the loop is named: watched on a real loop that is held up on purpose."""

import asyncio
import logging
import signal
import subprocess
import sys
import threading
import time

import pytest

from pricestreamd.model.secret import Secret
from pricestreamd.telemetry.loop_watch import FRAMES, STACK_CHARACTERS, LoopWatch
from tests.support.waiting import eventually

LOGGER = "pricestreamd.telemetry.loop_watch"


class Told:
    """The records of the watch. What asyncio's debug mode says of slow callbacks is not asked for here."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, LOGGER)
        self._caplog = caplog

    def __call__(self) -> list[logging.LogRecord]:
        return [record for record in self._caplog.records if record.name == LOGGER]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    return Told(caplog)


def a_blocking_listener(seconds: float) -> None:
    time.sleep(seconds)


def another_blocking_listener(seconds: float) -> None:
    time.sleep(seconds)


async def a_few_looks() -> None:
    end = time.monotonic() + 0.3
    await eventually(lambda: time.monotonic() > end)


async def test_whoever_holds_up_the_loop_is_named_with_seconds_and_stack(told: Told) -> None:
    with LoopWatch():
        await a_few_looks()
        a_blocking_listener(0.6)
        await eventually(told)
    (record,) = told()
    message = record.getMessage()
    assert record.levelname == "WARNING"
    assert message.startswith("the event loop was held up for at least 0.")
    assert "by a_blocking_listener (" in message
    assert 0.25 <= vars(record)["seconds"] <= 2.0
    assert "in a_blocking_listener\n    time.sleep(seconds)" in (record.stack_info or "")
    assert "pricestreamd/telemetry" not in (record.stack_info or "")


async def test_what_holds_up_a_busy_loop_is_found_soon(told: Told) -> None:
    with LoopWatch():
        busy_until = time.monotonic() + 0.6
        while time.monotonic() < busy_until:
            await asyncio.sleep(0)
        a_blocking_listener(0.2)
        await eventually(told)
    assert 0.1 <= vars(told()[0])["seconds"] <= 2.0


async def test_a_place_is_named_once_a_minute_and_each_place_by_itself(told: Told) -> None:
    now = [0.0]
    with LoopWatch(clock=lambda: now[0]):
        for listener in (a_blocking_listener, a_blocking_listener, another_blocking_listener):
            await a_few_looks()
            listener(0.5)
        await eventually(lambda: len(told()) == 2)
        now[0] = 61.0
        await a_few_looks()
        a_blocking_listener(0.5)
        await eventually(lambda: len(told()) == 3)
    assert [("another" in record.getMessage(), vars(record)["suppressed"]) for record in told()] == [
        (False, 0),
        (True, 0),
        (False, 1),
    ]


async def test_a_loop_that_hangs_is_told_of_while_it_does_and_when_it_goes_on(
    told: Told,
) -> None:
    with LoopWatch():
        await a_few_looks()
        deadline = time.monotonic() + 5.0
        while not told() and time.monotonic() < deadline:
            pass
        assert "the event loop is held up, so far for" in told()[0].getMessage()
        await eventually(lambda: len(told()) == 2)
    assert told()[1].getMessage().startswith("the event loop goes on, after ")


async def test_a_loop_that_turns_is_not_told_of(told: Told) -> None:
    with LoopWatch():
        for _ in range(10):
            a_blocking_listener(0.03)
            await asyncio.sleep(0)
        await a_few_looks()
    assert told() == []


WATCHED = """
import asyncio, logging, sys
from pricestreamd.telemetry.loop_watch import LoopWatch

async def main():
    with LoopWatch():
        reading = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        await asyncio.sleep(0.3)
        print("watched", flush=True)
        await reading
        await asyncio.sleep(0.3)

logging.basicConfig(stream=sys.stdout)
asyncio.run(main())
"""


def test_a_process_that_was_stopped_is_not_told_of() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "watched\n"
        time.sleep(0.3)  # until it waits for events
        program.send_signal(signal.SIGSTOP)
        time.sleep(0.4)  # so long is it stopped
        program.send_signal(signal.SIGCONT)
        told, _ = program.communicate("go on\n", timeout=20.0)
    assert (program.returncode, told) == (0, "")


def deep(levels: int, seconds: float) -> None:
    if levels:
        deep(levels - 1, seconds)
    else:
        time.sleep(seconds)  # canary-of-the-watch


async def test_the_stack_is_bounded_and_holds_no_secret(told: Told) -> None:
    Secret("canary-of-the-watch")
    with LoopWatch():
        await a_few_looks()
        deep(100, 0.6)
        await eventually(told)
    stack = told()[0].stack_info or ""
    assert stack.count("File ") <= FRAMES
    assert len(stack) <= STACK_CHARACTERS
    assert "***" in stack
    assert "canary" not in stack


async def test_stopping_ends_the_thread_and_the_timer_and_may_be_done_twice() -> None:
    watch = LoopWatch()
    watch.stop()
    for _ in range(2):
        watch.start()
        assert "loop watch" in {thread.name for thread in threading.enumerate()}
        watch.stop()
        watch.stop()
        assert "loop watch" not in {thread.name for thread in threading.enumerate()}
