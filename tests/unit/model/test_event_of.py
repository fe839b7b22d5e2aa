"""`event_of` makes the record again from what `to_json` wrote, for every event that exists."""

import json
from types import MappingProxyType
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import EVENTS, CustomEvent, Event, PriceAlert, PriceUpdate, event_of, to_json

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
MAPPINGS = st.dictionaries(TEXTS, JSON, max_size=4)
HEAD = {"event", "id", "timestamp"}


def any_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Any record of `kind`, its fields by their types."""
    parts: dict[str, st.SearchStrategy[Any]] = {}
    for name in kind.__struct_fields__:
        hint = get_type_hints(kind)[name]
        parts[name] = MAPPINGS.map(MappingProxyType) if "Mapping" in str(hint) else of_type(hint)
    parts["number"] = st.integers(0, 2**53)
    return st.builds(kind, **parts)


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    ours: dict[Any, st.SearchStrategy[Any]] = {
        float: NUMBERS,
        str: TEXTS,
        float | None: st.none() | NUMBERS,
        str | None: st.none() | TEXTS,
    }
    return ours[hint] if hint in ours else st.from_type(hint)


OWN = st.builds(
    CustomEvent,
    TEXTS,
    st.integers(0, 2**53),
    NUMBERS,
    TEXTS.map(lambda text: f"my.{text}"),
    MAPPINGS.map(lambda data: MappingProxyType({key: data[key] for key in data.keys() - HEAD})),
)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.event)
def test_every_record_comes_back_as_it_was(kind: type[Event]) -> None:
    @given(any_of(kind))
    def comes_back(event: Event) -> None:
        again = event_of(to_json(event))
        assert again == event
        assert type(again) is kind
        assert to_json(again) == to_json(event)

    comes_back()


@given(OWN)
def test_an_event_of_ones_own_comes_back_as_it_was(event: CustomEvent) -> None:
    assert event_of(to_json(event)) == event


def test_a_field_that_a_newer_version_added_is_left_out() -> None:
    (update,) = [PriceUpdate("run", 1, 5.0, "A", 1.0, None, None, 0.0, 0.0, None, "f", 5.0, 1)]
    assert event_of(json.dumps({**update.to_dict(), "mood": "calm"}).encode()) == update


@pytest.mark.parametrize("change", [{"price": None}, {"price": "1"}, {"symbol": 5}])
def test_what_lacks_fields_of_its_name_keeps_those_it_has(change: dict[str, Any]) -> None:
    fields = {"event": PriceAlert.event, "id": "a-b-7", "timestamp": 5, **change}
    again = event_of(json.dumps(fields).encode())
    assert isinstance(again, CustomEvent)
    assert (again.event, again.id, again.to_dict()) == (PriceAlert.event, "a-b-7", fields)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b"{}",
        b'{"event":"price.alert","timestamp":1}',
        b'{"event":"price.alert","timestamp":1,"id":"run"}',
        b'{"event":"price.alert","timestamp":1,"id":"run-x"}',
        b'{"event":"price.alert","timestamp":1,"id":7}',
        b'{"event":7,"timestamp":1,"id":"run-7"}',
        b'{"event":"x","timestamp":null,"id":"run-7"}',
        b'{"event":"x","timestamp":true,"id":"run-7"}',
    ],
)
def test_what_is_no_event_is_a_value_error(body: bytes) -> None:
    # Not JSON at all is msgspec's own word, a ValueError too.
    with pytest.raises(ValueError, match=r"no event of ours|JSON|Expected|truncated|UTF-8"):
        event_of(body)
