"""Bad data (rows D1 to D8), over a real socket through the whole stream: counted by reason, and nothing else happens."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.model.events import Event
from pricestreamd.stream.service import PriceStreamService
from tests.faults.feeds import hasty, running
from tests.support.provider import ScriptedProvider
from tests.support.waiting import eventually

NOW = 1_700_000_000


def price(value: str, symbol: str = '"AAPL"', timestamp: int = NOW) -> str:
    """A price frame with texts of our own where numbers should be."""
    return f'{{"event":"price","symbol":{symbol},"price":{value},"timestamp":{timestamp}}}'


class House:
    """Provider, client, service and dispatcher; `tell` sends frames and returns the events of good prices around them."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self.provider = provider
        self.client: WebSocketClient = hasty(provider.url, symbols=("AAPL", "RY:TSX"))
        self.dispatcher = EventDispatcher()
        self.service = PriceStreamService(self.client, self.dispatcher)
        self.events: list[Event] = []
        self.dispatcher.on("price.*", self.events.append)
        self.service.begin(["AAPL", "RY:TSX"])

    async def tell(self, *frames: str | bytes) -> Counter[str]:
        """Send `frames` between two good prices; the reasons for which ticks were rejected."""
        await self.provider.last.price("AAPL", 100.0, NOW)
        for frame in frames:
            await self.provider.last.send(frame)
        await self.provider.last.price("AAPL", 100.5, NOW)
        await eventually(lambda: self.service.get_last_price("AAPL") == 100.5)
        reasons = Counter(self.client.counters.rejected)
        for (_, reason), count in self.service.rejected.items():
            reasons[reason] += count
        return reasons


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """The house, live; at the end it is still on its first connection, and every event is good JSON."""
    async with ScriptedProvider() as provider:
        house = House(provider)
        async with running(house.client):
            await eventually(lambda: house.client.state == "live")
            yield house
            assert house.client.is_connected
            assert len(provider.conversations) == 1
        for event in house.events:
            assert json.loads(json.dumps(event.to_dict(), allow_nan=False))


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[" * 100_000, "\ufeff" + price("1"), price("1") + "x", "nonsense", '{"event":"price"', b"\xff\xfe\xff"],
    ids=["empty", "broken", "nested", "bom", "trailing", "text", "cut", "utf8"],
)
async def test_d1_malformed_json_is_counted_and_nothing_is_disconnected(house: House, frame: str | bytes) -> None:
    reasons = await house.tell(frame, frame)
    assert reasons == {"utf8" if isinstance(frame, bytes) else "json": 2}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", '"nan"', '"inf"'])
async def test_d2_what_is_not_finite_never_becomes_an_event(house: House, value: str) -> None:
    assert await house.tell(price(value)) == {"not_finite": 1}


@pytest.mark.parametrize("value", ["0", "0.0", "-1", "-0.01", "5e-324"])
async def test_d3_zero_and_below_are_no_prices(house: House, value: str) -> None:
    assert await house.tell(price(value)) == {"not_positive": 1}


async def test_d4_a_jump_is_published_as_suspect_and_wakes_no_alert(house: House) -> None:
    house.service.set_alert("AAPL", above=120.0)
    assert await house.tell(price("130")) == {}
    names = [(event.event, event["price"], event["suspect"]) for event in house.events]
    assert ("price.update", 130.0, True) in names
    assert not [name for name, *_ in names if name in ("price.alert", "price.spike")]
    for value in ("130", "130.5"):
        await house.provider.last.send(price(value))
    await eventually(lambda: house.service.get_last_price("AAPL") == 130.5)
    alerts = [event for event in house.events if event.event == "price.alert"]
    assert [alert["price"] for alert in alerts] == [130.5]


@pytest.mark.parametrize("value", ['"191.45"', '"1,234.5"', '""', '"abc"'])
async def test_d5_a_price_as_text_is_no_price_where_the_protocol_has_numbers(house: House, value: str) -> None:
    assert await house.tell(price(value)) == {"type": 1}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (price("18446744073709551616"), "type"),
        (price("true"), "type"),
        (price("null"), "missing"),
        (price("1", symbol="null"), "missing"),
        (price("1", symbol="7"), "type"),
        ('{"event":"price","price":1,"timestamp":1}', "missing"),
        ('{"event":"price","symbol":"AAPL","timestamp":1}', "missing"),
    ],
)
async def test_d6_wrong_types_and_missing_fields_are_told_apart(house: House, frame: str, reason: str) -> None:
    assert await house.tell(frame) == {reason: 1}


async def test_d7_symbols_are_matched_by_their_key_and_strangers_are_counted(house: House) -> None:
    strangers = ["TSLA", "AAPL\u0000", "A" * 10_000, "'; DROP TABLE prices;--", "", "\U0001f4b8"]
    frames = [price("100.1", symbol=json.dumps(symbol)) for symbol in (" aapl ", "ry:tsx", *strangers)]
    reasons = await house.tell(*frames)
    assert reasons.pop("missing", 0) + reasons.pop("unknown_symbol", 0) == len(strangers)
    assert not reasons
    assert {event["symbol"] for event in house.events if event.event == "price.update"} == {"AAPL", "RY:TSX"}


async def test_d8_a_duplicate_is_an_update_that_changes_nothing_and_alerts_nobody_again(house: House) -> None:
    house.service.set_alert("AAPL", above=100.2)
    assert await house.tell(price("100.3"), price("100.3"), price("100.3")) == {}
    updates: list[Any] = [event for event in house.events if event.event == "price.update"]
    assert [(event.price, event.change) for event in updates[2:4]] == [(100.3, 0.0), (100.3, 0.0)]
    assert [event["price"] for event in house.events if event.event == "price.alert"] == [100.3]
