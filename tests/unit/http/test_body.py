"""Bodies: one JSON object, strictly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.http.body import MAX_DEPTH, BodyError, parse_object


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Expecting value at line 1, column 1"),
        (b"[]", "it is something else"),
        (b"null", "it is something else"),
        (b'{"a": 1', "Expecting"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b'{"x": {"a": 1, "a": 1}}', "'a' is there twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "a number is too large"),
        (b'{"a": ' + b"9" * 101 + b"}", "more than 100 digits"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (rb'{"a": "\ud800"}', "half of a surrogate pair"),
        (rb'{"\udfff": 1}', "cannot be printed"),
        (rb'{"\u0000": 1}', "cannot be printed"),
        (b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", f"deeper than {MAX_DEPTH} levels"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, f"deeper than {MAX_DEPTH} levels"),
        (b"{'a': 1}", "Expecting property name"),
    ],
)
def test_what_is_no_json_object_is_refused_with_the_reason(body: bytes, said: str) -> None:
    with pytest.raises(BodyError) as caught:
        parse_object(body)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_object_is_taken_as_it_is() -> None:
    body = {"a": 1, "b": 2.5, "c": None, "d": [True, "\u00e9\U0001f600"], "e": {"f": -(10**90)}}
    assert parse_object(json.dumps(body).encode()) == body


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    try:
        found = parse_object(data)
    except BodyError:
        return
    assert isinstance(found, dict)


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5)))
def test_what_is_taken_can_be_written_again(body: dict[str, object]) -> None:
    try:
        found = parse_object(json.dumps(body).encode())
    except BodyError:
        return
    json.dumps(found, ensure_ascii=False).encode()
