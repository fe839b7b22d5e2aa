"""Prices as text: only what is written like a decimal number is one (D2, D3, D5)."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import FaultKind
from pricestreamd.providers.complaints import bounded, kind_of
from pricestreamd.providers.rejection import decimal, read_number, read_price, tolerant_parse

NO_NUMBERS: list[object] = ["1e400", math.nan, math.inf, 10**400, True, None, "much", [], {}]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("191.45", 191.45),
        ("0", 0.0),
        ("-0.5", -0.5),
        ("00.50", 0.5),
        ("1e5", 1e5),
        ("1.25E-3", 0.00125),
        ("1e+2", 100.0),
        ("0.00001234", 1.234e-05),
        ("1e400", math.inf),
        *((text, None) for text in ("", " ", "1,234.5", "1 000", " 1", "1\n", "+1", ".5", "1.", "1e", "0x10", "1_000")),
        *((text, None) for text in ("nan", "inf", "-Infinity", "\u0661", "1" * 101, "1.5.2", "--1", "1e5.5", "null")),
    ],
)
def test_decimal_text_is_strict(text: str, number: float | None) -> None:
    assert decimal(text) == number


@pytest.mark.parametrize(
    ("value", "price"),
    [
        ("191.45", 191.45),
        (191.45, 191.45),
        (191, 191.0),
        (None, "missing"),
        (True, "type"),
        ([], "type"),
        ("1,234.5", "type"),
        ("", "type"),
        (2**64, "type"),
        (str(2**64), "type"),
        ("nan", "not_finite"),
        ("inf", "not_finite"),
        ("1e400", "not_finite"),
        (math.nan, "not_finite"),
        ("0", "not_positive"),
        ("-1", "not_positive"),
        (0, "not_positive"),
        ("1e-200", "not_positive"),
    ],
)
def test_a_price_is_read_or_refused_by_its_reason(value: object, price: float | str) -> None:
    assert read_price(value) == price


@given(st.floats(1e-90, 1e18))
def test_a_price_survives_its_text(price: float) -> None:
    assert read_price(repr(price)) == price


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("5.5", 5.5),
        (5.5, 5.5),
        (-5, -5.0),
        ("-5", -5.0),
        *((value, None) for value in NO_NUMBERS),
    ],
)
def test_what_stands_beside_a_price_is_a_finite_number_or_none(value: object, number: float | None) -> None:
    assert read_number(value) == number


def test_a_text_that_is_json_but_for_its_numbers_can_be_read() -> None:
    assert tolerant_parse(b'{"a": Infinity}') == {"a": math.inf}
    assert tolerant_parse('{"a": 1e400}') == {"a": math.inf}
    assert tolerant_parse('{"a": %s}' % ("9" * 5000)) == {"a": 10**25}
    for text in (b"{", b"\xff", "[" * 100_000):
        assert tolerant_parse(text) is None


def test_a_text_from_outside_is_bounded_and_holds_no_secret() -> None:
    Secret("canary-key-4711")
    assert bounded("your key canary-key-4711 is bad") == "your key *** is bad"
    assert len(bounded("x" * 10_000)) == 200


def test_the_first_words_that_match_say_what_a_complaint_is_about() -> None:
    words = [(re.compile("limit"), FaultKind.OVER_CAP), (re.compile("rate"), FaultKind.RATE_LIMITED)]
    assert kind_of("rate limit", words) is FaultKind.OVER_CAP
    assert kind_of("rate", words) is FaultKind.RATE_LIMITED
    assert kind_of("", words) is FaultKind.TRANSIENT
