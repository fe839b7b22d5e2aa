"""A machine that has no network when it starts, or sleeps for a night: row L12.

A process that sleeps is stopped by a signal while its clocks go on (`tests.support.shifted_clock`): all but the timers,
which stand still while a laptop is suspended; or all of them, as when a virtual machine is paused.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.own_network import own_network
from tests.support.shifted_clock import ShiftedClock
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
HOURS = 8 * 3600.0
SYMBOLS = [f"S{number}" for number in range(40)]
# Enough of each symbol for its rhythm to be learned, so that its silence could be noticed.
LEARNED = 60 * len(SYMBOLS)

Clocks = Literal["laptop", "virtual machine"]
Connection = Literal["reset", "silent"]


def config(url: str) -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {url}
    symbols: {json.dumps(SYMBOLS)}
    market_hours: always
    stale_after: {{connection: 60s, symbol: learned}}
    heartbeat: {{interval: 500ms, timeout: 500ms}}
    reconnect: {{initial_delay: 50ms, max_delay: 50ms, jitter: 0}}
alerts:
  - {{name: set, symbols: ["S*"], above: 0.01}}
  - {{name: far, symbols: ["S*"], above: 1000000, on_blind: notify}}
  - {{name: held, symbols: ["S*"], above: 0.01, for: 10m}}
sinks: {{events: {{type: file, path: events.jsonl, batch: {{interval: 50ms}}}}}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


class Night:
    """A daemon that sleeps for eight hours, and what it has told of since it woke up."""

    def __init__(self, folder: Path, clocks: Clocks, connection: Connection) -> None:
        self.folder = folder
        self.clocks = clocks
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self.slept_at = 0.0
        self.back_after = 0.0
        self.connects = 0

    async def pass_by(self) -> None:
        clock = ShiftedClock(self.folder)
        async with Simulator("twelvedata", rate=2_000) as simulator:
            async with DaemonProcess(self.folder, config(simulator.url), KEY="any-key", **clock.environ) as daemon:
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > LEARNED)
                await self._sleep(daemon, simulator, clock)
                woken = time.monotonic()
                await daemon.until("/health", lambda health: health["feeds"]["us"]["connections"][0]["reconnects"] == 1)
                await daemon.until("/health", lambda health: health["status"] == "healthy")
                before = await daemon.get("/api/v1/stats")
                self.back_after = time.monotonic() - woken
                # Long enough for every look at what is silent: there is one a second.
                await daemon.until(
                    "/api/v1/stats",
                    lambda stats: (
                        stats["uptime"] > before["uptime"] + 2.5
                        and stats["updates_received"] > before["updates_received"] + LEARNED
                    ),
                )
                assert {each["stale"] for each in (await daemon.get("/api/v1/prices")).values()} == {False}
                assert await daemon.stop() == 0
            self.connects = simulator.connects
        told = [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]
        self.events = [event for event in told if event.get("received_at", event["timestamp"]) > self.slept_at + 60]
        self.events += [event for event in told if event["event"] == "price.alert" and event not in self.events]

    async def _sleep(self, daemon: DaemonProcess, simulator: Simulator, clock: ShiftedClock) -> None:
        daemon.send(signal.SIGSTOP)
        state = Path(f"/proc/{daemon.process.pid}/stat")
        await eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
        self.slept_at = time.time()
        # What came in before the cable went dead lies in the socket, and is read in the morning.
        sent = simulator.sent.total()
        await eventually(lambda: simulator.sent.total() > sent + 20)
        if self.connection == "silent":
            simulator.mute(simulator.connections[0], dead=True)
        else:
            await simulator.drop(simulator.connections[0])
        if self.clocks == "laptop":
            clock.suspend(HOURS)
        else:
            clock.pass_over(HOURS)
        daemon.send(signal.SIGCONT)

    def named(self, *names: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] in names]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["laptop", "virtual machine"])
async def clocks(request: pytest.FixtureRequest) -> Clocks:
    found: Clocks = request.param
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["reset", "silent"])
async def night(request: pytest.FixtureRequest, clocks: Clocks, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """One night of each kind, for all that is asked about it."""
    found = Night(tmp_path_factory.mktemp("night"), clocks, request.param)
    await found.pass_by()
    return found


def test_l12_after_a_night_asleep_prices_come_at_once_and_nobody_is_woken_by_old_news(night: Night) -> None:
    # A dead connection is found by its heartbeat, within one interval and the time for an answer.
    assert night.back_after < 3.0
    assert night.connects == 2
    # One sentence about the night, at most, and not one for each symbol.
    assert len(night.named("price.stale")) <= 1
    assert not night.named("alert.blind", "alert.sighted")
    assert len(night.named("price.error")) == 1
    (gap,) = night.named("price.gap")
    assert set(gap["symbols"]) == set(SYMBOLS)
    # Each rang when it was set, and none again.
    rung = Counter(event["alert_name"] for event in night.named("price.alert"))
    assert rung["set"] == len(SYMBOLS)
    assert not rung["far"]


def test_l12_an_alert_that_has_to_hold_does_not_ring_for_hours_that_nobody_watched(night: Night) -> None:
    assert not [event for event in night.named("price.alert") if event["alert_name"] == "held"]


def test_l12_the_gap_that_is_told_of_begins_when_the_machine_fell_asleep(night: Night) -> None:
    (gap,) = night.named("price.gap")
    assert night.slept_at - 60 < gap["from"] < night.slept_at + 60
    assert gap["to"] > night.slept_at + HOURS


def test_l12_a_daemon_without_a_network_is_ready_says_why_and_catches_up(tmp_path: Path) -> None:
    command = [*own_network(tmp_path), sys.executable, "-m", "tests.faults.boot_program", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert found["first word"] == "READY=1"
    assert found["ready seconds"] < 5.0
    assert found["livez"] == "ok\n"
    assert "0 of 2 live" in found["readyz"]
    assert found["health"]["status"] == "unhealthy"
    assert "no address for feed.test" in found["health"]["feeds"]["named"]["reason"]
    assert "unreachable" in found["health"]["feeds"]["numbered"]["reason"]
    assert found["prices"] == {}
    # The network is there: the next dial, two tenths of a second later at most, gets through.
    assert found["prices then"] == ["AAPL", "MSFT"]
    assert found["caught up seconds"] < 2.0
    # What an earlier life owed is delivered, too, beside the two of today.
    assert found["delivered of old"] == 20
    assert found["delivered"] == 22
    assert found["delivered seconds"] < 10.0
    assert found["health then"] == "healthy"
    assert found["readyz then"] == "ok\n"
    assert found["connects"] == 2
    assert found["exit code"] == 0
    # Silence before the first price is no staleness; dials that fail are told of once a minute.
    events = Counter(event["event"] for event in found["events"])
    assert not {"price.stale", "price.gap", "alert.blind"} & set(events)
    assert events["price.alert"] == 2
    for feed, words in (("named", "no address for feed.test"), ("numbered", "unreachable")):
        assert sum(words in line for line in found["loud lines"]) == 1, feed
