"""Ten thousand clients that say nothing, and those that say it a letter at a time: rows E1 and E2."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pricestreamd.http.connection import MAX_CONNECTIONS
from tests.support.daemon import DaemonProcess
from tests.support.provider import Conversation, ScriptedProvider
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
CLIENTS = 10_000
PROCESSES = 2
SLOW = MAX_CONNECTIONS + 100
RATE = 500
STEP = 0.01
CALM_SECONDS = 3.0
# The same machine, the same run: this often as long is a difference; less may be luck, for one in a hundred is rare.
WORSE = 2.0
LATE_SECONDS = 0.5
MIB = 1 << 20


class Market:
    """A steady stream of prices, each stamped with the time at which it was written."""

    def __init__(self) -> None:
        self.sent = 0

    async def trade(self, conversation: Conversation) -> None:
        """The script of the provider."""
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                await conversation.acknowledge(message)
                break
        transport = conversation.transport
        assert transport is not None
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not transport.is_closing():
            due += STEP
            for _ in range(int(RATE * STEP)):
                self.sent += 1
                text = (
                    f'{{"event":"price","symbol":"AAPL","price":{100 + self.sent % 7},"timestamp":{time.time():.6f}}}'
                )
                transport.write(bytes((0x81, len(text))) + text.encode())
            await asyncio.sleep(due - loop.time())


def config(url: str) -> str:
    return f"""
feeds:
  us: {{provider: twelvedata, api_key: any-key, endpoint: "{url}", symbols: [AAPL], market_hours: always}}
stream: {{out_of_order: accept}}
listeners: [{{event: price.update, call: "tests.faults.ages_listener:on_update"}}]
plugin_paths: ["{ROOT}"]
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


class Ages:
    """What the listener wrote down: for each price when it came, its age since it was sent, and since it was received."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def between(self, begin: float, end: float) -> tuple[list[float], list[float]]:
        """Both ages of the prices of that time, sorted."""
        rows = [tuple(map(float, line.split())) for line in self._file.read_text().splitlines()]
        within = [row for row in rows if begin <= row[0] < end]
        return sorted(row[1] for row in within), sorted(row[2] for row in within)


@contextlib.asynccontextmanager
async def crowd(kind: str, daemon: DaemonProcess, count: int, found: list[dict[str, int]]) -> AsyncIterator[None]:
    """`count` clients of one process, all of whom have been in; `found` gets what the process says in the end."""
    assert daemon.url is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.crowd_programs", kind, daemon.url.rpartition(":")[2], str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"connected\n"
        yield
        process.stdin.close()
        found.append(json.loads(await asyncio.wait_for(process.stdout.readline(), 20)))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def ask_all_the_time(daemon: DaemonProcess, waited: list[float]) -> None:
    """Somebody who means well: a new connection and a question ten times a second."""
    while True:
        begun = time.monotonic()
        assert await daemon.get("/livez") == "ok\n"
        waited.append(time.monotonic() - begun)
        await asyncio.sleep(0.1)


def established(daemon: DaemonProcess) -> int:
    """How many sockets the daemon has open."""
    return sum(
        target.startswith("socket:")
        for entry in Path(f"/proc/{daemon.process.pid}/fd").iterdir()
        if (target := read_link(entry))
    )


def read_link(entry: Path) -> str:
    with contextlib.suppress(OSError):
        return str(entry.readlink())
    return ""


def p99(ages: list[float]) -> float:
    return ages[len(ages) * 99 // 100]


@pytest.mark.alone
async def test_e1_ten_thousand_idle_clients_and_slow_ones_leave_prices_and_questions_alone(tmp_path: Path) -> None:
    market = Market()
    waited: list[float] = []
    held: list[dict[str, int]] = []
    slow: list[dict[str, int]] = []
    ages = Ages(tmp_path / "ages.txt")
    async with ScriptedProvider(market.trade) as provider:
        async with DaemonProcess(tmp_path, config(provider.url), AGES_FILE=str(tmp_path / "ages.txt")) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 2 * RATE)
            marks = [time.time()]
            await asyncio.sleep(CALM_SECONDS)
            marks.append(time.time())
            asking = asyncio.create_task(ask_all_the_time(daemon, waited))
            async with contextlib.AsyncExitStack() as stack:
                entering = (crowd("idle", daemon, CLIENTS // PROCESSES, held) for _ in range(PROCESSES))
                await asyncio.gather(*map(stack.enter_async_context, entering))
                # All have been in; those beyond the cap are out again within a second.
                await eventually(lambda: established(daemon) <= MAX_CONNECTIONS + 10, 1.0, "they stay")
                await asyncio.sleep(1.0)
                marks.append(time.time())
            async with crowd("slow", daemon, SLOW, slow):
                await asyncio.sleep(CALM_SECONDS)
                marks.append(time.time())
            asking.cancel()
            assert not asking.done()
            status = Path(f"/proc/{daemon.process.pid}/status").read_text()
            assert await daemon.stop() == 0
    (calm_sent, calm), (idle_sent, idle), (slow_sent, slowed) = (
        ages.between(*pair) for pair in itertools.pairwise(marks)
    )
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024
    told = {
        "sent to listener, p99 ms": [round(1000 * p99(each), 3) for each in (calm_sent, idle_sent, slow_sent)],
        "received to listener, p99 ms": [round(1000 * p99(each), 3) for each in (calm, idle, slowed)],
        "longest question s": round(max(waited), 3),
        "peak MiB": round(peak / MIB),
        "crowds": [*held, *slow],
    }
    print(json.dumps(told))
    # What has been received goes its way as before.
    assert p99(idle) < WORSE * p99(calm), told
    assert p99(slowed) < WORSE * p99(calm), told
    # What waits in the socket meanwhile waits for a turn of the loop, and nobody is kept out.
    assert p99(idle_sent) < LATE_SECONDS, told
    assert p99(slow_sent) < LATE_SECONDS, told
    assert len(waited) > 20, told
    assert max(waited) < 2.0, told
    # Of those who said nothing, as many stay as there is room for; nobody was turned away by the system.
    assert MAX_CONNECTIONS - 50 <= sum(each["held"] for each in held) <= MAX_CONNECTIONS, told
    assert sum(each["refused"] for each in (*held, *slow)) == 0, told
    assert slow[0]["cut"] > SLOW - MAX_CONNECTIONS, told
    assert peak < 110 * MIB, told
