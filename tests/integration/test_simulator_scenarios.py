"""What each scenario does on the wire, and that nothing else happens."""

import asyncio
import json
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from pricestreamd.simulator.scenarios import SCENARIOS
from pricestreamd.simulator.server import MAX_RATE, Simulator
from tests.support.waiting import eventually
from tests.unit.simulator.clients import (
    BINARY,
    CLOSE,
    CLOSED,
    ERROR,
    PING,
    TEXT,
    connected,
    end_of,
    fetched,
    heard,
    masked,
    over_and_over,
    price_messages,
    said,
    streaming,
    subscribed,
    upgraded,
)

SOCKETS = ("twelvedata", "generic", "binance")
SYMBOLS = {"twelvedata": "AAPL,MSFT", "generic": "AAPL,MSFT", "binance": "BTCUSDT,ETHUSDT"}


async def refusal(url: str) -> aiohttp.WSServerHandshakeError:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with connected(url):
            pass
    return caught.value


# --- dialling


@pytest.mark.parametrize(
    ("scenario", "status", "retry_after"),
    [
        ("refuse", 500, None),
        ("refuse:502", 502, None),
        ("too-many-requests", 429, "5"),
        ("retry-after:-5", 503, "-5"),
        ("retry-after:99999999", 503, "99999999"),
        ("retry-after:soon", 503, "soon"),
    ],
)
async def test_upgrades_are_refused(scenario: str, status: int, retry_after: str | None) -> None:
    async with Simulator(SOCKETS, scenario=scenario) as sim:
        for provider in SOCKETS:
            error = await refusal(sim.url_of(provider))
            assert error.status == status
            assert error.headers is not None
            assert error.headers.get("Retry-After") == retry_after


async def test_retry_after_may_be_a_date_a_few_seconds_ahead() -> None:
    async with Simulator("twelvedata", scenario="retry-after") as sim:
        headers = (await refusal(sim.url)).headers
        assert headers is not None
        assert 0 < (parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])).seconds < 10


async def test_an_upgrade_may_be_answered_by_something_else() -> None:
    async with Simulator("twelvedata", scenario="redirect") as sim:
        async with aiohttp.ClientSession() as session:
            async with session.get(sim.http_url + "/v1/quotes/price", allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (302, "/moved/v1/quotes/price")
    async with Simulator("twelvedata", scenario="captive-portal") as sim:
        assert (await refusal(sim.url)).status == 200
        assert "Wi-Fi" in (await fetched(sim.http_url + "/v1/quotes/price"))[1]
    async with Simulator("twelvedata", scenario="bad-accept") as sim:
        error = await refusal(sim.url)
        assert "Invalid challenge response" in error.message


async def test_a_slow_handshake_is_answered_in_the_end() -> None:
    async with Simulator("twelvedata", scenario="slow-handshake:300ms") as sim:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with connected(sim.url):
            assert loop.time() - began >= 0.3
    async with Simulator("twelvedata", scenario="slow-handshake") as sim:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), connected(sim.url):
                pass


@pytest.mark.parametrize(
    ("scenario", "first_ends", "second_ends"),
    [("kill-oldest", 1006, None), ("kill-newest", None, 1008), ("kill-both", 1006, 1006)],
)
async def test_one_connection_too_many_ends_somebody(
    scenario: str, first_ends: int | None, second_ends: int | None
) -> None:
    async with Simulator("generic", scenario=scenario) as sim:
        url = sim.url + "?key=one"
        async with connected(url) as first, connected(url) as second, connected(sim.url + "?key=other") as other:
            for client, code in ((first, first_ends), (second, second_ends), (other, None)):
                if code is not None:
                    assert (await end_of(client))[1] == code
                else:
                    await client.send_str('{"op":"ping"}')
                    assert await said(client) == {"type": "pong"}


async def test_one_connection_too_many_may_be_refused_and_let_in_when_there_is_room() -> None:
    async with Simulator("twelvedata", scenario="refuse-newest:2") as sim:
        async with connected(sim.url), connected(sim.url):
            assert (await refusal(sim.url)).status == 429
        await eventually(lambda: not sim.connections)
        async with connected(sim.url):
            assert len(sim.connections) == 1


# --- ending


CODES = [1000, 1001, 1008, 1011, 1012, 1013, 4001]


