"""What a test can do to a running simulator, and what it can ask of it."""

import asyncio
from collections import Counter
from typing import Literal

import aiohttp
import pytest

from pricestreamd.simulator.server import Simulator
from tests.support.waiting import eventually
from tests.unit.simulator.clients import (
    CLOSE,
    CLOSED,
    connected,
    end_of,
    fetched,
    over_and_over,
    price_messages,
    said,
    streaming,
    subscribed,
    upgraded,
)

How = Literal["reset", "eof"] | int


async def test_a_connection_can_be_dropped_in_any_way() -> None:
    ways: list[tuple[How, tuple[aiohttp.WSMsgType, int]]]
    ways = [("eof", (CLOSED, 1006)), (1012, (CLOSE, 1012)), (4000, (CLOSE, 4000))]
    async with Simulator("generic", rate=100) as sim:
        for how, expected in ways:
            async with connected(sim.url) as client, connected(sim.url) as other:
                ended = asyncio.create_task(end_of(client))
                await sim.drop(sim.connections[0], how, "because")
                kind, code, reason = await ended
                assert (kind, code) == expected
                assert reason == ("because" if kind is CLOSE else "")
                assert len(sim.connections) == 1
                await other.send_str('{"op":"ping"}')
                assert await said(other) == {"type": "pong"}
            await eventually(lambda: not sim.connections)
        reader, writer = await upgraded(sim.port, "/generic/stream")
        await eventually(lambda: sim.connections)
        await sim.drop(sim.connections[0])
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_stream_of_events_can_be_dropped_too() -> None:
    hows: list[How] = ["eof", "reset", 1001]
    async with Simulator("iex", rate=100) as sim:
        for how in hows:
            async with streaming(sim.url, symbols="spy") as stream:
                await stream.event()
                await sim.drop(sim.connections[0], how)
                with pytest.raises((EOFError, aiohttp.ClientError)):
                    await over_and_over(stream.event)


async def test_one_connection_can_be_muted_or_killed_while_others_go_on() -> None:
    async with Simulator("generic", rate=400) as sim:
        async with subscribed(sim, "generic", "AAPL") as first, subscribed(sim, "generic", "AAPL") as second:
            await price_messages(first, 5)
            await price_messages(second, 5)
            sim.mute(sim.connections[0])
            before = sim.connections[0].sent
            await first.send_str('{"op":"ping"}')
            await price_messages(second, 100)
            assert sim.connections[0].sent == before
            while (await said(first))["type"] != "pong":
                pass
            sim.mute(sim.connections[1], dead=True)
            await eventually(lambda: sim.subscribed == ())
            await second.send_str('{"op":"ping"}')
            with pytest.raises(TimeoutError):
                await over_and_over(lambda: second.receive(timeout=0.3))


async def test_the_market_can_stand_still_while_everything_else_is_answered() -> None:
    async with Simulator("generic", rate=400) as sim, subscribed(sim, "generic", "AAPL") as client:
        await price_messages(client, 5)
        sim.pause()
        sent = sim.sent.total()
        await client.send_str('{"op":"ping"}')
        while (await said(client))["type"] != "pong":
            pass
        assert sim.sent.total() <= sent + 1
        sim.resume()
        await price_messages(client, 5)


async def test_dials_can_be_refused_for_a_while_and_are_counted_with_their_times() -> None:
    async with Simulator("generic") as sim:
        began = asyncio.get_running_loop().time()
        sim.refuse(0.3, 429)
        statuses: list[int] = []
        while not statuses or statuses[-1]:
            try:
                async with connected(sim.url):
                    statuses.append(0)
            except aiohttp.WSServerHandshakeError as exc:
                statuses.append(exc.status)
            await asyncio.sleep(0.02)
        assert set(statuses) == {0, 429}
        assert len(sim.dials) == len(statuses) == sim.refused + sim.connects
        assert sim.dials[0] >= began
        assert list(sim.dials) == sorted(sim.dials)
        assert sim.dials[-1] - began >= 0.3


