"""Bad data (rows D1 to D10, D12, D14), over a real socket through the whole stream: counted, and nothing else happens."""

import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import GenericFeedSettings
from pricestreamd.model.events import Event, Run
from pricestreamd.model.secret import Secret
from pricestreamd.stream.service import PriceStreamService
from pricestreamd.stream.settings import StreamSettings
from tests.faults.feeds import hasty, running
from tests.support.provider import ScriptedProvider
from tests.support.raw_http import RawHttp, always, answer
from tests.support.waiting import eventually

NOW = 1_700_000_000
KEY = "canary-key-0815"


def price(value: str, symbol: str = '"AAPL"', timestamp: int = NOW) -> str:
    """A price frame with texts of our own where numbers should be."""
    return f'{{"event":"price","symbol":{symbol},"price":{value},"timestamp":{timestamp}}}'


class House:
    """Provider, client, service and dispatcher; `tell` sends frames and returns the events of good prices around them."""

    def __init__(self, provider: ScriptedProvider, settings: StreamSettings | None) -> None:
        self.provider = provider
        self.client: WebSocketClient = hasty(provider.url, symbols=("AAPL", "RY:TSX"))
        self.dispatcher = EventDispatcher()
        self.service = PriceStreamService(self.client, self.dispatcher, settings)
        self.events: list[Event] = []
        self.dispatcher.on("price.*", self.events.append)
        self.service.begin(["AAPL", "RY:TSX"])

    def prices(self, name: str = "price.update", symbol: str = "AAPL") -> list[float]:
        """Those of the events of one name."""
        return [event["price"] for event in self.events if event.event == name and event["symbol"] == symbol]

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


@asynccontextmanager
async def living(settings: StreamSettings | None = None) -> AsyncIterator[House]:
    """A house that is live; at the end it is still on its first connection, and every event is good JSON."""
    async with ScriptedProvider() as provider:
        house = House(provider, settings)
        async with running(house.client):
            await eventually(lambda: house.client.state == "live")
            yield house
            assert house.client.is_connected
            assert len(provider.conversations) == 1
        for event in house.events:
            assert json.loads(json.dumps(event.to_dict(), allow_nan=False))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with living() as made:
        yield made


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[" * 100_000, "\ufeff" + price("1"), price("1") + "x", "nonsense", '{"event":"price"', b"\xff\xfe\xff"],
    ids=["empty", "broken", "nested", "bom", "trailing", "text", "cut", "utf8"],
)
async def test_d1_malformed_json_is_counted_and_nothing_is_disconnected(house: House, frame: str | bytes) -> None:
    reasons = await house.tell(frame, frame)
    assert reasons == {"utf8" if isinstance(frame, bytes) else "json": 2}


async def test_d1_a_piece_of_it_is_shown_once_a_minute(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await house.tell(*["{" * 10_000] * 5, *[b"\xff" * 10_000] * 5)
    told = [record for record in caplog.records if "frame rejected" in record.getMessage()]
    assert [record.levelname for record in told] == ["WARNING", "WARNING"]
    for record, reason, byte in zip(told, ("json", "utf8"), ("7b", "ff"), strict=True):
        start, _, dump = record.getMessage().partition(": frame rejected ")
        assert (start, dump.partition(": ")[0]) == ("feed us", f"({reason})")
        assert set(dump.partition(": ")[2].split()) == {byte}
        assert len(dump.partition(": ")[2]) <= 120


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
    ("value", "reason"),
    [
        ('"191.45"', None),
        ('"1.9145e2"', None),
        ("191.45", None),
        ('"1,234.5"', "type"),
        ('" 191.45"', "type"),
        ('"+191.45"', "type"),
        ('"0x10"', "type"),
        ('"1_000"', "type"),
        ('""', "type"),
        ('"nan"', "not_finite"),
        ('"-Infinity"', "not_finite"),
        ('"1e400"', "not_finite"),
        ('"0.00"', "not_positive"),
        ('"-5"', "not_positive"),
    ],
)
async def test_d5_where_prices_are_texts_only_a_plain_decimal_is_one(
    provider: ScriptedProvider, value: str, reason: str | None
) -> None:
    settings = GenericFeedSettings(provider="generic", endpoint=provider.url, symbols=("AAPL",))
    client = WebSocketClient.from_settings("us", settings, Run("test"))
    seen: list[float] = []
    client.on_message(lambda tick: seen.append(tick.price))
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.send(f'{{"symbol":"AAPL","price":{value}}}')
        await provider.last.send('{"symbol":"AAPL","price":"1.5"}')
        await eventually(lambda: seen[-1:] == [1.5])
        assert seen[:-1] == ([191.45] if reason is None else [])
        assert client.counters.rejected == ({} if reason is None else {reason: 1})
        assert client.counters.reconnects == {}


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


async def test_d6_a_heartbeat_without_a_price_is_a_heartbeat(house: House) -> None:
    assert house.client.get_stats()["last_heartbeat"] is None
    assert await house.tell('{"event":"heartbeat","status":"ok","symbol":"AAPL","price":null}') == {}
    assert house.client.get_stats()["last_heartbeat"] is not None
    assert house.prices() == [100.0, 100.5]


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


async def test_d9_a_price_older_than_the_last_one_is_dropped_and_counted() -> None:
    async with living(StreamSettings(out_of_order="drop")) as house:
        house.service.set_alert("AAPL", above=101.0)
        reasons = await house.tell(
            price("101.5", timestamp=NOW - 1), price("101.6", timestamp=0), price("100.2", timestamp=NOW)
        )
        assert reasons == {"out_of_order": 2}
        assert house.prices() == [100.0, 100.2, 100.5]
        assert house.prices("price.alert") == []


