"""Faults of whoever takes the log, row L10: nothing waits for it, nothing is lost but lines, and these are counted."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from pricestreamd.simulator.server import Simulator
from tests.integration.test_daemon import config, lines
from tests.support.waiting import eventually

SINKS = "sinks: {events: {type: file, path: events.jsonl, batch: {size: 2}}}"
LOST = re.compile(r"^pricestream_log_lines_lost_total (\d+)", re.MULTILINE)


class Quiet:
    """A daemon whose log the test does not read: its port is chosen, as it cannot say it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{port}")

    async def ask(self, path: str) -> Any:
        async with self._session.get(path) as response:
            return await (response.json() if "json" in response.content_type else response.text())

    async def until(self, path: str, condition: Callable[[Any], object], timeout: float = 15.0) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        answer = None
        while True:
            with suppress(aiohttp.ClientConnectionError):
                answer = await self.ask(path)
                if condition(answer):
                    return answer
            assert self.process.returncode is None
            assert loop.time() < deadline, answer
            await asyncio.sleep(0.02)

    async def goes_on(self) -> None:
        """Prices come, and every answer is quick."""
        loop = asyncio.get_running_loop()
        before = (await self.until("/api/v1/stats", lambda stats: stats["updates_received"] > 0))["updates_received"]
        await self.until("/api/v1/stats", lambda stats: stats["updates_received"] > before + 500)
        asked = loop.time()
        assert await self.ask("/livez")
        assert loop.time() - asked < 2.0

    async def lost(self, least: int = 1) -> int:
        def counted(scrape: str) -> bool:
            found = LOST.search(scrape)
            return found is not None and int(found[1]) >= least

        found = LOST.search(await self.until("/metrics", counted))
        assert found is not None
        return int(found[1])

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)

    async def close(self) -> None:
        await self._session.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def daemon(
    folder: Path, simulator: Simulator, *, output: int | None, closed: bool = False, level: str = "debug"
) -> AsyncIterator[Quiet]:
    """Runs with `output` as its stdout and stderr, or with neither of them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = config(simulator, more=SINKS).replace("127.0.0.1:0", f"127.0.0.1:{port}")
    # Each batch of a sink and each request is a line of the debug log.
    text = text.replace("{format: json}", f"{{format: json, level: {level}, stats_interval: 250ms}}")
    (folder / "config.yaml").write_text(text)
    command = [sys.executable, "-m", "pricestreamd", "run", "--config", str(folder / "config.yaml")]
    if closed:
        command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output if output is not None else asyncio.subprocess.DEVNULL,
        stderr=output if output is not None else asyncio.subprocess.DEVNULL,
        env={**os.environ, "STATE_DIRECTORY": str(folder), "KEY": "any"},
    )
    running = Quiet(process, port)
    try:
        yield running
    finally:
        await running.close()


def whole(folder: Path) -> list[int]:
    """The sequence of the updates that the sink has: every one, in order."""
    found = [event["sequence"] for event in lines(folder / "events.jsonl") if event["event"] == "price.update"]
    assert found == list(range(1, len(found) + 1))
    return [int(str(one)) for one in found]


async def test_l10_a_daemon_without_stdout_and_stderr_streams_and_its_first_files_do_not_take_their_place(
    tmp_path: Path,
) -> None:
    async with Simulator("twelvedata", rate=2_000) as simulator:
        async with daemon(tmp_path, simulator, output=None, closed=True) as running:
            await running.goes_on()
            await running.lost()
            # What a library of C writes to 1 or 2 must never get into the state, or onto a connection.
            for number in (0, 1, 2):
                assert Path(f"/proc/{running.process.pid}/fd/{number}").readlink() == Path("/dev/null")
            assert await running.stop() == 0
    assert len(whole(tmp_path)) > 500


async def test_l10_a_full_disk_below_the_log_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        async with Simulator("twelvedata", rate=2_000) as simulator:
            async with daemon(tmp_path, simulator, output=full) as running:
                await running.goes_on()
                first = await running.lost()
                await running.goes_on()
                assert await running.lost() >= first
                assert await running.stop() == 0
    finally:
        os.close(full)
    assert len(whole(tmp_path)) > 1_000


async def test_l10_a_pipe_that_nobody_reads_holds_up_nothing_and_once_read_it_tells_what_was_lost(
    tmp_path: Path,
) -> None:
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    async with Simulator("twelvedata", rate=2_000) as simulator:
        async with daemon(tmp_path, simulator, output=write_end) as running:
            os.close(write_end)
            await running.goes_on()

            # The queue of 2,000 lines has to be full first.
            lost = await running.lost()
            await running.goes_on()
            # Now somebody reads.
            taken = bytearray()
            loop = asyncio.get_running_loop()
            os.set_blocking(read_end, False)
            loop.add_reader(read_end, lambda: taken.extend(os.read(read_end, 65_536)))
            try:
                await eventually(lambda: b"log lines were lost: nobody took them" in taken, 15.0)
                assert await running.stop() == 0
            finally:
                loop.remove_reader(read_end)
    with suppress(BlockingIOError):
        while more := os.read(read_end, 65_536):
            taken.extend(more)
    os.close(read_end)
    told = [json.loads(line) for line in taken.decode().splitlines()]
    assert sum(line.get("lost", 0) for line in told) >= lost
    assert told[-1]["message"] == "stopped: ok"
    assert len(whole(tmp_path)) > 1_000


async def test_l10_a_pipe_that_nobody_reads_does_not_hold_up_the_end(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    try:
        async with Simulator("twelvedata", rate=2_000) as simulator:
            async with daemon(tmp_path, simulator, output=write_end) as running:
                os.close(write_end)
                await running.goes_on()
                assert await running.stop() == 0
    finally:
        os.close(read_end)
    assert len(whole(tmp_path)) > 500


async def test_l10_a_reader_that_dies_ends_nothing(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    async with Simulator("twelvedata", rate=2_000) as simulator:
        async with daemon(tmp_path, simulator, output=write_end) as running:
            os.close(write_end)
            await running.goes_on()
            os.close(read_end)
            await running.lost()
            await running.goes_on()
            assert await running.stop() == 0
    assert len(whole(tmp_path)) > 1_000


def _connected(simulator: Simulator, times: int) -> bool:
    return simulator.connects == times and bool(simulator.subscribed)


async def test_l10_what_repeats_is_a_line_a_minute_and_a_change_of_state_is_always_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    output = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        async with Simulator("twelvedata", rate=2_000, scenario="not-positive+unknown-events") as simulator:
            async with daemon(tmp_path, simulator, output=output, level="info") as running:
                await running.goes_on()
                for connects in (1, 2, 3):
                    await eventually(partial(_connected, simulator, connects))
                    await running.until("/health", lambda health: health["feeds"]["us"]["state"] == "live")
                    simulator.connections[0].cut(reset=True)
                await running.goes_on()
                assert await running.stop() == 0
    finally:
        os.close(output)
    messages = [line["message"] for line in map(json.loads, path.read_text().splitlines())]
    assert sum("frame rejected (not_positive)" in message for message in messages) == 1
    assert sum("disconnected (reset)" in message for message in messages) == 3
    assert sum("live with 2 symbols" in message for message in messages) == 4