async def test_the_scenario_can_be_switched_for_what_comes() -> None:
    async with Simulator(["generic", "alphavantage"], scenario="unavailable", rate=300) as sim:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with connected(sim.url):
                pass
        sim.switch("steady")
        async with subscribed(sim, "generic", "A,B,C") as client:
            assert (await said(client))["refused"] == {}
            assert all(isinstance(event["data"][0]["price"], float) for event in await price_messages(client, 10))
            sim.switch("text-prices+reject-some")
            while not isinstance((await price_messages(client, 1))[0]["data"][0]["price"], str):
                pass
            await client.send_json({"op": "subscribe", "symbols": "D,E,F"})
            answer = await said(client)
            while answer["type"] != "subscribed":
                answer = await said(client)
            assert answer["refused"] == {"F": "no such symbol"}
        sim.switch("bad-key")
        assert "apikey is invalid" in (await fetched(sim.url_of("alphavantage"), function="x", apikey="k"))[1]
        assert sim.scenario.name == "bad-key"


async def test_connections_tell_who_they_are() -> None:
    async with Simulator("twelvedata", rate=100) as sim, connected(sim.url + "?apikey=mine") as client:
        await client.send_json({"action": "subscribe", "params": {"symbols": "AAPL,RY:TSX"}})
        await price_messages(client, 5)
        [connection] = sim.connections
        assert (connection.number, connection.key) == (1, "mine")
        assert connection.subscribed == sim.subscribed == ("AAPL", "RY:TSX")
        assert connection.sent >= 5
        assert not connection.muted
        assert connection.opened_at <= asyncio.get_running_loop().time()
        connection.say(['{"event":"unheard-of"}'])
        while (await said(client))["event"] != "unheard-of":
            pass


async def test_five_hundred_symbols_tick_at_random_with_rates_of_their_own() -> None:
    symbols = ",".join(f"S{number}" for number in range(500))
    async with Simulator("twelvedata", rate=20_000, rates="poisson", seed=5) as sim:
        async with subscribed(sim, "twelvedata", symbols) as client:
            assert len((await said(client))["success"]) == 500
            events = await price_messages(client, 20_000)
            counts = Counter(event["symbol"] for event in events)
    assert len(counts) > 450
    assert counts.most_common(1)[0][1] > 8 * sorted(counts.values())[50]


async def test_random_ticks_are_the_same_for_the_same_seed() -> None:
    async def order(seed: int) -> list[str]:
        async with Simulator("generic", rate=2000, rates="poisson", seed=seed) as sim:
            async with subscribed(sim, "generic", "A,B,C,D") as client:
                return [event["data"][0]["symbol"] for event in await price_messages(client, 200)]

    assert await order(1) == await order(1) != await order(2)


async def test_chaos_strikes_again_and_again_and_says_what_it_did() -> None:
    async with Simulator("generic", scenario="chaos:60ms", rate=200, seed=4) as sim:
        deadline = asyncio.get_running_loop().time() + 20

        async def client() -> None:
            while asyncio.get_running_loop().time() < deadline and len(sim.faults) < 60:
                try:
                    async with subscribed(sim, "generic", "AAPL") as made:
                        while (await made.receive(timeout=0.3)).type is aiohttp.WSMsgType.TEXT:
                            pass
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(client() for _ in range(3)))
        kinds = {fault.what for fault in sim.faults}
        assert kinds >= {"reset", "eof", "mute", "half-open", "closed door"}
        assert any(kind.startswith("close ") for kind in kinds)
        assert sim.connects > 10
        assert sim.refused > 0
        assert [fault.at for fault in sim.faults] == sorted(fault.at for fault in sim.faults)
        assert all(bool(fault.connection) == (fault.what not in ("slow acks", "closed door")) for fault in sim.faults)


async def test_without_chaos_there_are_no_faults() -> None:
    async with Simulator("generic") as sim:
        assert sim.faults == ()
        assert sim.ledger is None
