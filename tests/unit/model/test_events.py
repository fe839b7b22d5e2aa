"""Event records: typed and immutable in Python, one flat JSON object on the wire, the same words in both."""

import gc
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import (
    EVENTS,
    AlertBlind,
    AlertSighted,
    CustomEvent,
    Event,
    FeedConnected,
    FeedDisconnected,
    FeedReconnecting,
    PriceAlert,
    PriceChange,
    PriceError,
    PriceGap,
    PriceResumed,
    PriceSpike,
    PriceStale,
    PriceUpdate,
    Run,
    to_json,
    topic_of,
)

HEAD = {"event", "id", "timestamp"}
UPDATE = {
    *("symbol", "price", "volume", "last_price", "change", "change_percent", "currency", "feed", "received_at"),
    *("sequence", "suspect"),
}
ALERT = {
    *("alert_id", "alert_name", "alert_reason", "alert_conditions", "alert_text", "alert_value", "alert_threshold"),
    *("alert_baseline", "firing_id", "late", "after_gap"),
}
FEED = {"feed", "connection", "host", "port", "attempt", "delay_seconds", "reason"}

# The contract's table of the events that exist, field for field.
FIELDS: dict[type[Event], set[str]] = {
    PriceUpdate: UPDATE,
    PriceChange: UPDATE | {"reported_change_percent"},
    PriceSpike: UPDATE | {"spike_percent"},
    PriceAlert: UPDATE | ALERT,
    PriceStale: {"symbol", "feed", "silent_seconds"},
    PriceResumed: {"symbol", "feed", "silent_seconds"},
    PriceGap: {"feed", "symbols", "from", "to", "reason"},
    PriceError: {"severity", "error", "message", "feed", "symbol", "fatal"},
    FeedConnected: FEED,
    FeedDisconnected: FEED,
    FeedReconnecting: FEED,
    AlertBlind: {"alert_id", "alert_name", "symbol", "reason"},
    AlertSighted: {"alert_id", "alert_name", "symbol", "reason"},
}
PRICE_FIELDS: dict[str, Any] = {
    "symbol": "RY:TSX",
    "price": 100.5,
    "volume": None,
    "last_price": 100.0,
    "change": 0.5,
    "change_percent": 0.5,
    "currency": "CAD",
    "feed": "toronto",
    "received_at": 1.25,
    "sequence": 7,
}
SAMPLES: list[Event] = [
    PriceUpdate("run", 1, 1.5, **PRICE_FIELDS),
    PriceChange("run", 2, 1.5, **PRICE_FIELDS, reported_change_percent=0.75),
    PriceSpike("run", 3, 1.5, **PRICE_FIELDS, spike_percent=-5.5),
    PriceAlert("run", 4, 1.5, **PRICE_FIELDS, alert_id="a", alert_conditions={"above": 100.0}, firing_id="f"),
    PriceStale("run", 5, 1.5, None, "toronto", 61.5),
    PriceResumed("run", 6, 1.5, "RY:TSX", "toronto", 61.5),
    PriceGap("run", 7, 1.5, "toronto", ("RY:TSX",), 1.0, 1.5, "reset"),
    PriceError(run="run", number=8, timestamp=1.5, severity="warning", error="word", message="A sentence."),
    FeedConnected(run="run", number=9, timestamp=1.5, feed="toronto", host="h", port=443),
    FeedDisconnected(run="run", number=10, timestamp=1.5, feed="toronto", reason="reset"),
    FeedReconnecting(run="run", number=11, timestamp=1.5, feed="toronto", attempt=2, delay_seconds=2.0),
    AlertBlind("run", 12, 1.5, "a", None, "RY:TSX", "stale"),
    AlertSighted("run", 13, 1.5, "a", "a", "RY:TSX", "stale"),
]
NAMES = {
    *("price.update", "price.change", "price.spike", "price.alert", "price.stale", "price.resumed", "price.gap"),
    *("price.error", "feed.connected", "feed.disconnected", "feed.reconnecting", "alert.blind", "alert.sighted"),
}


def test_there_is_a_record_for_every_event_that_exists() -> None:
    assert {kind.event for kind in EVENTS} == NAMES
    assert set(EVENTS) == set(FIELDS) == {type(sample) for sample in SAMPLES}


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.event)
def test_a_record_has_exactly_the_fields_of_the_contract(event: Event) -> None:
    assert set(event.to_dict()) == HEAD | FIELDS[type(event)]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.event)
def test_the_head_comes_first_and_the_id_is_run_and_number(event: Event) -> None:
    assert list(event.to_dict())[:3] == ["event", "id", "timestamp"]
    assert event.id == event["id"] == f"run-{event.number}"
    assert event["event"] == event.event == type(event).event
    assert event["timestamp"] == event.timestamp == 1.5


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.event)
def test_every_key_of_the_mapping_is_a_key_of_the_record(event: Event) -> None:
    for key, value in event.to_dict().items():
        assert event[key] == value


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.event)
@pytest.mark.parametrize("key", ["no_such_field", "to_dict", "__class__", ""])
def test_another_key_is_a_key_error(event: Event, key: str) -> None:
    with pytest.raises(KeyError, match=f"^'{key}'$"):
        event[key]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.event)
