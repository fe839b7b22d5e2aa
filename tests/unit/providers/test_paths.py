"""Where a path leads in a message, and that it never leads to an exception."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.providers.paths import ABSENT, find, parse_path

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("price", ("price",)),
        ("data.price", ("data", "price")),
        ("data[0].price", ("data", 0, "price")),
        ("[3]", (3,)),
        ("[1][0]", (1, 0)),
        ("a[10][2].b.c[0]", ("a", 10, 2, "b", "c", 0)),
        ("05. price", ("05", " price")),
        ("", ()),
        ("a..b", ("a", "b")),
        # What is no position is a name.
        ("a[b]", ("a[b]",)),
        ("a[-1]", ("a[-1]",)),
        ("a[0", ("a[0",)),
        ("a[0]b", ("a[0]b",)),
        ("[9999999999]", ("[9999999999]",)),
    ],
)
def test_a_path_is_its_steps(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(text) == steps


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", {"b": [1, {"c": None}]}),
        ("a.b[0]", 1),
        ("a.b[1].c", None),
        ("a.b[2]", ABSENT),
        ("a.b.c", ABSENT),
        ("a[0]", ABSENT),
        ("x", ABSENT),
        ("x.y[0]", ABSENT),
        ("t[0]", ABSENT),
        ("t.a", ABSENT),
    ],
)
def test_a_path_leads_to_what_stands_there(text: str, found: object) -> None:
    assert find(parse_path(text), {"a": {"b": [1, {"c": None}]}, "t": "text"}) == found


def test_the_path_without_steps_is_the_message() -> None:
    assert find((), [1]) == [1]


def test_nothing_is_told_from_null() -> None:
    assert find(("a",), {"a": None}) is None
    assert find(("b",), {"a": None}) is ABSENT
    assert repr(ABSENT) == "ABSENT"


@given(text=st.text(max_size=30) | st.text("ab.[]019", max_size=30), value=JSON)
def test_any_path_into_anything_finds_something_or_nothing(text: str, value: object) -> None:
    find(parse_path(text), value)


@given(
    steps=st.lists(st.text("abc", min_size=1, max_size=3) | st.integers(0, 3), min_size=1, max_size=5), value=st.none()
)
def test_what_was_put_at_a_path_is_found_there(steps: list[str | int], value: None) -> None:
    text = ""
    built: object = value
    for step in reversed(steps):
        built = {step: built} if isinstance(step, str) else [*range(step), built]
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    assert parse_path(text) == tuple(steps)
    assert find(parse_path(text), built) is value
