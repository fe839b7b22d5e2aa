"""Each example is run as its reader would run it: a process, beside the simulated provider."""

import ast
import asyncio
import os
import re
import runpy
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self

import pytest

from pricestreamd import PriceAlert
from pricestreamd.config.load import load
from pricestreamd.simulator.server import MAX_RATE, Simulator
from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
STREAMING = [name for name in EXAMPLES if name != "stop_loss"]
NOON = 1_700_240_400  # 2023-11-17 12:00 in New York


class Example:
    """An example as a process, with what it has printed so far; ended by force at the end, if it must be."""

    def __init__(self, name: str, folder: Path, *options: str, **environ: str) -> None:
        self._command = (sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), *options)
        self._folder = folder
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("WEBSOCKET_")}
        self._environ = {**inherited, "PYTHONUNBUFFERED": "1", **environ}
        self.lines: list[str] = []
        self.errors: list[str] = []

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._folder,
            env=self._environ,
        )
        pairs = ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        self._readers = [asyncio.create_task(self._read(stream, lines)) for stream, lines in pairs]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            lines.append(line.decode().rstrip("\n"))

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when `condition()` is true, which it must become before the process ends."""
        await eventually(lambda: condition() or self.process.returncode is not None, 20, f"it said {self.lines}")
        assert condition(), "\n".join([*self.lines, *self.errors])

    async def says(self, text: str, times: int = 1) -> None:
        """Return when so many of its lines hold `text`."""
        await self.until(lambda: self.count(text) >= times)

    def count(self, text: str) -> int:
        """How many of its lines hold `text`."""
        return sum(text in line for line in self.lines)

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        code = await asyncio.wait_for(self.process.wait(), 20)
        await asyncio.gather(*self._readers)
        return code

    async def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it by a signal: it ends cleanly, and without complaints."""
        self.process.send_signal(number)
        assert (await self.ended(), self.errors) == (0, [])


def example(name: str, folder: Path, simulator: Simulator, *options: str) -> Example:
    """An example that gets its prices from `simulator`."""
    return Example(name, folder, "--endpoint", simulator.url, "--api-key", "any", *options)


def recorded(folder: Path, prices: Iterable[tuple[str, float]]) -> Path:
    """A file of prices, one a second."""
    rows = [f"{NOON + second},{symbol},{price},{second}" for second, (symbol, price) in enumerate(prices)]
    path = folder / "prices.csv"
    path.write_text("\n".join(["timestamp,symbol,price,volume", *rows, ""]))
    return path


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_explains_itself_and_uses_only_public_names(name: str) -> None:
    text = (ROOT / "examples" / f"{name}.py").read_text()
    tree = ast.parse(text)
    assert f"python examples/{name}.py" in (ast.get_docstring(tree) or "")
    assert len(text.splitlines()) < 100
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert "pricestreamd" in modules
    assert [module for module in modules if module.startswith("pricestreamd.")] == []


@pytest.mark.parametrize("name", STREAMING)
async def test_an_example_ends_cleanly_on_sigterm(name: str, tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=100) as simulator, example(name, tmp_path, simulator) as running:
        await running.until(lambda: simulator.sent.total() > 20)
        await running.stop(signal.SIGTERM)
        await eventually(lambda: not simulator.connections)


@pytest.mark.parametrize("name", STREAMING)
async def test_an_example_ends_by_itself_and_finds_its_provider_in_the_environment(name: str, tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=100, api_key="the-key") as simulator:
        found = {"WEBSOCKET_ENDPOINT": simulator.url, "WEBSOCKET_API_KEY": "the-key"}
        async with Example(name, tmp_path, "--seconds", "0.5", **found) as running:
            assert (await running.ended(), running.errors) == (0, [])
        assert simulator.sent.total() > 0


@pytest.mark.parametrize("name", STREAMING)
async def test_an_example_says_in_one_line_why_there_are_no_prices(name: str, tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="bad-key") as simulator:
        async with example(name, tmp_path, simulator) as running:
            assert await running.ended() == 1
        (line,) = running.errors
        assert line.startswith("no prices: ")
        assert "401" in line


async def test_basic_connection_prints_every_price_in_order(tmp_path: Path) -> None:
    prices = [(symbol, 100 + step / 4) for step in range(50) for symbol in ("AAPL", "MSFT", "GOOGL")]
    async with Simulator("twelvedata", source=recorded(tmp_path, prices), rate=MAX_RATE) as simulator:
        async with example("basic_connection", tmp_path, simulator) as running:
            await running.says("Price update", 150)
            await running.stop()
            assert running.lines[0] == f"Connected to 127.0.0.1:{simulator.port}"
    assert running.lines[1:151] == [f"Price update: {symbol} @ {price}" for symbol, price in prices]
    assert running.lines[151] == "Disconnected (stopped)"
    assert re.fullmatch(r"1\d\d messages, 0 reconnections", running.lines[152])


