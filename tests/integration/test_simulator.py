"""The simulated provider over real sockets: what a client sees, and what scenarios do to it."""

import asyncio
import csv
import gzip
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.simulator.dialect import Limits
from pricestreamd.simulator.scenarios import SCENARIOS, STEADY, Scenario
from pricestreamd.simulator.server import MAX_RATE, Simulator
from tests.support.data import shared_data
from tests.support.waiting import eventually

Client = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, **options) as client:
        yield client


async def said(client: Client) -> dict[str, Any]:
    message = await client.receive(timeout=5)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return json.loads(message.data)  # type: ignore[no-any-return] # the server sends objects


async def subscribe(client: Client, symbols: object) -> dict[str, Any]:
    await client.send_json({"action": "subscribe", "params": {"symbols": symbols}})
    return await said(client)


async def prices(client: Client, count: int) -> list[dict[str, Any]]:
    events = [await said(client) for _ in range(count)]
    assert {event["event"] for event in events} == {"price"}
    return events


async def end_of(client: Client) -> aiohttp.WSMessage:
    """The message that ends the connection."""
    while True:
        message = await client.receive(timeout=5)
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return message


async def upgraded(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The bare TCP stream of a WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [
        "GET /v1/quotes/price HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return reader, writer


def trades(folder: Path, count: int = 3000) -> Path:
    path = folder / "trades.csv"
    lines = [f"{1_000_000 + n * 7},{('AAPL', 'MSFT', 'RY:TSX')[n % 3]},{100 + n % 50 / 100},{n}" for n in range(count)]
    path.write_text("\n".join(["ts_ms,symbol,price,size", *lines]))
    return path


# --- prices


async def test_synthetic_prices_come_at_the_rate_for_the_subscribed_symbols_in_turn() -> None:
    async with Simulator("twelvedata", rate=200) as sim, connected(sim.url) as client:
        assert (await subscribe(client, "AAPL,BTC/USD"))["status"] == "ok"
        loop = asyncio.get_running_loop()
        await prices(client, 1)
        started = loop.time()
        events = await prices(client, 100)
        assert 0.3 < loop.time() - started < 5.0
        assert [event["symbol"] for event in events] == ["BTC/USD", "AAPL"] * 50
        assert all(isinstance(event["timestamp"], int) for event in events)


async def test_the_same_seed_gives_the_same_prices() -> None:
    async def play(seed: int) -> list[float]:
        async with Simulator("twelvedata", rate=MAX_RATE, seed=seed) as sim, connected(sim.url) as client:
            await subscribe(client, "AAPL,MSFT")
            return [event["price"] for event in await prices(client, 500)]

    assert await play(7) == await play(7) != await play(8)


@pytest.mark.parametrize("rate", [MAX_RATE, 5000.0])
@pytest.mark.parametrize("prepared", [True, False])
async def test_a_file_begins_at_the_first_subscribe_and_sends_the_subscribed_symbols_only(
    tmp_path: Path, rate: float, prepared: bool
) -> None:
    async with Simulator("twelvedata", source=trades(tmp_path), rate=rate) as sim:
        if prepared:
            await sim.wait_prepared()
        async with connected(sim.url) as client:
            assert sim.sent.total() == 0
            await subscribe(client, "AAPL,RY:TSX")
            events = await prices(client, 2000)
            await asyncio.wait_for(sim.wait_played(), 5)
            wanted = [n for n in range(3000) if n % 3 != 1]
            assert [event["price"] for event in events] == [100 + n % 50 / 100 for n in wanted]
            assert [event["timestamp"] for event in events] == [1000 + n * 7 // 1000 for n in wanted]
            assert [event["symbol"] for event in events[:3]] == ["AAPL", "RY", "AAPL"]
            assert events[1]["exchange"] == "TSX"
            assert sim.sent == {"AAPL": 1000, "RY:TSX": 1000}
            # It stays open, and still answers.
            await client.send_json({"action": "heartbeat"})
            assert await said(client) == {"event": "heartbeat", "status": "ok"}


async def test_the_volume_of_the_day_rises_with_each_trade(tmp_path: Path) -> None:
    async with Simulator("twelvedata", source=trades(tmp_path), rate=MAX_RATE) as sim, connected(sim.url) as client:
        await subscribe(client, "MSFT")
        events = await prices(client, 1000)
        volumes = [event["day_volume"] for event in events]
        assert volumes[:3] == [1, 5, 12]
        assert volumes == sorted(volumes)


async def test_a_file_waits_while_nobody_listens_and_goes_on_with_the_next_client(tmp_path: Path) -> None:
    async with Simulator("twelvedata", source=trades(tmp_path), rate=1000) as sim:
        async with connected(sim.url) as first:
            await subscribe(first, "AAPL,MSFT,RY:TSX")
            await prices(first, 10)
        await eventually(lambda: not sim.connections)
        sent = sim.sent.total()
        assert 10 <= sent < 3000
        async with connected(sim.url) as second:
            await subscribe(second, "AAPL,MSFT,RY:TSX")
            [event] = await prices(second, 1)
            assert event["price"] == 100 + sent % 50 / 100


async def test_each_client_gets_what_it_subscribed_to(tmp_path: Path) -> None:
    async with Simulator("twelvedata", source=trades(tmp_path), rate=2000) as sim:
        async with connected(sim.url) as first, connected(sim.url) as second, connected(sim.url) as third:
            await subscribe(first, "AAPL")
            await subscribe(second, "AAPL,MSFT")
            await subscribe(third, "NOWHERE")
            assert {event["symbol"] for event in await prices(first, 100)} == {"AAPL"}
            assert {event["symbol"] for event in await prices(second, 100)} == {"AAPL", "MSFT"}
            assert sim.subscribed == ("AAPL", "MSFT", "NOWHERE")
            assert [connection.sent > 0 for connection in sim.connections] == [True, True, False]
            await second.send_json({"action": "reset"})
            await eventually(lambda: set(sim.subscribed) == {"AAPL", "NOWHERE"})


async def test_the_acknowledgement_comes_before_the_first_price() -> None:
    async with Simulator("twelvedata", rate=MAX_RATE) as sim, connected(sim.url) as client:
        for symbol in ("A", "B", "C"):
            await client.send_json({"action": "subscribe", "params": {"symbols": symbol}})
        acknowledged: set[str] = set()
        while len(acknowledged) < 3:
            event = await said(client)
            if event["event"] == "subscribe-status":
                acknowledged.update(entry["symbol"] for entry in event["success"])
            else:
                assert event["symbol"] in acknowledged


async def test_unsubscribed_symbols_fall_silent() -> None:
    async with Simulator("twelvedata", rate=1000) as sim, connected(sim.url) as client:
        await subscribe(client, "AAPL,MSFT")
        await client.send_json({"action": "unsubscribe", "params": {"symbols": "AAPL"}})
        while (await said(client))["event"] != "unsubscribe-status":
            pass
        assert {event["symbol"] for event in await prices(client, 50)} == {"MSFT"}


@pytest.mark.parametrize("source", ["made", "recorded"])
async def test_at_full_rate_every_recorded_trade_arrives_once_and_in_order(source: str, tmp_path: Path) -> None:
    if source == "recorded":
        path = shared_data("ticks/equity_trades_20131007.csv.gz")
        with gzip.open(path, "rt", newline="") as file:
            rows = [(row["symbol"], float(row["price"]), int(row["ts_ms"]) // 1000) for row in csv.DictReader(file)]
    else:
        path = trades(tmp_path, 30_000)
        with path.open(newline="") as plain:
            rows = [
                (row["symbol"].partition(":")[0], float(row["price"]), int(row["ts_ms"]) // 1000)
                for row in csv.DictReader(plain)
            ]
    async with Simulator("twelvedata", source=path, rate=MAX_RATE) as sim, connected(sim.url) as client:
        await subscribe(client, "SPY,BAC,IBM" if source == "recorded" else "AAPL,MSFT,RY:TSX")
        for row in rows:
            event = json.loads((await client.receive()).data)
            assert (event["symbol"], event["price"], event["timestamp"]) == row
        assert sim.sent.total() == len(rows)


async def test_a_client_that_does_not_read_holds_a_full_rate_file_up_and_loses_nothing(tmp_path: Path) -> None:
    path = trades(tmp_path, 60_000)
    async with Simulator("twelvedata", source=path, rate=MAX_RATE) as sim, connected(sim.url) as client:
        await sim.wait_prepared()
        await subscribe(client, "AAPL,MSFT,RY:TSX")
        # The player has come to a stand when nothing was sent for a while.
        before = -1
        while sim.sent.total() != before:
            before = sim.sent.total()
            await asyncio.sleep(0.05)
        assert before < 60_000
        events = await prices(client, 60_000)
        assert Counter(event["symbol"] for event in events) == {"AAPL": 20_000, "MSFT": 20_000, "RY": 20_000}


async def mute_reader(sim: Simulator, symbols: str) -> asyncio.StreamWriter:
    """A client that subscribes and then never reads."""
    reader, writer = await upgraded(sim.port)
    writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport can
    text = json.dumps({"action": "subscribe", "params": {"symbols": symbols}}).encode()
    writer.write(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
    await eventually(lambda: sim.subscribed)
    assert not reader.at_eof()
    return writer


@pytest.mark.parametrize("rate", [MAX_RATE, 150_000.0])
async def test_a_client_that_never_reads_is_dropped_in_the_end_and_stops_nobody(rate: float) -> None:
    scenario = replace(STEADY, slow_reader_seconds=0.3)
    async with Simulator("twelvedata", scenario=scenario, rate=rate) as sim:
        writer = await mute_reader(sim, "AAPL")
        async with connected(sim.url) as client:
            await subscribe(client, "MSFT")
            await eventually(lambda: len(sim.connections) == 1, timeout=20)
            await prices(client, 100)
        writer.transport.abort()


async def test_rows_that_no_provider_could_have_sent_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("ts_ms,symbol,price\n1000,A,1\n2000,A,-1\n3000,A,x\n4000,A,2\n")
    async with Simulator("twelvedata", source=str(path), rate=MAX_RATE) as sim, connected(sim.url) as client:
        await subscribe(client, "A")
        assert [event["price"] for event in await prices(client, 2)] == [1, 2]
        await asyncio.wait_for(sim.wait_played(), 5)
        assert sim.unusable_rows == 2


async def test_synthetic_prices_have_no_rows_to_pass_over_and_need_no_preparing() -> None:
    async with Simulator("twelvedata") as sim:
        await asyncio.wait_for(sim.wait_prepared(), 5)
        assert sim.unusable_rows == 0


# --- the conversation


async def test_a_malformed_message_is_answered_and_the_connection_stays() -> None:
    async with Simulator("twelvedata") as sim, connected(sim.url) as client:
        for send in (client.send_str("{"), client.send_bytes(b"\x00\xff"), client.send_str("[]")):
            await send
            assert await said(client) == {
                "event": "subscribe-status",
                "status": "error",
                "messages": ["Cant parse message"],
            }
        assert (await subscribe(client, "AAPL"))["status"] == "ok"


async def test_pings_are_answered_and_a_close_is_clean() -> None:
    async with Simulator("twelvedata") as sim:
        async with connected(sim.url, autoping=False) as client:
            await client.ping(b"hello")
            pong = await client.receive(timeout=5)
            assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"hello")
        assert client.close_code == 1000
        await eventually(lambda: not sim.connections)


async def test_the_budget_of_messages_is_kept_per_connection() -> None:
    async with Simulator("twelvedata", limits=Limits(messages_per_minute=2)) as sim:
        async with connected(sim.url) as client, connected(sim.url) as other:
            for _ in range(2):
                await client.send_json({"action": "heartbeat"})
                assert (await said(client))["event"] == "heartbeat"
            assert (await subscribe(client, "AAPL"))["code"] == 429
            assert (await subscribe(other, "AAPL"))["status"] == "ok"


async def test_a_client_that_says_nothing_is_dropped_without_a_close_frame() -> None:
    async with Simulator("twelvedata", rate=500, limits=Limits(idle_timeout=0.5)) as sim:
        async with connected(sim.url) as silent, connected(sim.url) as talking:
            await subscribe(silent, "AAPL")

            async def talk() -> None:
                while True:
                    await talking.send_json({"action": "heartbeat"})
                    await asyncio.sleep(0.05)

            chatter = asyncio.create_task(talk())
            end = await end_of(silent)
            assert (end.type, silent.close_code) == (aiohttp.WSMsgType.CLOSED, 1006)
            assert len(sim.connections) == 1
            chatter.cancel()


async def test_pings_alone_do_not_keep_a_client() -> None:
    async with Simulator("twelvedata", limits=Limits(idle_timeout=0.5)) as sim:
        async with connected(sim.url, heartbeat=0.05) as client:
            assert (await end_of(client)).type is aiohttp.WSMsgType.CLOSED
            assert client.close_code == 1006


async def test_a_fourth_connection_of_one_key_closes_the_oldest_without_a_word() -> None:
    async with Simulator("twelvedata") as sim:
        async with (
            connected(f"{sim.url}?apikey=one") as first,
            connected(f"{sim.url}?apikey=other") as other,
            connected(f"{sim.url}?apikey=one") as second,
            connected(f"{sim.url}?apikey=one") as third,
            connected(sim.url, headers={"X-TD-APIKEY": "one"}) as fourth,
        ):
            assert (await end_of(first)).type is aiohttp.WSMsgType.CLOSED
            assert first.close_code == 1006
            for client in (other, second, third, fourth):
                await client.send_json({"action": "heartbeat"})
                assert (await said(client))["event"] == "heartbeat"


async def test_a_message_over_a_megabyte_ends_the_connection_with_1009() -> None:
    async with Simulator("twelvedata") as sim, connected(sim.url) as client:
        await client.send_str("x" * 1_100_000)
        await end_of(client)
        assert client.close_code == 1009


# --- keys


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?apikey=right", {}, 101),
        ("", {"X-TD-APIKEY": "right"}, 101),
        ("?apikey=wrong", {}, 401),
        ("", {"X-TD-APIKEY": "wrong"}, 401),
        ("", {}, 401),
        ("", {"Authorization": "apikey right"}, 401),
    ],
)
async def test_only_the_configured_key_is_let_in(query: str, headers: dict[str, str], status: int) -> None:
    async with Simulator("twelvedata", api_key="right") as sim:
        if status == 101:
            async with connected(sim.url + query, headers=headers) as client:
                assert (await subscribe(client, "AAPL"))["status"] == "ok"
            return
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with connected(sim.url + query, headers=headers):
                pass
        assert caught.value.status == status
        assert (sim.refused, sim.connects) == (1, 0)


async def test_without_a_configured_key_any_or_none_is_let_in() -> None:
    async with Simulator("twelvedata") as sim, connected(sim.url) as first, connected(f"{sim.url}?apikey=x") as second:
        assert (await subscribe(first, "A"))["status"] == (await subscribe(second, "A"))["status"] == "ok"


async def test_the_address_shows_no_key() -> None:
    async with Simulator("twelvedata", api_key="right") as sim:
        assert sim.url == f"ws://127.0.0.1:{sim.port}/v1/quotes/price"


@pytest.mark.parametrize(
    ("scenario", "status"),
    [("bad-key", 401), ("forbidden", 403), ("bad-request", 400), ("too-many-requests", 429), ("unavailable", 503)],
)
async def test_a_scenario_can_refuse_every_upgrade(scenario: str, status: int) -> None:
    async with Simulator("twelvedata", scenario=scenario) as sim, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(sim.url)
        assert caught.value.status == status
        assert caught.value.headers is not None
        assert caught.value.headers.get("Retry-After") == ("5" if status == 429 else None)
        async with session.get(sim.url.replace("ws://", "http://")) as response:
            assert response.status == status
            assert (await response.json())["status"] == "error"


async def test_a_bad_key_can_be_refused_after_the_connection_is_open() -> None:
    async with Simulator("twelvedata", scenario="bad-key-in-band") as sim, connected(sim.url) as client:
        refusal = await said(client)
        assert refusal["status"] == "error"
        assert "api key" in refusal["message"]
        assert (await end_of(client)).type is aiohttp.WSMsgType.CLOSE
        assert client.close_code == 1008


# --- scenarios


def soon(name: str, **changes: Any) -> Scenario:
    """The scenario, with its times shortened."""
    scenario = SCENARIOS[name]
    if scenario.ends_after:
        changes.setdefault("ends_after", 0.2)
    return replace(scenario, **changes)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("drop", aiohttp.WSMsgType.CLOSED, 1006),
        ("goodbye", aiohttp.WSMsgType.CLOSE, 1001),
        ("accept-then-close", aiohttp.WSMsgType.CLOSE, 1000),
    ],
)
async def test_a_connection_ends_as_the_scenario_says(name: str, kind: aiohttp.WSMsgType, code: int) -> None:
    async with Simulator("twelvedata", scenario=soon(name), rate=500) as sim:
        for _ in range(2):
            async with connected(sim.url) as client:
                if sim.scenario.ends_after:
                    await subscribe(client, "AAPL")
                end = await end_of(client)
                assert (end.type, client.close_code) == (kind, code)
        assert sim.connects == 2
        await eventually(lambda: not sim.connections)


async def test_a_reset_is_a_reset_on_the_wire() -> None:
    async with Simulator("twelvedata", scenario=soon("reset")) as sim:
        reader, writer = await upgraded(sim.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_mute_answers_everything_but_sends_no_price() -> None:
    async with Simulator("twelvedata", scenario="mute", rate=MAX_RATE) as sim:
        async with connected(sim.url, autoping=False) as client:
            assert (await subscribe(client, "AAPL"))["status"] == "ok"
            await client.ping()
            assert (await client.receive(timeout=5)).type is aiohttp.WSMsgType.PONG
            await client.send_json({"action": "heartbeat"})
            assert (await said(client))["event"] == "heartbeat"
            assert sim.sent.total() == 0


async def test_a_black_hole_falls_silent_in_mid_life_and_answers_no_ping() -> None:
    scenario = soon("black-hole", mute_after=0.2)
    async with Simulator("twelvedata", scenario=scenario, rate=500) as sim:
        async with connected(sim.url, autoping=False) as client:
            await subscribe(client, "AAPL")
            await prices(client, 5)
            await eventually(lambda: sim.connections[0].muted)
            await client.ping()
            await client.send_json({"action": "heartbeat"})
            while (event := await said(client))["event"] == "price":
                pass
            assert event["event"] == "heartbeat"


async def test_a_slow_acknowledgement_delays_the_subscription_and_nothing_else() -> None:
    scenario = soon("slow-ack", ack_delay=0.3)
    async with Simulator("twelvedata", scenario=scenario, rate=MAX_RATE) as sim, connected(sim.url) as client:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await client.send_json({"action": "subscribe", "params": {"symbols": "AAPL"}})
        await client.send_json({"action": "heartbeat"})
        assert (await said(client))["event"] == "heartbeat"
        assert (await said(client))["event"] == "subscribe-status"
        assert loop.time() - started >= 0.3
        await prices(client, 1)


async def test_a_request_may_never_be_acknowledged() -> None:
    async with Simulator("twelvedata", scenario="no-ack", rate=MAX_RATE) as sim, connected(sim.url) as client:
        await client.send_json({"action": "subscribe", "params": {"symbols": "AAPL"}})
        await client.send_json({"action": "heartbeat"})
        assert (await said(client))["event"] == "heartbeat"
        assert sim.subscribed == ()


async def test_some_symbols_are_refused_and_the_others_flow() -> None:
    async with Simulator("twelvedata", scenario="reject-some", rate=500) as sim, connected(sim.url) as client:
        answer = await subscribe(client, "AAPL,MSFT,TSLA,IBM")
        assert answer["status"] == "warning"
        assert [fail["symbol"] for fail in answer["fails"]] == ["TSLA"]
        assert {event["symbol"] for event in await prices(client, 30)} == {"AAPL", "MSFT", "IBM"}


# --- life


async def test_leaving_closes_every_client_with_1001_and_frees_the_port() -> None:
    async with aiohttp.ClientSession() as session:
        async with Simulator("twelvedata", rate=500) as sim:
            port = sim.port
            clients = [await session.ws_connect(sim.url) for _ in range(3)]
            await subscribe(clients[0], "AAPL")
            ends = [asyncio.create_task(end_of(client)) for client in clients]
        assert [(await end).type for end in ends] == [aiohttp.WSMsgType.CLOSE] * 3
        assert {client.close_code for client in clients} == {1001}
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


async def test_leaving_does_not_wait_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        async with Simulator("twelvedata", source=trades(tmp_path, 60_000), rate=MAX_RATE) as sim:
            client = await session.ws_connect(sim.url)
            await client.send_json({"action": "subscribe", "params": {"symbols": "AAPL,MSFT,RY:TSX"}})
            await eventually(lambda: sim.sent.total() > 10_000)
            left = loop.time()
        assert loop.time() - left < 5
        await client.close()


async def test_a_port_that_is_taken_is_an_error_when_entering() -> None:
    async with Simulator("twelvedata") as sim:
        with pytest.raises(OSError, match="address already in use"):
            await Simulator("twelvedata", port=sim.port).__aenter__()


async def test_a_file_that_cannot_be_used_is_an_error_when_entering(tmp_path: Path) -> None:
    with pytest.raises(ReplayInputError, match="cannot be read"):
        await Simulator("twelvedata", source=tmp_path / "nowhere.csv").__aenter__()


async def test_a_file_that_breaks_in_the_middle_plays_up_to_there_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = trades(tmp_path)
    path.write_text(path.read_text() + "\nbroken\n")
    async with Simulator("twelvedata", source=path, rate=20_000) as sim, connected(sim.url) as client:
        await subscribe(client, "AAPL")
        with pytest.raises(ReplayInputError, match=":3002: 1 fields"):
            await asyncio.wait_for(sim.wait_played(), 5)
        assert "the simulator has no more prices" in caplog.text
        await client.send_json({"action": "heartbeat"})
        while (event := await said(client))["event"] == "price":
            pass
        assert event["event"] == "heartbeat"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Simulator("nyse"),
        lambda: Simulator("twelvedata", scenario="nonsense"),
        lambda: Simulator("twelvedata", rate=0),
    ],
)
def test_nonsense_is_refused_before_anything_is_opened(make: Callable[[], Simulator]) -> None:
    with pytest.raises(ValueError, match=r"no simulator for|unknown scenario|a rate is"):
        make()


async def test_another_path_is_not_found_and_a_plain_request_is_refused() -> None:
    async with Simulator("twelvedata") as sim, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{sim.port}/") as response:
            assert response.status == 404
        async with session.get(sim.url.replace("ws://", "http://")) as response:
            assert response.status == 400
        assert sim.scenario is STEADY


async def test_a_client_that_vanishes_without_a_word_is_forgotten() -> None:
    async with Simulator("twelvedata", rate=MAX_RATE) as sim:
        reader, writer = await upgraded(sim.port)
        await eventually(lambda: sim.connections)
        writer.transport.abort()
        await eventually(lambda: not sim.connections)
        assert await reader.read() == b""
        async with connected(sim.url) as next_one:
            await subscribe(next_one, "AAPL")
            await prices(next_one, 10)
