"""The ledger as a proof: what it says was sent is what our own adapters find in the bytes, each tick once."""

import asyncio
from collections import Counter
from contextlib import suppress

import aiohttp
import pytest

from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Terms
from pricestreamd.providers.catalogue import create
from pricestreamd.simulator.scenarios import find_scenario
from pricestreamd.simulator.server import Simulator
from tests.support.waiting import eventually
from tests.unit.simulator.clients import connected, streaming, subscribed

SYMBOLS = {
    "twelvedata": ["AAPL", "RY:TSX", "EUR/USD", "BTC/USD"],
    "binance": ["BTCUSDT", "ETHUSDT", "BNBUSDT"],
    "iex": ["SPY", "AAPL", "IBM"],
    "generic": ["AAPL", "BTC/USD"],
}


def reading(provider: str, symbols: list[str]) -> object:
    """An adapter that wants these symbols."""
    if provider == "generic":
        from pricestreamd.providers.description import Description

        description = Description(
            items="data", volume="size", timestamp="time", time_unit="ms", match={"type": "trades"}
        )
        adapter = create(provider, Terms(description=description))
    else:
        adapter = create(provider, Terms())
    for symbol in symbols:
        adapter.symbols.add(symbol)
    return adapter


class Reader:
    """Connects, takes down every tick, and connects again, until it is told to stop."""

    def __init__(self, sim: Simulator, provider: str) -> None:
        self.ticks: list[Tick] = []
        self._sim = sim
        self._provider = provider
        self._symbols = SYMBOLS[provider]
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, EOFError, TimeoutError):
                await (self._stream() if self._provider == "iex" else self._socket())
            await asyncio.sleep(0.01)

    async def _socket(self) -> None:
        adapter = reading(self._provider, self._symbols)
        async with subscribed(self._sim, self._provider, ",".join(self._symbols)) as client:
            while (message := await client.receive(timeout=1)).type is aiohttp.WSMsgType.TEXT:
                self._take(adapter, message.data)

    async def _stream(self) -> None:
        adapter = reading(self._provider, self._symbols)
        async with streaming(self._sim.url, symbols=",".join(self._symbols)) as stream:
            while True:
                self._take(adapter, await asyncio.wait_for(stream.event(), 1))

    def _take(self, adapter: object, text: str) -> None:
        found = adapter.decode(text, 0.0)  # type: ignore[attr-defined] # an adapter
        self.ticks += [message for message in found if isinstance(message, Tick)]


@pytest.mark.parametrize("provider", list(SYMBOLS))
@pytest.mark.alone
async def test_every_tick_that_is_owed_was_received_exactly_once_through_all_kinds_of_ends(provider: str) -> None:
    async with Simulator(provider, rate=500, rates="poisson", ledger=True) as sim:
        ledger = sim.ledger
        assert ledger is not None
        reader = Reader(sim, provider)
        hows: list[object] = ["reset", "eof", 1001, 1012, "reset", "eof"]
        for how in hows:
            count = len(reader.ticks)
            await eventually(lambda count=count: sim.connections and len(reader.ticks) > count + 40, 10)  # type: ignore[misc] # bound on purpose
            await sim.drop(sim.connections[0], how)  # type: ignore[arg-type] # one of the ways
        count = len(reader.ticks)
        await eventually(lambda: len(reader.ticks) > count + 40, 10)
        sim.pause()
        seen = -1
        while seen != len(reader.ticks):
            seen = len(reader.ticks)
            await asyncio.sleep(0.1)
        owed = ledger.owed(asyncio.get_running_loop().time(), margin=0.05)
        await reader.stop()
    received = Counter(int(tick.volume or 0) for tick in reader.ticks)
    assert len(owed) > 200
    assert not owed - set(received)
    assert set(received.values()) == {1}
    assert max(received) <= ledger.made
    for tick in reader.ticks:
        made = ledger.tick(int(tick.volume or 0))
        assert tick.price == pytest.approx(made.price, abs=1e-8)
    eof = "truncated" if provider == "iex" else "eof"
    assert [life.ending for life in ledger.lives[:6]] == ["reset", eof, "close 1001", "close 1012", "reset", eof]
    assert all(life.ended_at is not None for life in ledger.lives[:6])


async def test_a_tick_on_two_connections_has_one_number() -> None:
    async with Simulator("twelvedata", rate=500, ledger=True) as sim:
        first, second = Reader(sim, "twelvedata"), Reader(sim, "twelvedata")
        await eventually(lambda: len(first.ticks) > 100 and len(second.ticks) > 100)
        await first.stop()
        await second.stop()
        common = {tick.volume: tick for tick in first.ticks}.keys() & {tick.volume for tick in second.ticks}
        assert len(common) > 50
        by_number = {tick.volume: (tick.symbol, tick.price) for tick in first.ticks}
        assert all(
            by_number[tick.volume] == (tick.symbol, tick.price) for tick in second.ticks if tick.volume in by_number
        )
        await eventually(lambda: not sim.connections)
        assert sim.ledger is not None
        assert [life.ending for life in sim.ledger.lives] == ["client", "client"]


@pytest.mark.parametrize(
    "scenario",
    ["out-of-order+missing-fields+extra-keys", "odd-times+not-finite+strangers+unknown-events", "split+fragmented"],
)
async def test_spoilt_streams_owe_the_same(scenario: str) -> None:
    async with Simulator("twelvedata", rate=500, ledger=True, scenario=scenario, seed=2) as sim:
        assert sim.ledger is not None
        reader = Reader(sim, "twelvedata")
        await eventually(lambda: len(reader.ticks) > 300, 10)
        sim.pause()
        seen = -1
        while seen != len(reader.ticks):
            seen = len(reader.ticks)
            await asyncio.sleep(0.1)
        owed = sim.ledger.owed(asyncio.get_running_loop().time(), margin=0.0)
        await reader.stop()
    received = Counter(int(tick.volume or 0) for tick in reader.ticks)
    assert owed == set(received) - {0}
    assert all(count == 1 for number, count in received.items() if number)


async def test_repeated_ticks_are_written_down_as_often_as_they_are_written() -> None:
    scenario = find_scenario("duplicates")
    async with Simulator("generic", rate=300, ledger=True, scenario=scenario) as sim:
        assert sim.ledger is not None
        async with subscribed(sim, "generic", "AAPL") as client:
            await client.receive()
            for _ in range(60):
                await client.receive()
            [life] = sim.ledger.lives
            assert set(Counter(life.numbers).values()) == {3}
            assert len(life.times) == len(life.numbers)
        async with connected(sim.url):
            assert len(sim.ledger.lives) == 2