async def test_streaming_with_events_tells_of_updates_changes_and_what_was_kept(tmp_path: Path) -> None:
    prices = [("AAPL", 100.0), ("MSFT", 50.0), ("AAPL", 101.0), ("MSFT", 50.01), ("MSFT", 50.5), ("AAPL", 150.0)]
    async with Simulator("twelvedata", source=recorded(tmp_path, prices), rate=MAX_RATE) as simulator:
        async with example("streaming_with_events", tmp_path, simulator) as running:
            await running.says("AAPL: $150.0")
            await running.stop()
            address = f"127.0.0.1:{simulator.port}"
    assert running.lines == [
        f"feed.connected {address}",
        "AAPL: $100.0 (+0.000%)",
        "MSFT: $50.0 (+0.000%)",
        "AAPL: $101.0 (+1.000%)",
        "first change: AAPL @ 101.0",
        "MSFT: $50.01 (+0.020%)",
        "MSFT: $50.5 (+0.980%)",
        "AAPL: the next price is hard to believe",
        "AAPL: $150.0 (+48.515%)",
        f"feed.disconnected {address}",
        "counted {'price.update': 6, 'price.change': 2, 'feed.connected': 1, 'feed.disconnected': 1}",
        "history of AAPL: [100.0, 101.0]",
        "saved ['AAPL', 'MSFT']",
    ]


async def test_alerts_rings_for_each_kind_and_explains_itself(tmp_path: Path) -> None:
    prices = [
        *(("AAPL", 199.0), ("AAPL", 200.5), ("AAPL", 201.0), ("AAPL", 149.0)),
        *(("MSFT", 100.0), ("MSFT", 100.1), ("MSFT", 100.3), ("MSFT", 100.9)),
        *(("GOOGL", 100.0), ("GOOGL", 102.0), ("GOOGL", 101.9), ("GOOGL", 101.7), ("GOOGL", 101.0)),
    ]
    # A fall of a quarter is believed when a second print confirms it.
    prices.append(("AAPL", 149.0))
    async with Simulator("twelvedata", source=recorded(tmp_path, prices), rate=MAX_RATE) as simulator:
        async with example("alerts", tmp_path, simulator) as running:
            await running.says("AAPL 149.00")
            await running.stop()
    rung = [re.sub(r" at \d\d:\d\d:\d\d New York", "", line) for line in running.lines if line.startswith("ALERT")]
    assert rung == [
        "ALERT AAPL 200.50 crossed above 200.00 [price_above_200.00]",
        "ALERT MSFT 100.30 moved +0.30 % from 100.00 (alert at 0.20 %) [change_percent_0.20]",
        "ALERT GOOGL 101.70 fell 0.29 % from its high of 102.00 (alert at 0.20 %) [trailing_0.20]",
        "ALERT AAPL 149.00 crossed below 150.00 [price_below_150.00]",
    ]
    explained = running.lines[-4:]
    assert re.match(r"AAPL-[0-9a-f]{8}: armed; firings: 2; price_below_150.00: has fired", explained[0])
    assert re.match(r"msft-move: cooling; firings: 1; its cooldown lasts for another \d+ s", explained[1])
    assert explained[2] == "googl-stop: done; firings: 1; it has fired, and was to fire once"
    assert explained[3] == "alerts left: 1"


async def test_portfolio_monitor_values_each_position_and_all_of_them(tmp_path: Path) -> None:
    prices = [("AAPL", 165.0), ("MSFT", 280.0), ("AAPL", 168.0), ("MSFT", 285.0), ("AAPL", 168.01)]
    async with Simulator("twelvedata", source=recorded(tmp_path, prices), rate=MAX_RATE) as simulator:
        async with example("portfolio_monitor", tmp_path, simulator) as running:
            await running.says("MSFT")
            await simulator.wait_played()
            await running.stop()
    assert running.lines == [
        "AAPL: 100 shares @ 168.00 = 16,800.00 (+12.00 %)",
        "    2 of 3 positions: 30,800.00 (+2.67 %)",
        "MSFT: 50 shares @ 285.00 = 14,250.00 (-5.00 %)",
        "    2 of 3 positions: 31,050.00 (+3.50 %)",
    ]


async def test_volatility_pause_places_no_order_from_the_spike_until_it_is_calm(tmp_path: Path) -> None:
    calm = [("MSFT", 100.0), ("MSFT", 101.0), ("AAPL", 200.0), ("AAPL", 201.0)]
    after = [("AAPL", 220.0 + step % 2) for step in range(200)]
    file = recorded(tmp_path, [*calm, *after])
    async with Simulator("twelvedata", source=file, rate=100) as simulator:
        async with example("volatility_pause", tmp_path, simulator, "--pause", "0.3") as running:
            await running.says("AAPL order at 22", 3)
            await running.stop()
    told = [line for line in running.lines if line.startswith("AAPL")]
    spike = told.index("AAPL moved +9.45 %: paused for 0.3 s")
    assert told[:spike] in ([], ["AAPL order at 201.0"])
    assert told[spike + 1] == "AAPL is calm: resumed"
    assert all(line.startswith("AAPL order at 22") for line in told[spike + 2 :])
    # Other symbols are not held back.
    assert "MSFT order at 101.0" in running.lines


