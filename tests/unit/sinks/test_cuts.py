"""Cutting a batch to find what is refused: no good one is lost, none is tried twice, and few attempts find it."""

import math

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.sinks.delivery.cuts import Cuts


def sifted(count: int, bad: set[int], steps: list[int]) -> tuple[list[int], list[int], int]:
    """What is delivered and what is given up, of `count` numbers, and the attempts; `steps` bound their sizes."""
    cuts, batch = Cuts(), list(range(count))
    delivered: list[int] = []
    given_up: list[int] = []
    attempts = 0
    while batch:
        step = steps[attempts % len(steps)] if steps else count
        size = min(cuts.size or len(batch), len(batch), step)
        assert size > 0
        attempts += 1
        assert attempts <= 4 * count + 4
        tried = batch[:size]
        if not bad & set(tried):
            delivered += tried
            del batch[:size]
            cuts.done(size)
        elif size > 1:
            cuts.halve(size, len(batch))
        else:
            given_up += tried
            del batch[:1]
            cuts.done(1, delivered=False)
    return delivered, given_up, attempts


@given(
    count=st.integers(1, 200),
    bad=st.sets(st.integers(0, 199), max_size=20),
    steps=st.lists(st.integers(1, 50), max_size=4),
)
def test_the_bad_ones_are_found_and_nothing_else_is_lost_or_out_of_order(
    count: int, bad: set[int], steps: list[int]
) -> None:
    delivered, given_up, _ = sifted(count, bad, steps)
    assert given_up == sorted(number for number in bad if number < count)
    assert delivered == [number for number in range(count) if number not in bad]


@given(count=st.integers(2, 5000), data=st.data())
def test_one_bad_one_is_found_in_about_twice_the_logarithm(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, count - 1))
    delivered, given_up, attempts = sifted(count, {bad}, [])
    assert given_up == [bad]
    assert len(delivered) == count - 1
    assert attempts <= 2 * math.ceil(math.log2(count)) + 2
