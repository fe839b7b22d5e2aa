"""Functions of the user's that hang or refuse to be ended, in the daemon as a process: it goes on, and it ends."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pricestreamd.daemon.ending import BoundedLoop
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.transports.dialler import Dialler
from pricestreamd.feeds.transports.gate import DialGate
from pricestreamd.providers import catalogue
from tests.support.daemon import DaemonProcess
from tests.support.provider import ScriptedProvider
from tests.support.waiting import eventually

HOOKS = """
import asyncio, atexit, threading, time
from concurrent.futures import ThreadPoolExecutor

def note(what):
    with open("{log}", "a") as log:
        log.write(what + "\\n")

async def threads(event):
    note("threads")
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 600) for _ in range(60)))

async def stubborn(event):
    note("stubborn")
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            note("cancelled")

def own_thread(event):
    threading.Thread(target=time.sleep, args=(600,)).start()
    note("own_thread")

pool = ThreadPoolExecutor()

def idle_pool(event):
    pool.submit(int).result()
    atexit.register(note, "atexit")
    note("idle_pool")

def plain(event):
    note("plain")
    time.sleep(600)
"""


class Scene:
    """A daemon's folder whose sinks call functions that never end."""

    def __init__(self, folder: Path, provider: ScriptedProvider, *names: str, more: str = "") -> None:
        self.log = folder / "calls.txt"
        (folder / "hanging_hooks.py").write_text(HOOKS.format(log=self.log))
        sinks = "".join(
            f'  {name}: {{type: call, call: "hanging_hooks:{name}", timeout: 300ms, retry: {{delays: [1s]}}}}\n'
            for name in names
        )
        self.provider = provider
        self.config = f"""
plugin_paths: ['{folder}']
feeds:
  us: {{provider: twelvedata, api_key: some-key, endpoint: '{provider.url}', symbols: [AAPL], market_hours: always,
       reconnect: {{initial_delay: 50ms, max_delay: 200ms}}}}
stream: {{suspect: null}}
alerts:
  - {{name: high, symbol: AAPL, above: 200}}
sinks:
{sinks}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""

    async def fire(self, called: str) -> None:
        """Have the alert fire, and wait until the function `called` has noted it."""
        await eventually(lambda: self.provider.conversations and "AAPL" in self.provider.last.subscribed)
        await self.provider.last.price("AAPL", 201.0)
        await eventually(lambda: called in self.noted())

    def noted(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


async def test_functions_that_take_all_threads_of_the_loop_hold_up_neither_a_reload_nor_the_end(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        scene = Scene(tmp_path, provider, "threads", more="shutdown_timeout: 2s")
        async with DaemonProcess(tmp_path, scene.config) as daemon:
            await scene.fire("threads")
            daemon.config.write_text(scene.config.replace("above: 200", "above: 300"))
            daemon.send(signal.SIGHUP)
            await daemon.said(": symbols +0 -0, alerts 1")
            provider.last.drop()
            await eventually(lambda: len(provider.conversations) == 2)
            began = time.monotonic()
            assert await daemon.stop() == ExitCode.OK
            assert time.monotonic() - began < 2 + 3
            assert any("does not end, so it is broken off: thread asyncio_" in line for line in daemon.log)
            assert not (tmp_path / "http-token").exists()


async def test_a_coroutine_that_does_not_let_itself_be_cancelled_ends_neither_its_sink_nor_holds_up_the_end(
    tmp_path: Path,
) -> None:
    async with ScriptedProvider() as provider:
        more = "shutdown_timeout: 2s\nlisteners: [{event: price.alert, call: 'hanging_hooks:stubborn'}]"
        scene = Scene(tmp_path, provider, "stubborn", "plain", more=more)
        async with DaemonProcess(tmp_path, scene.config) as daemon:
            await scene.fire("stubborn")
            await daemon.said("hanging_hooks:stubborn has not ended after 0.3 s although it was cancelled")
            # Another alert is called with all the same.
            calls = scene.noted().count("stubborn")
            await provider.last.price("AAPL", 100.0)
            await provider.last.price("AAPL", 250.0)
            await eventually(lambda: scene.noted().count("stubborn") > calls)
            began = time.monotonic()
            code = await daemon.stop()
            assert time.monotonic() - began < 2 + 5
            # One event was not handed to the listener to its end.
            assert code == ExitCode.UNDELIVERED
            assert any("does not end, so it is broken off: task " in line for line in daemon.log)


async def test_a_second_signal_ends_the_daemon_at_once_whatever_hangs(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        more = "shutdown_timeout: 60s\nlisteners: [{event: price.alert, call: 'hanging_hooks:stubborn'}]"
        scene = Scene(tmp_path, provider, "stubborn", "threads", more=more)
        async with DaemonProcess(tmp_path, scene.config) as daemon:
            await scene.fire("threads")
            daemon.send(signal.SIGTERM)
            await daemon.said("SIGTERM: stopping")
            began = time.monotonic()
            await daemon.stop()
            assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["own_thread", "idle_pool"])
async def test_a_thread_of_the_users_does_not_keep_the_process_and_one_that_ends_is_waited_for(
    tmp_path: Path, name: str
) -> None:
    async with ScriptedProvider() as provider:
        scene = Scene(tmp_path, provider, name)
        async with DaemonProcess(tmp_path, scene.config) as daemon:
            await scene.fire(name)
            began = time.monotonic()
            assert await daemon.stop() == ExitCode.OK
            assert time.monotonic() - began < 5
            assert not any("broken off" in line for line in daemon.log)
    assert ("atexit" in scene.noted()) is (name == "idle_pool")


async def test_certificates_are_read_while_all_threads_of_the_loop_are_busy() -> None:
    release = threading.Event()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        loop.set_default_executor(threads)
        busy = loop.run_in_executor(None, release.wait, 20)
        try:
            profile = catalogue.profile("twelvedata")
            dialler = Dialler(FeedSettings(provider="twelvedata"), profile, "wss://example.org/", DialGate())
            options = await asyncio.wait_for(dialler.options(), 10)
            assert options.tls is not None
        finally:
            release.set()
            await busy


@pytest.mark.parametrize("quick", [True, False])
def test_a_loop_ends_what_can_be_ended_and_names_what_can_not(quick: bool) -> None:
    release, over = threading.Event(), []

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                over.append("cancelled")
                if quick:
                    return

    async def work() -> str:
        tasks.append(asyncio.create_task(stubborn(), name="mine"))
        tasks.append(asyncio.get_running_loop().run_in_executor(None, release.wait, 20))
        await asyncio.sleep(0.01)
        return "done"

    tasks: list[object] = []
    loop = BoundedLoop()
    assert loop.run(work()) == "done"
    if quick:
        release.set()
    began = time.monotonic()
    left = loop.close(0.3)
    assert time.monotonic() - began < 2
    assert over == ["cancelled"]
    assert left == ([] if quick else ["task mine", "thread asyncio_0"])
    if not quick:
        release.set()
        assert loop.close(5) == []
