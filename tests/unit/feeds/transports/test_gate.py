"""How many connections are dialled at a time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from pricestreamd.feeds.transports.gate import DIALS_AT_ONCE, DialGate
from pricestreamd.providers.twelvedata import PROFILE
from tests.support.waiting import eventually


async def test_no_more_than_five_dials_to_a_host_are_under_way_at_once() -> None:
    gate, done = DialGate(), asyncio.Event()
    under_way = 0

    async def dial() -> None:
        nonlocal under_way
        async with gate.turn("example.org", PROFILE):
            under_way += 1
            await done.wait()
            under_way -= 1

    tasks = [asyncio.create_task(dial()) for _ in range(12)]
    await eventually(lambda: under_way == DIALS_AT_ONCE)
    assert sum(task.done() for task in tasks) == 0
    # A host that keeps all of its dials waiting keeps no other host waiting.
    async with asyncio.timeout(0.2):
        async with gate.turn("another.example.org", PROFILE):
            pass
    done.set()
    await asyncio.gather(*tasks)


async def test_a_host_is_dialled_no_more_often_than_its_provider_allows() -> None:
    gate = DialGate()
    profile = replace(PROFILE, connects=3, connects_window=0.3)
    times = []
    for _ in range(7):
        async with gate.turn("example.org", profile):
            times.append(time.monotonic())
    assert all(later - earlier >= 0.3 for earlier, later in zip(times, times[3:], strict=False))
    async with asyncio.timeout(0.2):
        async with gate.turn("another.example.org", profile):
            pass


async def test_a_dial_that_fails_or_is_cancelled_gives_its_turn_back() -> None:
    gate = DialGate()
    held = asyncio.Event()

    async def hold() -> None:
        async with gate.turn("example.org", PROFILE):
            held.set()
            await asyncio.Event().wait()

    for _ in range(2 * DIALS_AT_ONCE):
        held.clear()
        task = asyncio.create_task(hold())
        await held.wait()
        task.cancel()
        await asyncio.wait({task})
    async with asyncio.timeout(1):
        async with gate.turn("example.org", PROFILE):
            pass
