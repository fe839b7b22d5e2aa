"""Every price once while two connections carry the same symbols."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.overlap import Overlap
from pricestreamd.model.tick import Tick


def tick(price: float, at: float = 1.0, symbol: str = "AAPL", received_at: float = 2.0) -> Tick:
    return Tick(symbol, price, at, received_at, 10.0, None, "us")


def test_what_both_deliver_passes_once_whoever_is_first() -> None:
    passed: list[Tick] = []
    overlap = Overlap(passed.append)
    old, new = overlap.old, overlap.new
    old(tick(1))
    new(tick(1, received_at=3.0))
    new(tick(2))
    old(tick(2))
    assert [one.price for one in passed] == [1, 2]
    assert overlap.duplicates == 2


def test_two_equal_trades_are_two() -> None:
    passed: list[Tick] = []
    overlap = Overlap(passed.append)
    for callback in (overlap.old, overlap.new):
        callback(tick(1))
        callback(tick(1))
    assert len(passed) == 2


def test_what_was_delivered_just_before_does_not_come_again() -> None:
    passed: list[Tick] = []
    overlap = Overlap(passed.append, [tick(1)])
    overlap.new(tick(1, received_at=5.0))
    assert passed == []
    overlap.new(tick(1, received_at=6.0))
    assert len(passed) == 1


@given(st.data(), st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 3)), max_size=30))
def test_any_interleaving_of_the_same_prices_passes_each_as_often_as_it_was_made(
    data: st.DataObject, made: list[tuple[str, int]]
) -> None:
    ticks = [tick(float(price), symbol=symbol) for symbol, price in made]
    # The old side ends early, the new one begins late: together they have all.
    end = data.draw(st.integers(0, len(ticks)))
    begin = data.draw(st.integers(0, end))
    passed: list[Tick] = []
    overlap = Overlap(passed.append)
    # What the old side delivers before the overlap is none of its business.
    old, new = ticks[begin:end], ticks[begin:]
    while old or new:
        side = data.draw(st.booleans()) if old and new else bool(old)
        (overlap.old if side else overlap.new)((old if side else new).pop(0))
    assert Counter(passed) == Counter(ticks[begin:])
