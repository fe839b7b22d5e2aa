"""Ticks: what can be a price, and what makes two symbols the same."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import PRICE_LIMIT, Tick, price_fault, symbol_key


@pytest.mark.parametrize(
    ("price", "fault"),
    [
        (None, "missing"),
        *[(bad, "type") for bad in ("191.45", "", b"1", True, False, [1.0], {"p": 1}, 1j, object())],
        *[(bad, "not_finite") for bad in (math.nan, math.inf, -math.inf, float("1e400"))],
        *[(bad, "not_positive") for bad in (0, 0.0, -0.0, -1, -1e-300, -(2**70), 5e-324, 1e-101)],
        *[(bad, "type") for bad in (2**64, 2**70, PRICE_LIMIT, 1e300)],
        *[(good, None) for good in (1, 191.45, 1e-100, 0.00001234, 2**64 - 1, math.nextafter(PRICE_LIMIT, 0.0))],
    ],
)
def test_what_is_wrong_with_a_price(price: object, fault: str | None) -> None:
    assert price_fault(price) == fault


@given(st.floats() | st.integers() | st.none() | st.text() | st.booleans())
def test_what_has_no_fault_is_a_positive_finite_number(price: object) -> None:
    if price_fault(price) is None:
        assert isinstance(price, int | float)
        assert 0 < price < math.inf


@pytest.mark.parametrize(
    ("one", "other"), [("AAPL", "aapl"), (" AAPL\t", "AAPL"), ("btc/usd", "BTC/USD"), ("RY:tsx", "ry:TSX\n")]
)
def test_symbols_match_whatever_their_case_and_the_space_around_them(one: str, other: str) -> None:
    assert symbol_key(one) == symbol_key(other)


@pytest.mark.parametrize(("one", "other"), [("A", "B"), ("BRK A", "BRKA"), ("BTC/USD", "BTCUSD"), ("RY", "RY:TSX")])
def test_different_symbols_stay_different(one: str, other: str) -> None:
    assert symbol_key(one) != symbol_key(other)


def test_a_tick_needs_symbol_price_and_times_and_is_built_by_position() -> None:
    tick = Tick("AAPL", 1.5, 2.0, 2.25)
    assert (tick.volume, tick.currency, tick.feed) == (None, None, "")
    full = Tick("AAPL", 1.5, 2.0, 2.25, 10.0, "USD", "us")
    assert (full.received_at, full.volume, full.currency, full.feed) == (2.25, 10.0, "USD", "us")
    with pytest.raises(AttributeError):
        tick.price = 2.0  # type: ignore[misc]  # it is frozen: that is what is tested
