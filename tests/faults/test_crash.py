"""kill -9 at any instant, row L1: what was committed is delivered, under one id, and nothing fires again because of it.

`kill -9` does not show what a loss of power would: the system still has what was written. Torn files of the state are
tried in `tests/unit/state/test_torn_wal.py`.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.crash import Lane
from tests.support.crash_audit import broken_promises, missed_crossings
from tests.support.crash_market import Market
from tests.support.crash_nursery import Nursery
from tests.support.crash_owing import owe, owed
from tests.support.crash_receiver import Receiver
from tests.support.provider import ScriptedProvider

KILLS = 200
SEED = 4
# The share of deliveries that the receiver of each lane refuses, hangs over, or takes without an answer. Where it takes
# all, it has a firing within milliseconds.
REFUSED = (0.0, 0.3, 0.3, 0.3)
CALM_SECONDS = 2.0

PENDING = 10_000
READY_SECONDS = 2.0
STARTS = 3


@pytest.mark.timeout(900)
async def test_l1_two_hundred_kills_lose_no_firing_repeat_none_and_give_none_two_ids(tmp_path: Path) -> None:
    market = Market()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ScriptedProvider(market.trade))
        lanes, receivers = [], []
        for number, refused in enumerate(REFUSED):
            folder = tmp_path / str(number)
            folder.mkdir()
            nursery = await stack.enter_async_context(Nursery())
            receiver = await stack.enter_async_context(Receiver(folder / "accepted", refuse=refused, seed=SEED))
            lane = Lane(number, folder, nursery, provider.url, receiver.url, dice=random.Random(f"{SEED}/{number}"))
            stack.callback(lane.close)
            lanes.append(lane)
            receivers.append(receiver)
        await asyncio.gather(*(_crash(lane) for lane in lanes))
        killed = time.monotonic() - began
        # Whoever refuses most of all is one that is not there.
        for receiver in receivers:
            await receiver.restart(refuse=0.0)
        quiet = asyncio.Event()
        await asyncio.gather(_calm(market, lanes, quiet), *(lane.finish(quiet) for lane in lanes))
    accepted = [receiver.accepted() for receiver in receivers]
    _print(lanes, accepted, killed, time.monotonic() - began)
    assert sum(lane.figures.kills for lane in lanes) >= KILLS
    for lane, taken in zip(lanes, accepted, strict=True):
        broken = lane.broken + list(broken_promises(market, lane.committed, taken, lane.asked))
        broken += missed_crossings(market, lane.number, lane.committed, *market.lives[lane.number][-1])
        assert not broken, "\n".join(broken[:20])
        # Busy it was: several firings for each kill, of every kind.
        assert len(lane.committed) > 3 * lane.figures.kills
        kinds = {event["alert_id"].split("-")[0] for event in lane.committed.values()}
        assert kinds == {"over", "under", "either", "cool", "move", "held", "pair", "first", "api"}
        assert lane.made


async def _crash(lane: Lane) -> None:
    while lane.figures.kills < KILLS / len(REFUSED):
        await lane.crash()
        lane.examine()


async def _calm(market: Market, lanes: list[Lane], quiet: asyncio.Event) -> None:
    """All of them are told prices for a while, then no more."""
    async with asyncio.timeout(60):
        await asyncio.gather(*(lane.is_ready.wait() for lane in lanes))
    await asyncio.sleep(CALM_SECONDS)
    market.quiet = True
    quiet.set()


def _print(lanes: list[Lane], accepted: list[list[tuple[str, dict[str, Any]]]], killed: float, seconds: float) -> None:
    figures = [lane.figures for lane in lanes]
    ready = sorted(each for one in figures for each in one.ready)
    firings = Counter(firing for taken in accepted for firing, _ in taken)
    print(
        f"{sum(one.kills for one in figures)} kills in {killed:.0f} s ({sum(one.fresh for one in figures)} of new "
        f"interpreters, {sum(one.early for one in figures)} while they started, "
        f"{sum(one.writing for one in figures)} at a write, "
        f"{sum(one.locked for one in figures)} while they could not write), {seconds:.0f} s in all\n"
        f"{sum(len(lane.committed) for lane in lanes)} firings committed, {len(firings)} delivered, "
        f"{sum(count > 1 for count in firings.values())} of them more than once; ready after {statistics.median(ready):.2f} s, "
        f"at most {ready[-1]:.2f} s"
    )


@pytest.mark.timeout(300)
@pytest.mark.alone
async def test_l1_with_ten_thousand_pending_it_is_ready_within_two_seconds_and_delivers_them_in_order(
    tmp_path: Path,
) -> None:
    rows = [owed(number) for number in range(PENDING)]
    await owe(tmp_path / "state.db", "hook", rows)
    market = Market()
    market.quiet = True
    async with (
        Nursery() as nursery,
        Receiver(tmp_path / "accepted") as receiver,
        ScriptedProvider(market.trade) as provider,
    ):
        with closing(Lane(0, tmp_path, nursery, provider.url, receiver.url, dice=random.Random(SEED))) as lane:
            for _ in range(STARTS):
                await lane.start_and_kill()
            left = lane.pending()
            quiet = asyncio.Event()
            quiet.set()
            began = time.monotonic()
            await lane.finish(quiet)
        print(
            f"ready after {lane.figures.ready} s with {PENDING} pending; the last {left} drained in {time.monotonic() - began:.1f} s"
        )
    # The others are what a busy machine makes of it.
    assert min(lane.figures.ready) < READY_SECONDS
    assert left > PENDING * 0.9
    ids = [firing for firing, _ in receiver.accepted()]
    assert list(dict.fromkeys(ids)) == [row.event_id for row in rows]
    # Some were on their way when it was killed.
    assert len(ids) <= PENDING + STARTS