@pytest.mark.parametrize("code", CODES)
async def test_connections_are_closed_with_a_code_and_with_or_without_a_reason(code: int) -> None:
    async with Simulator("generic", scenario=f"close-{code}:50ms") as sim, connected(sim.url) as client:
        assert await end_of(client) == (CLOSE, code, "")
    async with (
        Simulator("generic", scenario=f"close-{code}:50ms+with-reason:because") as sim,
        connected(sim.url) as client,
    ):
        assert await end_of(client) == (CLOSE, code, "because")


async def test_the_usual_reason_is_the_codes_own() -> None:
    async with Simulator("generic", scenario="close-1012:50ms+with-reason") as sim, connected(sim.url) as client:
        assert await end_of(client) == (CLOSE, 1012, "service restart")


@pytest.mark.parametrize("scenario", ["drop:50ms", "close-1006:50ms", "accept-then-drop"])
async def test_connections_are_dropped_without_a_close_frame(scenario: str) -> None:
    async with Simulator("generic", scenario=scenario) as sim:
        for number in (1, 2):
            async with connected(sim.url) as client:
                assert (await end_of(client))[:2] == (CLOSED, 1006)
            await eventually(lambda: not sim.connections)
            assert sim.connects == number


async def test_streams_of_events_end_too() -> None:
    for scenario in ("drop:100ms", "goodbye:100ms", "reset:100ms", "lifetime:100ms", "server-shutdown:100ms"):
        async with Simulator("iex", scenario=scenario, rate=100) as sim, streaming(sim.url, symbols="spy") as stream:
            with pytest.raises((EOFError, aiohttp.ClientError)):
                await over_and_over(stream.event)
            await eventually(lambda: not sim.connections)


async def test_a_shutdown_is_announced_by_those_who_have_words_for_it() -> None:
    async with Simulator(SOCKETS, scenario="server-shutdown:100ms") as sim:
        async with connected(sim.url_of("binance")) as client:
            assert (await said(client))["data"]["e"] == "serverShutdown"
            assert (await end_of(client))[:2] == (CLOSE, 1001)
        async with connected(sim.url_of("twelvedata")) as client:
            assert (await end_of(client))[:2] == (CLOSE, 1001)


async def test_every_connection_has_the_same_lifetime() -> None:
    async with Simulator("binance", scenario="lifetime:200ms") as sim:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            began = loop.time()
            async with connected(sim.url) as client:
                assert (await end_of(client))[:2] == (CLOSE, 1001)
            assert loop.time() - began >= 0.2


# --- silence


@pytest.mark.parametrize("provider", SOCKETS)
async def test_half_open_is_silent_to_everything_and_does_not_hang_up(provider: str) -> None:
    async with Simulator(provider, scenario="half-open:200ms", rate=200) as sim:
        async with subscribed(sim, provider, SYMBOLS[provider], autoping=False, autoclose=False) as client:
            await price_messages(client, 3)
            await eventually(lambda: sim.connections[0].dead)
            await client.ping()
            await client.send_str('{"op":"ping"}')
            with pytest.raises(TimeoutError):
                await over_and_over(lambda: client.receive(timeout=0.4))
            assert len(sim.connections) == 1
        await eventually(lambda: not sim.connections)


async def kinds_until_silence(client: aiohttp.ClientWebSocketResponse, seconds: float) -> list[aiohttp.WSMsgType]:
    """The kinds of all messages until nothing comes for so long. Pings are answered."""
    kinds: list[aiohttp.WSMsgType] = []
    while True:
        try:
            message = await client.receive(timeout=seconds)
        except TimeoutError:
            return kinds
        kinds.append(message.type)
        assert message.type in (TEXT, PING), message
        if message.type is PING:
            await client.pong(message.data)


async def test_signs_of_life_go_on_without_a_price_until_they_do_not() -> None:
    async with Simulator("binance", scenario="ping-only-then-mute:1s+hurry:80", rate=200) as sim:
        async with subscribed(sim, "binance", "BTCUSDT", autoping=False) as client:
            kinds = await kinds_until_silence(client, 0.6)
            assert kinds[0] is TEXT  # the acknowledgement
            assert kinds[1:] in ([PING] * 3, [PING] * 4)
            assert sim.connections[0].sent == 0