async def test_d9_or_it_is_a_price_like_any_other() -> None:
    async with living(StreamSettings(out_of_order="accept")) as house:
        house.service.set_alert("AAPL", above=101.0)
        assert await house.tell(price("101.5", timestamp=NOW - 1), price("101.6", timestamp=0)) == {}
        assert house.prices() == [100.0, 101.5, 101.6, 100.5]
        assert house.prices("price.alert") == [101.5]


@pytest.mark.parametrize(
    ("timestamp", "accepted"),
    [
        (lambda now: 0, True),
        (lambda now: now - 86_400 * 365 * 30, True),
        (lambda now: now + 86_400 - 60, True),
        (lambda now: now + 86_400 + 60, False),
        (lambda now: now * 1_000, False),
        (lambda now: now * 1_000_000_000, False),
    ],
    ids=["zero", "thirty years", "tomorrow", "the day after", "milliseconds", "nanoseconds"],
)
async def test_d10_only_the_future_is_no_time_and_no_unit_is_guessed(
    house: House, timestamp: Any, accepted: bool
) -> None:
    sent = timestamp(int(time.time()))
    reasons = await house.tell(price("5", symbol='"RY:TSX"', timestamp=sent))
    assert reasons == ({} if accepted else {"future": 1})
    told = [event.timestamp for event in house.events if event["symbol"] == "RY:TSX"]
    assert told == ([sent] if accepted else [])


async def test_d12_each_crossing_is_one_alert_however_often_the_price_touches_the_line(house: House) -> None:
    house.service.set_alert("AAPL", name="above", above=200.0)
    house.service.set_alert("AAPL", name="below", below=199.99)
    house.service.set_alert("AAPL", name="once", above=200.0, once=True)
    path = [199.995, *[199.99, 200.0] * 25, 200.01, 200.0, 200.5, 200.0, 199.995, 199.99, 199.99, 199.98, 200.0, 200.0]
    for value in path:
        await house.provider.last.price("AAPL", value, NOW)
    await eventually(lambda: len(house.prices()) == len(path))
    crossings = {
        "above": [after for before, after in pairwise(path) if before < 200.0 <= after],
        "below": [after for before, after in pairwise(path) if before > 199.99 >= after],
    }
    assert len(crossings["above"]) == 26
    alerts = [event for event in house.events if event.event == "price.alert"]
    for name, prices in {**crossings, "once": [200.0]}.items():
        assert [alert["price"] for alert in alerts if alert["alert_name"] == name] == prices
    assert len({alert["firing_id"] for alert in alerts}) == len(alerts)


async def test_d14_a_flood_of_control_messages_is_counted_and_holds_up_no_price(house: House) -> None:
    unknown = [f'{{"event":"news-{number}","price":null,"text":"x"}}' for number in range(3_000)]
    answers = ['{"event":"subscribe-status","status":"ok","success":[{"symbol":"AAPL"}],"fails":null}'] * 500
    assert await house.tell(*unknown, *answers, *['{"event":"heartbeat"}'] * 500) == {}
    assert house.client.counters.ignored == 3_000
    assert house.prices() == [100.0, 100.5]
    assert {report["state"] for report in house.client.symbol_reports()} == {"subscribed"}


async def test_d14_a_flood_of_complaints_is_told_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    words: list[str] = []
    house.client.on_error(lambda word, _: words.append(word))
    assert await house.tell(*['{"event":"error","status":"error","message":"something is odd"}'] * 500) == {}
    assert words == ["transient"]
    told = [record for record in caplog.records if "something is odd" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert house.prices() == [100.0, 100.5]


QUOTA = f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day."


@pytest.mark.parametrize(
    ("body", "words", "state", "symbol"),
    [
        ({"Information": QUOTA}, ["rate_limited"], "live", "subscribed"),
        (
            {"Note": "Please consider spreading out your requests more sparingly."},
            ["rate_limited"],
            "live",
            "subscribed",
        ),
        ({"Information": f"the parameter apikey {KEY} is invalid or missing"}, ["auth"], "parked", None),
        ({"Error Message": "Invalid API call. Please retry."}, ["subscription"], "live", "rejected"),
        ({"Meta Data": {}}, [], "live", "subscribed"),
    ],
    ids=["quota", "burst", "key", "symbol", "unknown"],
)
async def test_d14_an_error_in_a_good_answer_is_the_error_that_it_tells_of(
    caplog: pytest.LogCaptureFixture, body: dict[str, str], words: list[str], state: str, symbol: str | None
) -> None:
    async with RawHttp(always(answer(200, json.dumps(body).encode()))) as server:
        client = hasty(server.url("/query"), provider="alphavantage", api_key=Secret(KEY), symbols=("IBM",))
        told: list[str] = []
        client.on_error(lambda word, _: told.append(word))
        async with running(client):
            await eventually(lambda: client.state == state and len(told) == len(words))
            if symbol is not None:
                await eventually(lambda: client.symbol_reports()[0]["state"] == symbol)
            if not words:
                await eventually(lambda: client.counters.ignored)
            assert client.counters.rejected == {}
            assert client.counters.reconnects == {}
        assert server.dials == 1
    assert told == words
    assert KEY not in caplog.text