def test_json_is_one_flat_object_in_one_line(event: Event) -> None:
    line = to_json(event)
    assert b"\n" not in line
    found = json.loads(line)
    assert found == event.to_dict()
    assert not [key for key, value in found.items() if isinstance(value, dict) and key != "alert_conditions"]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.event)
def test_a_record_cannot_be_changed(event: Event) -> None:
    with pytest.raises(AttributeError):
        event.timestamp = 2.0  # type: ignore[misc]  # it is frozen: that is what is tested


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.event)
def test_to_dict_gives_a_mapping_of_ones_own(event: Event) -> None:
    before = event.to_dict()
    mine = event.to_dict()
    for value in mine.values():
        if isinstance(value, dict | list):
            value.clear()
    mine.clear()
    assert event.to_dict() == before


def test_an_alert_without_conditions_has_an_empty_mapping_that_nobody_can_fill() -> None:
    conditions: Any = PriceAlert("run", 1, 1.5, **PRICE_FIELDS).alert_conditions
    with pytest.raises(TypeError):
        conditions["above"] = 1


def test_what_is_not_finite_is_null_in_json() -> None:
    for number in (math.nan, math.inf, -math.inf):
        assert b'"price":null' in to_json(PriceUpdate("run", 1, 1.5, **PRICE_FIELDS | {"price": number}))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_price_loses_no_digit_in_json(price: float) -> None:
    event = PriceUpdate("run", 1, 1.5, **PRICE_FIELDS | {"price": price})
    assert json.loads(to_json(event))["price"] == price


def test_a_run_numbers_its_events_from_one() -> None:
    run = Run("abc")
    assert [run.next_number() for _ in range(3)] == [1, 2, 3]
    assert run.name == "abc"


# --- events of the user's own


def own(data: Mapping[str, Any], now: float = 99.5) -> CustomEvent:
    return CustomEvent.of(Run("run"), "my.event", data, lambda: now)


def test_an_own_event_carries_its_mapping_flat_under_its_own_name() -> None:
    event = own({"answer": 42, "nested": {"a": [1]}})
    assert (event.event, event.id, event.timestamp) == ("my.event", "run-1", 99.5)
    assert event.to_dict() == {
        "event": "my.event",
        "id": "run-1",
        "timestamp": 99.5,
        "answer": 42,
        "nested": {"a": [1]},
    }
    assert event["answer"] == 42
    assert event["event"] == "my.event"
    assert json.loads(to_json(event)) == event.to_dict()
    with pytest.raises(KeyError, match="question"):
        event["question"]


def test_an_own_event_keeps_its_name_and_id_whatever_its_mapping_says() -> None:
    event = own({"id": "mine", "event": "price.alert", "other": 1})
    assert event.to_dict() == {"event": "my.event", "id": "run-1", "timestamp": 99.5, "other": 1}
    assert list(event.to_dict()) == ["event", "id", "timestamp", "other"]


@pytest.mark.parametrize("time", [12, 12.5, 0, -1.0])
def test_a_number_under_timestamp_is_the_time_of_an_own_event(time: float) -> None:
    event = own({"timestamp": time})
    assert event.timestamp == event["timestamp"] == time


@pytest.mark.parametrize("time", [None, "noon", True, [1]])
def test_anything_else_under_timestamp_is_not(time: object) -> None:
    event = own({"timestamp": time})
    assert event.timestamp == event["timestamp"] == 99.5


def test_an_own_event_is_not_changed_by_who_made_it_nor_by_who_hears_it() -> None:
    data = {"answer": 42}
    event = own(data)
    data["answer"] = 43
    assert event["answer"] == 42
    assert isinstance(event.data, MappingProxyType)
    heard: Any = event.data
    with pytest.raises(TypeError):
        heard["answer"] = 44


def test_an_own_event_that_holds_itself_is_collected() -> None:
    """Records of the product hold no containers and are not tracked; an own event may hold anything."""
    assert not gc.is_tracked(SAMPLES[0])
    assert gc.is_tracked(own({"a": []}))


def test_records_are_built_by_position_in_the_order_of_their_fields() -> None:
    fields = msgspec.structs.fields(PriceUpdate)
    assert [field.name for field in fields] == ["run", "number", "timestamp", *PRICE_FIELDS, "suspect"]


@pytest.mark.parametrize(
    ("body", "topic"),
    [
        (b'{"event": "price.alert", "alert_id": "a", "symbol": "AAPL", "price": 1.5}', ("a", "AAPL")),
        (b'{"event": "price.update", "symbol": "AAPL"}', ("", "AAPL")),
        (b'{"event": "price.error", "symbol": null}', ()),
        (b'{"alert_id": 3}', ()),
        (b"{", ()),
    ],
)
def test_a_topic_is_the_alert_and_the_symbol_that_an_event_is_about(body: bytes, topic: tuple[str, ...]) -> None:
    assert topic_of(body) == topic
