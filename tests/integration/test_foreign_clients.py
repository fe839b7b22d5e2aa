"""The simulator is believed by software that nobody here wrote: each provider's own client, with nothing of it changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pricestreamd.simulator.server import Simulator
from tests.support.foreign import ForeignClient
from tests.support.tls_front import TlsFront
from tests.support.waiting import eventually

COMBINED = {"btcusdt@aggTrade", "ethusdt@miniTicker"}
TWELVE_DATA = "ws.twelvedata.com"
# The SDK asks it, before anything else, for the technical indicators that there are.
TWELVE_DATA_REST = "api.twelvedata.com"


async def indicators(_request: web.Request) -> web.Response:
    return web.json_response({"data": {}, "status": "ok"})


@pytest.fixture
async def twelve_data() -> AsyncIterator[Simulator]:
    async with Simulator("twelvedata", rate=200, api_key="k3y") as simulator:
        yield simulator


@pytest.fixture
async def front(twelve_data: Simulator, tmp_path: Path) -> AsyncIterator[TlsFront]:
    rest = web.Application()
    rest.router.add_get("/technical_indicators", indicators)
    async with (
        TestServer(rest) as server,
        TlsFront({TWELVE_DATA: twelve_data.port, TWELVE_DATA_REST: server.port or 0}, tmp_path) as made,
    ):
        yield made


def official_sdk(front: TlsFront, key: str, *symbols: str) -> ForeignClient:
    authority = str(front.ca_file)
    environ = {"https_proxy": front.url, "WEBSOCKET_CLIENT_CA_BUNDLE": authority, "REQUESTS_CA_BUNDLE": authority}
    return ForeignClient("foreign_twelvedata", key, *symbols, **environ)


def events(sdk: ForeignClient, name: str) -> list[dict[str, object]]:
    return [event for event in sdk.heard if event.get("event") == name]


def priced(sdk: ForeignClient) -> set[object]:
    return {event["symbol"] for event in events(sdk, "price")}


async def test_the_official_twelve_data_sdk_connects_subscribes_receives_and_unsubscribes(
    twelve_data: Simulator, front: TlsFront
) -> None:
    async with official_sdk(front, "k3y", "AAPL", "EUR/USD") as sdk:
        await eventually(lambda: priced(sdk) == {"AAPL", "EUR/USD"}, 20)
        assert front.connects == [f"{TWELVE_DATA_REST}:443", f"{TWELVE_DATA}:443"]
        (status,) = events(sdk, "subscribe-status")
        assert status["status"] == "ok" and status["fails"] == []
        assert {item["symbol"] for item in status["success"]} == {"AAPL", "EUR/USD"}  # type: ignore[attr-defined]
        assert all(isinstance(event["price"], float) for event in events(sdk, "price"))

        sdk.tell("subscribe", "BTC/USD")
        await eventually(lambda: "BTC/USD" in priced(sdk))
        sdk.tell("heartbeat")
        await eventually(lambda: events(sdk, "heartbeat"))
        assert events(sdk, "heartbeat") == [{"event": "heartbeat", "status": "ok"}]

        sdk.tell("unsubscribe", "AAPL", "EUR/USD")
        await eventually(lambda: events(sdk, "unsubscribe-status"))
        assert twelve_data.subscribed == ("BTC/USD",)
        after = sdk.heard.index(events(sdk, "unsubscribe-status")[0])
        await eventually(lambda: len(sdk.heard) > after + 50)
        assert {event.get("symbol") for event in sdk.heard[after + 1 :]} == {"BTC/USD"}

        sdk.tell("quit")
        assert await sdk.left() == 0
        await eventually(lambda: not twelve_data.connections)


async def test_the_official_twelve_data_sdk_heals_itself_after_a_reset(twelve_data: Simulator, front: TlsFront) -> None:
    async with official_sdk(front, "k3y", "AAPL") as sdk:
        await eventually(lambda: priced(sdk), 20)
        twelve_data.connections[0].cut(reset=True)
        await eventually(lambda: twelve_data.connects == 2 and twelve_data.subscribed == ("AAPL",), 20)
        seen = len(sdk.heard)
        await eventually(lambda: len(sdk.heard) > seen + 10)


async def test_the_official_twelve_data_sdk_is_refused_with_a_wrong_key(
    twelve_data: Simulator, front: TlsFront
) -> None:
    async with official_sdk(front, "wrong", "AAPL") as sdk:
        await eventually(lambda: twelve_data.refused, 20)
        assert twelve_data.connects == 0
        assert sdk.heard == []


# --- Binance


@pytest.fixture
async def binance() -> AsyncIterator[Simulator]:
    async with Simulator("binance", rate=200) as simulator:
        yield simulator


def official_connector(simulator: Simulator, form: str) -> ForeignClient:
    return ForeignClient("foreign_binance", f"ws://127.0.0.1:{simulator.port}", form)


def trades(connector: ForeignClient) -> list[dict[str, Any]]:
    """The trades that it heard, whether each was wrapped or not."""
    events = [message.get("data", message) for message in connector.heard]
    return [event for event in events if event.get("e") == "aggTrade"]


def answers(connector: ForeignClient) -> list[dict[str, Any]]:
    return [message for message in connector.heard if "result" in message]


async def test_the_official_binance_connector_connects_subscribes_receives_and_unsubscribes(binance: Simulator) -> None:
    async with official_connector(binance, "raw") as connector:
        connector.tell("subscribe", "btcusdt", "ethusdt")
        await eventually(lambda: {trade["s"] for trade in trades(connector)} == {"BTCUSDT", "ETHUSDT"}, 20)
        assert [answer["result"] for answer in answers(connector)] == [None]
        assert connector.heard[0] == answers(connector)[0]
        assert all(isinstance(trade["p"], str) and float(trade["p"]) > 0 for trade in trades(connector))
        numbers = [trade["a"] for trade in trades(connector) if trade["s"] == "BTCUSDT"]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

        connector.tell("list")
        await eventually(lambda: len(answers(connector)) == 2)
        assert sorted(answers(connector)[1]["result"]) == ["btcusdt@aggTrade", "ethusdt@aggTrade"]
        connector.tell("ping")
        await eventually(lambda: {"pong": True} in connector.heard)

        connector.tell("unsubscribe", "btcusdt")
        await eventually(lambda: len(answers(connector)) == 3)
        after = connector.heard.index(answers(connector)[2])
        await eventually(lambda: len(connector.heard) > after + 50)
        assert {message["s"] for message in connector.heard[after + 1 :]} == {"ETHUSDT"}

        connector.tell("quit")
        assert await connector.left() == 0
        assert connector.heard[-1] == {"closed": True}
        await eventually(lambda: not binance.connections)


async def test_the_official_binance_connector_hears_combined_streams_by_their_names(binance: Simulator) -> None:
    async with official_connector(binance, "combined") as connector:
        connector.tell("subscribe", "btcusdt")
        connector.tell("ticker", "ETHUSDT")
        await eventually(lambda: {message.get("stream") for message in connector.heard} >= COMBINED, 20)
        named = [message for message in connector.heard if "stream" in message]
        assert {(message["stream"], message["data"]["s"]) for message in named} == {
            ("btcusdt@aggTrade", "BTCUSDT"),
            ("ethusdt@miniTicker", "ETHUSDT"),
        }
        assert [answer["result"] for answer in answers(connector)] == [None, None]
