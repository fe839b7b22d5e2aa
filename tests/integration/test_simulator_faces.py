"""The simulator's three faces over real sockets: WebSockets, server-sent events, plain requests; one market behind."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from pricestreamd.simulator.dialect import Limits
from pricestreamd.simulator.dialects import dialect_names
from pricestreamd.simulator.server import MAX_RATE, Simulator
from tests.support.waiting import eventually
from tests.unit.simulator.clients import (
    CLOSE,
    PING,
    connected,
    end_of,
    fetched,
    heard,
    over_and_over,
    price_messages,
    said,
    streaming,
    subscribed,
)

# --- Binance


async def test_binance_tells_trades_raw_and_wrapped_with_the_same_contiguous_ids() -> None:
    async with Simulator("binance", rate=500) as sim:
        async with connected(sim.url + "?streams=btcusdt@aggTrade/ethusdt@aggTrade") as wrapped:
            async with connected(f"ws://127.0.0.1:{sim.port}/ws/btcusdt@aggTrade") as raw:
                ids = [event["a"] for event in await price_messages(raw, 50)]
            events = [event["data"] for event in await price_messages(wrapped, 200)]
            assert sim.subscribed == ("BTCUSDT", "ETHUSDT")
        assert ids == list(range(ids[0], ids[0] + 50))
        for symbol in ("BTCUSDT", "ETHUSDT"):
            told = [event["a"] for event in events if event["s"] == symbol]
            assert told == list(range(told[0], told[0] + len(told)))
        assert set(ids) & {event["a"] for event in events}


async def test_binance_may_tell_one_symbol_in_several_ways_on_one_connection() -> None:
    async with Simulator("binance", rate=300) as sim, connected(sim.url) as client:
        streams = ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@miniTicker"]
        await client.send_json({"method": "SUBSCRIBE", "params": streams, "id": 7})
        assert await said(client) == {"result": None, "id": 7}
        seen: set[str] = set()
        while seen != set(streams):
            seen.add((await said(client))["stream"])
        await client.send_json({"method": "UNSUBSCRIBE", "params": streams, "id": 8})
        while (await said(client)).get("id") != 8:
            pass
        assert sim.subscribed == ()


async def test_binance_summaries_come_once_a_second_however_many_trades_there_are() -> None:
    async with (
        Simulator("binance", rate=2000) as sim,
        connected(f"ws://127.0.0.1:{sim.port}/ws/btcusdt@miniTicker") as client,
    ):
        loop = asyncio.get_running_loop()
        first = await said(client)
        at = loop.time()
        second = await said(client)
        assert loop.time() - at > 0.5
        assert (first["e"], second["e"]) == ("24hrMiniTicker", "24hrMiniTicker")
        assert float(second["v"]) > float(first["v"])


async def test_binance_pings_and_closes_a_client_that_never_answers() -> None:
    limits = Limits(ping_every=0.1, pong_within=0.3)
    async with Simulator("binance", limits=limits) as sim:
        async with connected(sim.url, autoping=False) as deaf, connected(sim.url) as polite:
            answers = asyncio.create_task(said(polite))
            ping = await heard(deaf)
            assert ping.type is PING
            assert ping.data.isdigit()
            await deaf.pong(b"unsolicited")
            assert await end_of(deaf) == (CLOSE, 1008, "Pong timeout")
            await eventually(lambda: len(sim.connections) == 1)
            await polite.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            assert await answers == {"result": [], "id": 1}


async def test_binance_counts_pings_as_messages_and_ends_what_is_too_much() -> None:
    async with Simulator("binance") as sim, connected(sim.url) as client:
        for number in range(3):
            await client.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        for _ in range(3):
            await client.ping()
        assert await end_of(client) == (CLOSE, 1008, "Too many requests")
        await eventually(lambda: not sim.connections)


async def test_binance_refuses_more_connections_than_it_allows_in_five_minutes() -> None:
    async with Simulator("binance", limits=Limits(connects=2)) as sim:
        async with connected(sim.url), connected(sim.url):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with connected(sim.url):
                    pass
            assert caught.value.status == 429
        assert (sim.connects, sim.refused, len(sim.dials)) == (2, 1, 3)


async def test_binance_answers_plain_requests_about_the_same_market() -> None:
    async with Simulator("binance", rate=100) as sim, subscribed(sim, "binance", "BTCUSDT") as client:
        [event, *_] = await price_messages(client, 20)
        status, body = await fetched(sim.http_url + "/api/v3/ticker/price", symbols='["BTCUSDT"]')
        assert status == 200
        [told] = json.loads(body)
        assert float(told["price"]) == pytest.approx(float(event["data"]["p"]), rel=0.05)
        assert sim.asked == {"BTCUSDT": 1}
        assert (len(sim.dials), len(sim.requests)) == (1, 1)
        assert (await fetched(sim.http_url + "/api/v3/ticker/price", symbol="NOSUCH"))[0] == 400


# --- IEX


async def test_iex_gives_a_snapshot_of_every_symbol_and_then_updates() -> None:
    async with Simulator("iex", rate=200) as sim:
        async with streaming(sim.url, symbols="spy,aapl,ibm", token="t") as stream:
            assert stream.response.content_type == "text/event-stream"
            first = [await stream.quotes() for _ in range(3)]
            assert [quote["symbol"] for [quote] in first] == ["SPY", "AAPL", "IBM"]
            updates = [await stream.quotes() for _ in range(30)]
            assert {quote["symbol"] for [quote] in updates} == {"SPY", "AAPL", "IBM"}
            assert sim.subscribed == ("SPY", "AAPL", "IBM")
            assert sim.connections[0].key == "t"
        await eventually(lambda: not sim.connections)
        async with streaming(sim.url, symbols="spy", nosnapshot="true") as stream:
            sim.pause()
            with pytest.raises(TimeoutError):
                await over_and_over(lambda: asyncio.wait_for(stream.event(), 0.3))


async def test_iex_gives_signs_of_life_that_hold_nothing() -> None:
    limits = Limits(ping_every=0.05)
    async with Simulator("iex", limits=limits) as sim, streaming(sim.url, symbols="spy") as stream:
        sim.pause()
        empty = 0
        while empty < 2:
            empty += not await stream.quotes()
        assert stream.comments


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"symbols": "spy"}, 401),
        ({"symbols": "spy", "token": "wrong"}, 403),
        ({"token": "right"}, 400),
        ({"symbols": ",".join(f"s{n}" for n in range(51)), "token": "right"}, 400),
        ({"symbols": "x" * 2000, "token": "right"}, 414),
    ],
)
async def test_iex_refuses_by_http_status(query: dict[str, str], status: int) -> None:
    async with Simulator("iex", api_key="right") as sim:
        assert (await fetched(sim.url, None, **query))[0] == status
        assert sim.refused == 1
        async with streaming(sim.url, symbols="spy", token="right") as stream:
            assert await stream.quotes()


async def test_iex_tells_the_newest_so_often_as_the_address_says() -> None:
    async with Simulator("iex", rate=2000) as sim:
        url = sim.url.replace("stocksUSNoUTP", "stocksUS1Second")
        async with streaming(url, symbols="spy,aapl") as stream:
            for _ in range(2):
                await stream.event()  # the snapshot
            loop, counts = asyncio.get_running_loop(), 0
            until = loop.time() + 2.5
            while loop.time() < until:
                await stream.event()
                counts += 1
        assert counts <= 8


async def test_iex_plays_a_file_and_has_no_snapshot_of_what_was_not_played(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("ts_ms,symbol,price,size\n" + "".join(f"{n * 1000},SPY,{100 + n},5\n" for n in range(50)))
    async with Simulator("iex", source=path, rate=MAX_RATE) as sim:
        async with streaming(sim.url, symbols="spy") as stream:
            told = [(await stream.quotes())[0] for _ in range(50)]
            assert [quote["latestPrice"] for quote in told] == [100 + n for n in range(50)]
            await asyncio.wait_for(sim.wait_played(), 5)
        async with streaming(sim.url, symbols="spy") as stream:
            [[quote]] = [await stream.quotes()]
            assert quote["latestPrice"] == 149


async def test_leaving_ends_streams_of_events_in_good_order() -> None:
    async with Simulator("iex", rate=100) as sim:
        async with aiohttp.ClientSession() as session:
            response = await session.get(sim.url, params={"symbols": "spy"})
            await sim.__aexit__(None, None, None)
            assert b"latestPrice" in await asyncio.wait_for(response.content.read(), 5)
            assert response.content.is_eof()
        await sim.__aenter__()


# --- plain requests


async def test_twelve_data_tells_last_prices_with_its_own_header() -> None:
    async with Simulator("twelvedata", rate=100, api_key="k") as sim:
        url = sim.http_url + "/price"
        status, body = await fetched(url, {"Authorization": "apikey k"}, symbol="AAPL,EUR/USD")
        assert status == 200
        assert set(json.loads(body)) == {"AAPL", "EUR/USD"}
        assert (await fetched(url, {"X-TD-APIKEY": "k"}, symbol="AAPL"))[0] == 401
        assert (await fetched(url, symbol="AAPL", apikey="k"))[0] == 200
        assert sim.connects == 0


async def test_a_last_price_is_the_last_one_that_was_streamed() -> None:
    async with Simulator("twelvedata", rate=200) as sim, subscribed(sim, "twelvedata", "AAPL,MSFT") as client:
        last = {event["symbol"]: event["price"] for event in await price_messages(client, 10)}
        sim.pause()
        _, body = await fetched(sim.http_url + "/price", symbol="MSFT")

        async def one_more() -> None:
            event = json.loads((await client.receive(timeout=0.2)).data)
            last[event["symbol"]] = event["price"]

        with pytest.raises(TimeoutError):
            await over_and_over(one_more)
        assert json.loads(body) == {"price": f"{last['MSFT']:.5f}"}


async def test_alpha_vantage_plays_a_file_to_those_who_ask(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text(
        "ts_ms,symbol,price,size\n" + "".join(f"{n * 1000},{'AB'[n % 2]},{100 + n},5\n" for n in range(2000))
    )
    async with Simulator("alphavantage", source=path, rate=500) as sim:

        async def price(symbol: str) -> float | None:
            _, body = await fetched(sim.url, function="GLOBAL_QUOTE", symbol=symbol, apikey="k")
            quote = json.loads(body)["Global Quote"]
            return float(quote["05. price"]) if quote else None

        first = await price("A")
        assert first is not None
        await asyncio.sleep(0.2)
        later = await price("A")
        assert later is not None
        assert first < later < 2100
        assert await price("C") is None
        assert sim.asked["A"] == 2
        await asyncio.wait_for(sim.wait_played(), 10)
        assert await price("A") == 2098


async def test_alpha_vantage_walks_on_between_two_requests() -> None:
    async with Simulator("alphavantage") as sim:
        prices: set[str] = set()
        while len(prices) < 2:
            _, body = await fetched(sim.url, function="REALTIME_BULK_QUOTES", symbol="IBM", apikey="k")
            prices.add(json.loads(body)["data"][0]["close"])
            await asyncio.sleep(0.1)


# --- several at once


async def test_all_dialects_share_a_port_and_a_market() -> None:
    async with Simulator(dialect_names(), rate=300) as sim:
        assert sim.url == sim.url_of("twelvedata")
        async with (
            subscribed(sim, "twelvedata", "AAPL,BTC/USD") as twelvedata,
            subscribed(sim, "generic", "AAPL,MSFT") as generic,
            subscribed(sim, "binance", "BTCUSDT") as binance,
            streaming(sim.url_of("iex"), symbols="aapl") as iex,
        ):
            theirs = {event["price"] for event in await price_messages(twelvedata, 100) if event["symbol"] == "AAPL"}
            ours = {item["price"] for event in await price_messages(generic, 100) for item in event["data"]}
            quoted = {quote["latestPrice"] for _ in range(40) for quote in await iex.quotes()}
            assert len(theirs & ours) > 10
            assert len(theirs & quoted) > 5
            await price_messages(binance, 10)
        assert set(sim.sent) == {"AAPL", "BTC/USD", "MSFT", "BTCUSDT"}


async def test_a_limit_of_connections_is_each_providers_own() -> None:
    async with Simulator(["twelvedata", "generic"], limits=Limits(connections_per_key=1)) as sim:
        async with connected(sim.url_of("twelvedata")) as first, connected(sim.url_of("generic")) as other:
            async with connected(sim.url_of("twelvedata")):
                assert (await end_of(first))[1] == 1006
            await other.send_str('{"op":"ping"}')
            assert await said(other) == {"type": "pong"}


async def test_limits_may_be_given_by_provider() -> None:
    async with Simulator(["twelvedata", "binance"], limits={"binance": Limits(max_symbols=1)}) as sim:
        async with subscribed(sim, "binance", "BTCUSDT,ETHUSDT") as client:
            assert (await said(client))["error"]["code"] == 4
        async with subscribed(sim, "twelvedata", "AAPL,MSFT") as other:
            assert (await said(other))["status"] == "ok"