async def test_signs_of_life_stop_and_prices_do_not() -> None:
    async with Simulator(SOCKETS, scenario="pings-stop:600ms+hurry:80", rate=100) as sim:
        async with subscribed(sim, "binance", "BTCUSDT", autoping=False) as client:
            until = asyncio.create_task(kinds_until_silence(client, 0.6))
            await asyncio.sleep(1.5)
            sim.pause()
            kinds = await until
            assert kinds.count(PING) in (1, 2)
            assert PING not in kinds[len(kinds) // 2 :]
            assert kinds.count(TEXT) > 100
            sim.resume()
        async with subscribed(sim, "twelvedata", "AAPL") as client:
            await client.send_json({"action": "heartbeat"})
            while (await said(client))["event"] != "heartbeat":
                pass
            await asyncio.sleep(0.7)
            await client.send_json({"action": "heartbeat"})
            assert {(await said(client))["event"] for _ in range(100)} == {"price"}


async def test_no_pong_is_no_pong_and_nothing_else() -> None:
    async with Simulator("generic", scenario="no-pong", rate=100) as sim:
        async with subscribed(sim, "generic", "AAPL", autoping=False) as client:
            await client.ping()
            assert {(await heard(client)).type for _ in range(30)} == {TEXT}


async def test_half_a_message_comes_and_then_nothing() -> None:
    async with Simulator("twelvedata", scenario="partial-frame:200ms", rate=100) as sim:
        reader, writer = await upgraded(sim.port)
        writer.write(masked('{"action":"subscribe","params":{"symbols":"AAPL"}}'))
        received = bytearray()

        async def more() -> None:
            received.extend(await asyncio.wait_for(reader.read(65536), 0.5))

        with pytest.raises(TimeoutError):
            await over_and_over(more)
        assert received.count(b'"price":') > 3
        assert received.endswith(b'{"event":"price","symbol":"AAPL","pric')
        writer.close()
    async with Simulator("iex", scenario="partial-frame:100ms", rate=100) as sim:
        async with streaming(sim.url, symbols="spy") as stream:
            with pytest.raises(TimeoutError):
                await over_and_over(lambda: asyncio.wait_for(stream.quotes(), 0.4))
            assert sim.connections[0].dead


# --- asking


async def test_prices_may_come_before_the_acknowledgement() -> None:
    for provider in SOCKETS:
        async with Simulator(provider, scenario="ack-after-data:200ms", rate=200) as sim:
            async with subscribed(sim, provider, SYMBOLS[provider]) as client:
                first = json.dumps(await said(client))
                assert "subscribe" not in first
                assert "result" not in first
                await eventually(lambda sim=sim: sim.connections[0].sent > 20)  # type: ignore[misc] # bound on purpose
                seen = [json.dumps(await said(client)) for _ in range(100)]
                assert any("subscribe" in text or "result" in text for text in seen)


async def test_what_was_given_up_goes_on_for_a_while() -> None:
    async with Simulator("twelvedata", scenario="late-unsubscribe:300ms", rate=200) as sim:
        async with subscribed(sim, "twelvedata", "AAPL,MSFT") as client:
            await price_messages(client, 4)
            await client.send_json({"action": "unsubscribe", "params": {"symbols": "AAPL"}})
            while (await said(client))["event"] != "unsubscribe-status":
                pass
            after = await price_messages(client, 10)
            assert {event["symbol"] for event in after} == {"AAPL", "MSFT"}
            await eventually(lambda: sim.subscribed == ("MSFT",))


async def test_over_the_cap_the_excess_gets_no_prices() -> None:
    async with Simulator(SOCKETS, scenario="over-cap:2", rate=200) as sim:
        async with subscribed(sim, "twelvedata", "A,B,C") as client:
            assert [fail["symbol"] for fail in (await said(client))["fails"]] == ["C"]
            assert {event["symbol"] for event in await price_messages(client, 20)} == {"A", "B"}
        async with subscribed(sim, "binance", "BTCUSDT,ETHUSDT,BNBUSDT") as client:
            assert (await said(client))["error"]["code"] == 4
        async with subscribed(sim, "generic", "A,B,C") as client:
            assert (await said(client))["refused"] == {"C": "too many symbols"}
    async with Simulator("iex", scenario="over-cap:2") as sim:
        assert (await fetched(sim.url, symbols="a,b,c"))[0] == 400


# --- prices and frames: every scenario of these groups, on every face


def symbols_of(provider: str) -> str:
    return SYMBOLS.get(provider, "spy,aapl")


async def collected(provider: str, scenario: str, count: int) -> list[aiohttp.WSMessage | str]:
    """The next so many messages, of any kind."""
    async with Simulator(provider, scenario=scenario, rate=2000, seed=3) as sim:
        if provider == "iex":
            async with streaming(sim.url, symbols=symbols_of(provider)) as stream:
                return [await stream.event() for _ in range(count)]
        async with subscribed(sim, provider, symbols_of(provider), max_msg_size=0) as client:
            return [await heard(client) for _ in range(count)]


def good(message: aiohttp.WSMessage | str) -> list[tuple[str, float]]:
    """The symbols and prices of a message that a strict reader would take."""
    text = message if isinstance(message, str) else message.data
    if not isinstance(text, str):
        return []
    try:
        value = json.loads(text, parse_constant=lambda name: name)
    except (ValueError, RecursionError):
        return []
    found = []
    for item in quotes(value):
        price = next((item[name] for name in ("price", "p", "latestPrice") if name in item), None)
        try:
            number = float(price or 0) if not isinstance(price, bool) else 0.0
        except (TypeError, ValueError):
            continue
        if 0 < number < 1e15:
            found.append((str(item.get("symbol", item.get("s"))), number))
    return found


def quotes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [quote for item in value for quote in quotes(item)]
    if not isinstance(value, dict):
        return []
    inner = [quote for name in ("data",) for quote in quotes(value.get(name))]
    return inner or [value]


SPOILT = [name for name, known in SCENARIOS.items() if known.group in ("prices", "frames")]
TEARING = ("huge-header", "endless-message", "ping-flood")


@pytest.mark.parametrize("provider", [*SOCKETS, "iex"])
@pytest.mark.parametrize("scenario", [name for name in SPOILT if name not in (*TEARING, "bad-utf8", "big-frame")])
async def test_good_prices_come_through_whatever_comes_beside_them(provider: str, scenario: str) -> None:
    messages = await collected(provider, scenario, 3 if scenario == "batch" and provider in ("iex", "generic") else 80)
    prices = [one for message in messages for one in good(message)]
    wanted = {symbol.upper() for symbol in symbols_of(provider).split(",")}
    assert wanted <= {symbol for symbol, _ in prices}
    assert len([one for one in prices if one[0] in wanted]) >= 60


async def test_a_combination_does_all_of_it_at_once() -> None:
    scenario = "duplicates+text-prices+extra-keys+not-json+split+fragmented+null-lists"
    messages = await collected("twelvedata", scenario, 100)
    texts = [message.data for message in messages]  # type: ignore[union-attr] # of a WebSocket
    assert json.loads(texts[0])["fails"] is None
    priced = [json.loads(text) for text in texts if '"extra' in text or '"_v"' in text]
    assert all(isinstance(event["price"], str) for event in priced)
    counts = Counter(json.dumps(event) for event in priced)
    assert set(list(counts.values())[:-1]) == {3}
    assert any(text in ("OK", "", "\ufeff{}") for text in texts)


@pytest.mark.parametrize("provider", ["iex", "generic"])
async def test_a_batch_holds_a_thousand_ticks(provider: str) -> None:
    messages = await collected(provider, "batch", 4)
    assert max(len(good(message)) for message in messages) == 1000


async def test_a_big_message_is_five_megabytes() -> None:
    messages = await collected("twelvedata", "big-frame", 60)
    assert any(len(message.data) > 5_000_000 for message in messages)  # type: ignore[union-attr] # of a WebSocket


async def test_bytes_that_are_no_utf8_close_a_client_that_checks() -> None:
    async with Simulator("twelvedata", scenario="bad-utf8", rate=1000) as sim:
        async with subscribed(sim, "twelvedata", "AAPL") as client:
            kinds: list[aiohttp.WSMsgType] = []
            while not kinds or kinds[-1] is TEXT:
                kinds.append((await heard(client)).type)
            assert (kinds[-1], client.close_code) == (ERROR, 1007)


async def test_binary_messages_are_binary_on_the_wire() -> None:
    messages = await collected("twelvedata", "binary", 60)
    assert [message.type for message in messages].count(BINARY) >= 4  # type: ignore[union-attr] # of a WebSocket


async def test_a_header_may_promise_more_than_there_is_memory() -> None:
    async with Simulator("twelvedata", scenario="huge-header:100ms", rate=100) as sim:
        async with subscribed(sim, "twelvedata", "AAPL", max_msg_size=1 << 20) as client:
            assert (await end_of(client))[:2] == (ERROR, 1009)


async def test_a_message_may_have_no_end() -> None:
    async with Simulator("twelvedata", scenario="endless-message:100ms", rate=100) as sim:
        async with subscribed(sim, "twelvedata", "AAPL", max_msg_size=1 << 20) as client:
            assert (await end_of(client))[:2] == (ERROR, 1009)


async def test_pings_may_flood() -> None:
    async with Simulator("twelvedata", scenario="ping-flood:0s") as sim:
        async with connected(sim.url, autoping=False) as client:
            loop = asyncio.get_running_loop()
            await heard(client)
            began = loop.time()
            for _ in range(60):
                assert (await heard(client)).type is PING
            assert loop.time() - began < 1.5


async def test_a_burst_is_many_times_the_rate() -> None:
    async with Simulator("generic", scenario="burst:50", rate=40) as sim:
        async with subscribed(sim, "generic", "AAPL") as client:
            await asyncio.sleep(1.6)
            assert 800 < sim.sent.total() < 3000
            assert await said(client)


# --- limits


async def test_a_client_that_leaves_things_lying_is_dropped_at_any_rate() -> None:
    async with Simulator("twelvedata", scenario="slow-reader:300ms", rate=20_000) as sim:
        _, writer = await upgraded(sim.port)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport can
        writer.write(masked('{"action":"subscribe","params":{"symbols":"AAPL"}}'))
        async with subscribed(sim, "twelvedata", "MSFT") as client:
            await eventually(lambda: len(sim.connections) == 2)
            await eventually(lambda: len(sim.connections) == 1, timeout=10)
            await price_messages(client, 10)
        writer.transport.abort()


async def test_the_free_plan_of_alpha_vantage_is_soon_spent() -> None:
    async with Simulator("alphavantage", scenario="free-plan+hurry:1000") as sim:
        texts = []
        for _ in range(30):
            _, body = await fetched(sim.url, function="GLOBAL_QUOTE", symbol="IBM", apikey="k")
            texts.append(body)
            await asyncio.sleep(0.002)
        assert sum("Global Quote" in text for text in texts) <= 25
        assert any("25 requests per day" in text for text in texts)


# --- plain requests


async def poll(sim: Simulator) -> tuple[int, str]:
    return await fetched(sim.url, function="GLOBAL_QUOTE", symbol="IBM", apikey="k")


async def test_of_three_plain_requests_two_are_cut_off() -> None:
    for scenario in ("drop:0s", "reset:0s"):
        async with Simulator("alphavantage", scenario=scenario) as sim:
            outcomes = []
            for _ in range(4):
                try:
                    outcomes.append((await poll(sim))[0])
                except aiohttp.ClientError:
                    outcomes.append(0)
            assert outcomes == [0, 200, 0, 200]  # the client tries a lost request once more by itself


async def test_in_silence_plain_requests_get_the_same_price_for_ever() -> None:
    async with Simulator("alphavantage", scenario="mute:0s") as sim:
        first = await poll(sim)
        await asyncio.sleep(0.6)
        assert await poll(sim) == first


async def test_plain_requests_may_never_be_answered_or_only_by_half() -> None:
    for scenario in ("half-open:0s", "partial-frame:0s"):
        async with Simulator("alphavantage", scenario=scenario) as sim:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(poll(sim), 0.3)


async def test_plain_answers_are_spoilt_and_refused_in_their_own_way() -> None:
    async with Simulator("alphavantage", scenario="not-json") as sim:
        bodies = [(await poll(sim))[1] for _ in range(6)]
        assert sum("Global Quote" in body for body in bodies) == 4
    async with Simulator("alphavantage", scenario="bad-key") as sim:
        status, body = await poll(sim)
        assert status == 200
        assert "apikey is invalid" in body
    async with Simulator("alphavantage", scenario="bad-key-in-band") as sim:
        assert "apikey is invalid" in (await poll(sim))[1]
    async with Simulator("alphavantage", scenario="unavailable") as sim:
        assert (await poll(sim))[0] == 503


async def test_at_full_rate_a_spoilt_stream_still_waits_for_its_reader() -> None:
    async with Simulator("generic", scenario="extra-keys+duplicates", rate=MAX_RATE) as sim:
        async with subscribed(sim, "generic", "AAPL") as client:
            assert len(await price_messages(client, 3000, mark="trades")) == 3000
