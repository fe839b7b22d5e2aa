"""Faults inside the process, rows P1, P2, P3 and P5, as the daemon has them: listeners of its user's, and tasks that die.

A task is killed as no bug can be wrought from outside: a listener of the configuration throws an exception into it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from itertools import pairwise
from pathlib import Path

import pytest

from pricestreamd.daemon.supervise import MAX_CRASHES, supervise
from pricestreamd.simulator.server import Simulator
from tests.integration.test_daemon import config
from tests.support.daemon import DaemonProcess
from tests.support.shifted_clock import ShiftedClock
from tests.support.waiting import eventually

HOOKS = """\
import asyncio, os, time

def fails(event):
    raise (ValueError if event.sequence % 2 else KeyboardInterrupt)("bad")

async def slow(event):
    await asyncio.sleep(10)

async def slower_than_it_should_be(event):
    await asyncio.sleep(0.02)

def blocks(event):
    if event.sequence == 100:
        time.sleep(1.5)

def kills(event):
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if os.environ["VICTIM"] in (task.get_name(), coroutine.__qualname__):
            waits_for = task._fut_waiter
            try:
                coroutine.throw(RuntimeError("a bug"))
            except (RuntimeError, StopIteration):
                pass
            # Or it would not be looked at before that is done, which may be never.
            if waits_for is not None and not waits_for.done():
                waits_for.set_result(None)
"""


def with_listeners(folder: Path, *names: str, more: str = "") -> str:
    (folder / "faulty_hooks.py").write_text(HOOKS)
    listeners = ", ".join(f'{{event: price.update, call: "faulty_hooks:{name}"}}' for name in names)
    return f"plugin_paths: ['{folder}']\nlisteners: [{listeners}]\n{more}"


def metric(scrape: str, series: str) -> float:
    (value,) = re.findall(rf"^pricestream_{re.escape(series)} (\S+)$", scrape, re.MULTILINE)
    return float(value)


async def test_p1_p2_listeners_that_fail_and_dawdle_cost_the_stream_and_their_neighbours_nothing(
    tmp_path: Path,
) -> None:
    more = with_listeners(tmp_path, "fails", "slow", "slower_than_it_should_be", more="shutdown_timeout: 300ms")
    async with Simulator("twelvedata", rate=1_000) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, more=more), KEY="any-key") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 2_000)
            feeds = await daemon.get("/api/v1/feeds")
            scrape = await daemon.get("/metrics")
            stats = await daemon.get("/api/v1/stats")
            # Two of three have not had their turn, and their queues are lost at the end.
            assert await daemon.stop() == 75
        assert simulator.connects == 1
    # Nobody waits for ten seconds: ticks are as old as the way is long, and all of them came.
    assert feeds["us"]["connections"][0]["lag_seconds"] < 1.5  # its times are whole seconds
    assert metric(scrape, 'ticks_total{feed="us"}') <= stats["updates_received"]
    late = metric(scrape, "event_loop_lag_seconds_count") - metric(scrape, 'event_loop_lag_seconds_bucket{le="1.0"}')
    assert late == 0
    # Counted by listener; after a hundred failures it is left alone.
    assert metric(scrape, 'listener_errors_total{listener="faulty_hooks:fails"}') == 100
    assert metric(scrape, 'listener_errors_total{listener="faulty_hooks:slow"}') == 0
    assert sum("faulty_hooks:fails failed 100 times in a row: left alone for 60 s" in line for line in daemon.log) == 1
    # Told once a minute, however often it happens.
    for words in ("faulty_hooks:slower_than_it_should_be took", "faulty_hooks:slow falls behind"):
        assert sum(words in line for line in daemon.log) == 1, words


async def test_p3_a_loop_that_hangs_gives_the_watchdog_no_sign_of_life(tmp_path: Path) -> None:
    period = 0.9
    more = with_listeners(tmp_path, "blocks")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        pings: list[float] = []

        async def listen() -> None:
            while True:
                if b"WATCHDOG=1" in await asyncio.get_running_loop().sock_recv(manager, 4096):
                    pings.append(time.monotonic())

        listening = asyncio.create_task(listen())
        async with Simulator("twelvedata", rate=100) as simulator:
            async with DaemonProcess(
                *(tmp_path, config(simulator, more=more)),
                KEY="any-key",
                NOTIFY_SOCKET=str(tmp_path / "notify"),
                WATCHDOG_USEC=str(int(period * 1e6)),
            ) as daemon:
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 250)
                before = len(pings)
                await eventually(lambda: len(pings) >= before + 3)
                assert await daemon.stop() == 0
        listening.cancel()
    pauses = [after - ping for ping, after in pairwise(pings)]
    # Once it would have been restarted, and never else.
    assert sum(pause > period for pause in pauses) == 1
    assert max(pauses) >= 1.4
    assert any("faulty_hooks.py" in line and '"log.level": "warning"' in line for line in daemon.log)


async def test_p5_a_sink_that_dies_is_begun_again_five_times_and_then_the_process_ends_with_70(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path)
    more = with_listeners(tmp_path, "kills", more="sinks: {events: {type: file, path: events.jsonl}}")
    async with Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator, more=more)
        async with DaemonProcess(tmp_path, text, KEY="any-key", VICTIM="sink events", **clock.environ) as daemon:
            for times in range(1, MAX_CRASHES + 1):
                await have_failed(daemon, times)
                # Before it is begun again, the others go on.
                stats = await daemon.get("/api/v1/stats")
                await daemon.until(
                    "/api/v1/stats", lambda now, then=stats: now["updates_received"] > then["updates_received"]
                )
                assert failures(daemon) == times
                clock.pass_over(2.0**times)
            assert await daemon.ended() == 70
    assert failures(daemon) == MAX_CRASHES + 1
    assert any("giving up: task sink events failed 6 times" in line for line in daemon.log)


@pytest.mark.parametrize("victim", ["LoopLag.run", "Pulse.statistics", "Journal.run"])
async def test_p5_any_other_task_that_dies_ends_the_process_with_70_at_once(tmp_path: Path, victim: str) -> None:
    more = with_listeners(tmp_path, "kills")
    async with Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator, more=more)
        async with DaemonProcess(tmp_path, text, ready=False, KEY="any-key", VICTIM=victim) as daemon:
            assert await daemon.ended() == 70
    assert any("internal error" in line and '"log.level": "critical"' in line for line in daemon.log)


async def test_p5_a_task_that_ends_by_a_cancellation_of_its_own_is_begun_again() -> None:
    """As where a task waits for another one, which somebody has cancelled."""
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError

    await supervise("feed x", work, on_crash=lambda *_: None, initial_delay=0.001)
    assert runs == 2


async def have_failed(daemon: DaemonProcess, times: int) -> None:
    await eventually(lambda: failures(daemon) == times)


def failures(daemon: DaemonProcess) -> int:
    return sum("task sink events failed:" in line for line in daemon.log)
