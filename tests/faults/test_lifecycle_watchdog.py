"""A daemon that hangs, and one that is well: rows P3 and P5, and what its service manager is told meanwhile."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from pricestreamd.simulator.server import Simulator
from tests.integration.test_daemon import config
from tests.support.daemon import DaemonProcess
from tests.support.service_manager import ManagerSocket
from tests.support.waiting import eventually

HOOKS = """\
import asyncio, pathlib, time

def blocks(event):
    if event.sequence == 20:
        time.sleep(600)

def stops_a_task(event):
    if event.sequence == 20:
        from pricestreamd.daemon import blindness
        blindness.LOOK_SECONDS = 1e9
        (watchdog,) = [task for task in asyncio.all_tasks() if task.get_name() == "watchdog"]
        watchdog.get_coro().cr_frame.f_locals["self"]._vitals._patience = 0.5
"""


def with_hook(folder: Path, name: str) -> str:
    (folder / "hanging_hooks.py").write_text(HOOKS)
    return f'plugin_paths: ["{folder}"]\nlisteners: [{{event: price.update, call: "hanging_hooks:{name}"}}]'


async def test_p3_a_loop_that_hangs_ends_itself_with_its_stack_where_nobody_watches_it(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator, more=with_hook(tmp_path, "blocks"))
        async with DaemonProcess(tmp_path, text, KEY="any-key", PRICESTREAM_WATCHDOG_SECONDS="1.5") as daemon:
            assert await daemon.ended() == -signal.SIGABRT
    told = "".join(daemon.log)
    assert "no sign of life from the event loop for 1.5 s: aborting\n" in told
    assert re.search(r'hanging_hooks.py", line 5 in blocks', told)
    # It was told of before that, in a line that programs can read.
    assert any('"loop_held_up"' in line and "hanging_hooks.py" in line for line in daemon.log)
    assert "any-key" not in told


async def test_p3_the_abort_of_a_service_manager_leaves_the_stack_without_any_setting(tmp_path: Path) -> None:
    async with ManagerSocket(tmp_path, watchdog_seconds=0.6) as manager, Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator, more=with_hook(tmp_path, "blocks"))
        async with DaemonProcess(tmp_path, text, KEY="any-key", **manager.environ) as daemon:
            await eventually(lambda: manager.heard("WATCHDOG=1") >= 1)
            await daemon.said("hanging_hooks.py")
            # As systemd does when the pings stay away.
            daemon.send(signal.SIGABRT)
            assert await daemon.ended() == -signal.SIGABRT
    told = "".join(daemon.log)
    assert "Fatal Python error: Aborted" in told
    assert re.search(r'hanging_hooks.py", line 5 in blocks', told)
    assert "aborting" not in told  # its own guard leaves that to the manager


async def test_p5_a_task_of_its_own_that_hangs_is_named_and_the_daemon_is_started_again(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator, more=with_hook(tmp_path, "stops_a_task"))
        async with DaemonProcess(tmp_path, text, KEY="any-key", PRICESTREAM_WATCHDOG_SECONDS="1") as daemon:
            await daemon.said("Blindness.run: hangs, so the watchdog is told nothing more")
            # The loop turns all the while.
            await daemon.get("/api/v1/prices")
            assert await daemon.ended() == -signal.SIGABRT
    assert any('"task_hangs"' in line and '"critical"' in line for line in daemon.log)


async def test_p5_a_task_of_its_own_that_hangs_gives_the_watchdog_no_sign_of_life(tmp_path: Path) -> None:
    async with ManagerSocket(tmp_path, watchdog_seconds=0.6) as manager, Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator, more=with_hook(tmp_path, "stops_a_task"))
        async with DaemonProcess(tmp_path, text, KEY="any-key", **manager.environ) as daemon:
            await daemon.said("Blindness.run: hangs, so the watchdog is told nothing more")
            pings = manager.heard("WATCHDOG=1")
            assert pings >= 1
            before = (await daemon.get("/api/v1/stats"))["uptime"]
            await daemon.until("/api/v1/stats", lambda stats: stats["uptime"] > before + 1.0)
            assert manager.heard("WATCHDOG=1") == pings
            assert await daemon.stop() == 0


async def test_a_silent_provider_and_a_feed_that_is_down_are_no_reason_to_restart(tmp_path: Path) -> None:
    async with (
        Simulator("twelvedata", scenario="mute") as mute,
        Simulator("twelvedata", scenario="unavailable") as down,
    ):
        other = f"  other: {{provider: twelvedata, api_key: k, endpoint: '{down.url}', symbols: [TSLA]}}\nstream:"
        text = config(mute).replace("stream:", other, 1)
        async with DaemonProcess(tmp_path, text, KEY="any-key", PRICESTREAM_WATCHDOG_SECONDS="1.2") as daemon:
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "live")
            before = (await daemon.get("/api/v1/stats"))["uptime"]
            await daemon.until("/api/v1/stats", lambda stats: stats["uptime"] > before + 2.5)
            assert await daemon.stop() == 0


async def test_the_status_tells_first_where_it_serves_then_how_its_feeds_are(tmp_path: Path) -> None:
    async with ManagerSocket(tmp_path) as manager:
        async with Simulator("twelvedata", rate=200) as good, Simulator("twelvedata", scenario="bad-key") as bad:
            other = f"  other: {{provider: twelvedata, api_key: wrong, endpoint: '{bad.url}', symbols: [TSLA], market_hours: always}}\n"
            more = "alerts: [{symbol: AAPL, above: 1000000}]"
            text = config(good, more=more).replace("stream:", f"{other}stream:", 1)
            async with DaemonProcess(tmp_path, text, KEY="any-key", **manager.environ) as daemon:
                line = r"1/2 feeds live \(other parked: key refused\), [\d.]+ updates/s, 1 alert, \d+ queued"
                await eventually(lambda: any(re.fullmatch(line, told) for told in manager.statuses))
                assert await daemon.stop() == 0
    assert manager.told[0].startswith("READY=1\nSTATUS=serving on http://")
    assert manager.statuses[-1] == "stopped"
