"""The bytes of the live stream."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.http.frame import HEARTBEAT, Batch, Frame
from pricestreamd.model.events import CustomEvent, PriceChange, PriceError, PriceUpdate, to_json
from pricestreamd.model.secret import Secret

UPDATE = PriceUpdate("run1", 7, 1.5, "BTC/USD", 60000.5, None, 60000.0, 0.5, 0.000833, "USD", "crypto", 1.6, 3)


def test_a_frame_has_id_event_and_one_line_of_data() -> None:
    assert Frame(UPDATE).encoded() == b"id: run1-7\nevent: price.update\ndata: " + to_json(UPDATE) + b"\n\n"


def test_only_a_price_update_gives_way_to_a_newer_one() -> None:
    assert Frame(UPDATE).symbol == "BTC/USD"
    fields = [getattr(UPDATE, name) for name in UPDATE.__struct_fields__]
    assert Frame(PriceChange(*fields)).symbol is None


def test_an_event_is_encoded_once_and_a_batch_joined_once() -> None:
    frames = [Frame(UPDATE), Frame(UPDATE)]
    batch = Batch(frames)
    assert batch.encoded() is batch.encoded()
    assert frames[0].encoded() is frames[0].encoded()
    assert batch.encoded() == frames[0].encoded() * 2


def test_a_heartbeat_is_a_comment() -> None:
    assert HEARTBEAT.encoded().startswith(b":")
    assert HEARTBEAT.encoded().endswith(b"\n\n")


def test_what_cannot_be_written_is_told_without_it() -> None:
    loop: list[object] = []
    loop.append(loop)
    for value in (loop, {1: {(2,): 3}}, "\ud800", {"\ud800": 1}):
        data = Frame(CustomEvent("r", 1, 2.0, "my.event", {"value": value})).encoded().split(b"data: ")[1]
        assert json.loads(data)["event"] == "my.event"
        assert json.loads(data)["id"] == "r-1"


def test_no_secret_and_no_number_that_json_does_not_know_leaves() -> None:
    secret = Secret("canary-4711")
    event = CustomEvent("r", 1, math.nan, "my.event", {"a": ["x canary-4711 y"], "b": {"c": secret}, "d": math.inf})
    data = json.loads(Frame(event).encoded().split(b"data: ")[1])
    assert data["a"] == ["x *** y"]
    assert data["b"] == {"c": "***"}
    assert data["d"] is None
    assert data["timestamp"] is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda s: st.lists(s) | st.dictionaries(st.text(), s),
)


@given(st.text(), st.dictionaries(st.text(), JSON))
def test_whatever_an_event_holds_a_frame_stays_one_frame(name: str, data: dict[str, object]) -> None:
    encoded = Frame(CustomEvent("run", 1, 1.0, name, data)).encoded()
    assert encoded.count(b"\n\n") == 1
    lines = encoded[:-2].split(b"\n")
    assert [line.partition(b": ")[0] for line in lines] == [b"id", b"event", b"data"]
    assert b"\r" not in encoded
    json.loads(lines[2][6:])


@given(st.text())
def test_an_error_with_any_text_is_valid_json(message: str) -> None:
    event = PriceError(run="r", number=1, timestamp=1.0, severity="warning", error="e", message=message)
    assert isinstance(json.loads(Frame(event).encoded().split(b"data: ", 1)[1])["message"], str)


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\x85b", "a\u2028b", "\n\n"])
def test_an_event_name_cannot_end_its_line(name: str) -> None:
    first, second, third = Frame(CustomEvent("r", 1, 1.0, name, {})).encoded()[:-2].split(b"\n")
    assert second.startswith(b"event: ")
    assert first == b"id: r-1"
    assert third.startswith(b"data: {")
