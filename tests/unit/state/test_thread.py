"""One thread of one's own."""

import asyncio
import sys
import threading
import time

import pytest

from pricestreamd.state.thread import SWITCH_SECONDS, OneThread
from tests.support.waiting import eventually


async def test_calls_run_one_after_the_other_in_one_thread() -> None:
    thread = OneThread("test")
    seen: list[tuple[int, str, int]] = []

    def note(number: int) -> int:
        seen.append((number, threading.current_thread().name, threading.get_ident()))
        return number * 2

    answers = await asyncio.gather(*(thread.call(note, number) for number in range(20)))
    thread.stop()
    assert answers == [number * 2 for number in range(20)]
    assert [number for number, _, _ in seen] == list(range(20))
    assert {name for _, name, _ in seen} == {"test"}
    assert len({ident for _, _, ident in seen}) == 1


async def test_what_a_call_raises_comes_out_where_it_is_awaited() -> None:
    thread = OneThread("test")
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 / 0)
    assert await thread.call(lambda: 3) == 3
    thread.stop()


async def test_a_call_that_is_no_longer_awaited_still_comes_before_the_next() -> None:
    thread = OneThread("test")
    gate, seen = threading.Event(), list[int]()

    def first() -> None:
        gate.wait()
        seen.append(1)

    task = asyncio.create_task(thread.call(first))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    second = asyncio.create_task(thread.call(seen.append, 2))
    await asyncio.sleep(0)
    gate.set()
    await second
    thread.stop()
    assert seen == [1, 2]


async def test_the_loop_goes_on_while_a_call_blocks() -> None:
    thread = OneThread("test")
    gate = threading.Event()
    blocked = asyncio.create_task(thread.call(gate.wait))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not blocked.done()
    gate.set()
    assert await blocked
    thread.stop()


async def test_stop_ends_the_thread_after_its_last_call_and_a_later_call_begins_a_new_one() -> None:
    thread = OneThread("test")
    before = thread.running
    first = await thread.call(threading.current_thread)
    assert (before, thread.running) == (False, True)
    thread.stop()
    thread.stop()
    await eventually(lambda: not first.is_alive())
    second = await thread.call(threading.current_thread)
    assert second is not first
    thread.stop()


def test_an_answer_after_the_end_of_the_loop_disturbs_nobody() -> None:
    thread = OneThread("test")
    gate = threading.Event()

    async def begin() -> threading.Thread:
        found = await thread.call(threading.current_thread)
        waiting = asyncio.create_task(thread.call(gate.wait))
        await asyncio.sleep(0)
        waiting.cancel()
        return found

    found = asyncio.run(begin())
    gate.set()
    thread.stop()
    found.join(5)
    assert not found.is_alive()


async def test_a_saturated_loop_does_not_starve_the_thread() -> None:
    thread = OneThread("test")
    await thread.call(time.monotonic)
    assert sys.getswitchinterval() <= SWITCH_SECONDS
    turns = 0

    def take_turns() -> None:
        nonlocal turns
        for _ in range(50):
            time.sleep(0)
            turns += 1

    work = asyncio.create_task(thread.call(take_turns))
    deadline = time.monotonic() + 5
    # As a feed does when more comes than it can handle: some hundred events, then a breath.
    while not work.done() and time.monotonic() < deadline:
        busy = time.monotonic() + 0.0007
        while time.monotonic() < busy:
            pass
        await asyncio.sleep(0)
    assert work.done(), f"{turns} turns in 5 s"
    await work
    thread.stop()


async def test_a_call_that_nobody_waits_for_any_more_keeps_the_thread_busy_until_it_ends() -> None:
    thread = OneThread("test")
    gate = threading.Event()
    before = thread.busy
    waiting = asyncio.create_task(thread.call(gate.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (before, thread.busy) == (False, True)
    gate.set()
    await eventually(lambda: not thread.busy)
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 / 0)
    assert not thread.busy
    thread.stop()