async def test_batching_writes_every_price_once_in_transactions_of_a_hundred(tmp_path: Path) -> None:
    prices = [(("AAPL", "MSFT", "GOOGL")[step % 3], 100 + step / 64) for step in range(950)]
    database = tmp_path / "stored.db"
    async with Simulator("twelvedata", source=recorded(tmp_path, prices), rate=MAX_RATE) as simulator:
        options = ("--database", str(database))
        async with example("batching_to_a_database", tmp_path, simulator, *options) as running:
            await running.says("100 prices written", 9)
            await running.stop()
    assert all(re.fullmatch(r"\d\d?\d? prices written", line) for line in running.lines)
    with closing(sqlite3.connect(database)) as stored:
        rows = stored.execute("SELECT symbol, price, timestamp FROM prices ORDER BY timestamp").fetchall()
    assert rows == [(symbol, price, NOON + step) for step, (symbol, price) in enumerate(prices)]


async def test_error_recovery_comes_back_after_losses_and_begins_anew_after_giving_up(tmp_path: Path) -> None:
    options = ("--delay", "0.02", "--pause", "0.2")
    async with Simulator("twelvedata", rate=100) as simulator:
        async with example("error_recovery", tmp_path, simulator, *options) as running:
            await running.until(lambda: simulator.sent.total() > 20)
            await simulator.drop(simulator.connections[0])
            await running.says("back: ")
            assert running.count("of AAPL, MSFT, GOOGL may be missing") == 1
            await running.until(lambda: set(simulator.subscribed) == {"AAPL", "GOOGL", "MSFT"})
            # Five attempts take about 0.6 s.
            simulator.refuse(3600)
            await simulator.drop(simulator.connections[0], "eof")
            await running.says("attempt 5 in")
            await running.says("gave up: ", 2)
            simulator.refuse(0)
            await running.says("connected to", 3)
            before = simulator.sent.total()
            await running.until(lambda: simulator.sent.total() > before)
            running.process.send_signal(signal.SIGINT)
            assert await running.ended() == 0
    assert running.count("attempt 6 in") == 0
    assert re.fullmatch(r"\d+ prices, [23] reconnections", running.lines[-1])
    assert not any("Traceback" in line for line in running.errors)


def test_stop_loss_makes_one_order_of_a_firing_that_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sell = runpy.run_path(str(ROOT / "examples" / "stop_loss.py"))["sell"]
    tick = (NOON, "AAPL", 139.5, None, 140.5, -1.0, -0.7, "USD", "stocks", NOON, 7)
    for firing_id in ("first", "first", "second"):
        sell(PriceAlert("run", 1, *tick, firing_id=firing_id, alert_text="AAPL 139.50 crossed below 140.00"))
    with closing(sqlite3.connect("orders.db")) as book:
        rows = book.execute("SELECT firing_id, symbol, shares, price FROM orders").fetchall()
    assert rows == [("first", "AAPL", 100, 139.5), ("second", "AAPL", 100, 139.5)]


def test_stop_loss_is_configured_as_it_says() -> None:
    loaded = load(ROOT / "examples" / "stop_loss.yaml", environ={"WEBSOCKET_API_KEY": "k" * 32})
    settings = loaded.settings
    assert loaded.warnings == ()
    assert [(alert.symbol, alert.below, alert.above, alert.once) for alert in settings.alerts] == [
        ("AAPL", 140.0, None, True),
        ("MSFT", None, 350.0, True),
    ]
    assert {alert.notify for alert in settings.alerts} == {tuple(settings.sinks)}
    assert [sink.type for sink in settings.sinks.values()] == ["call"]
    assert settings.plugin_paths == (ROOT / "examples",)


async def test_stop_loss_sells_once_although_the_broker_was_away_and_the_daemon_was_killed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "stop_loss.py", tmp_path)
    configuration = (ROOT / "examples" / "stop_loss.yaml").read_text()
    orders = tmp_path / "broker" / "orders.db"  # whose folder is missing: every call fails
    async with Simulator("twelvedata", rate=100) as simulator:
        run_daemon = partial(
            DaemonProcess,
            tmp_path,
            configuration,
            WEBSOCKET_ENDPOINT=simulator.url,
            WEBSOCKET_API_KEY="any",
            STOP_LOSS_PORT="0",
            AAPL_STOP="240",
            MSFT_PROFIT="1000000",
            ORDERS=str(orders),
        )
        async with run_daemon() as daemon:
            tried = re.compile(r'sink_retries_total\{sink="broker"\} [1-9]')
            await daemon.until("/metrics", tried.search, timeout=20)
            daemon.process.kill()
            await daemon.ended()
        orders.parent.mkdir()
        async with run_daemon() as daemon:
            await eventually(orders.exists, 20)
            received = (await daemon.get("/api/v1/stats"))["updates_received"]
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > received + 50)
            assert await daemon.stop() == 0
    async with Example("stop_loss", tmp_path, ORDERS=str(orders)) as listing:
        assert (await listing.ended(), listing.errors) == (0, [])
    (line,) = listing.lines
    assert re.match(r"sold 100 AAPL at 23\d\.\d+ because AAPL 23\d\.\d+ is below 240.00 at ", line)
