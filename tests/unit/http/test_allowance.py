"""How often somebody may is bounded, and so is what is remembered of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.http.allowance import REMEMBERED, Allowance, place_of, retry_after

BURST = 30


def test_thirty_at_once_and_one_a_second_after_that() -> None:
    allowed = Allowance(BURST, 1.0)
    for _ in range(BURST):
        assert allowed.wait("a", 10.0) == 0
        allowed.take("a", 10.0)
    assert allowed.wait("a", 10.0) == pytest.approx(1.0)
    assert allowed.wait("a", 10.5) == pytest.approx(0.5)
    assert allowed.wait("a", 11.0) == 0
    allowed.take("a", 11.0)
    assert allowed.wait("a", 11.0) == pytest.approx(1.0)


def test_one_place_does_not_pay_for_another() -> None:
    allowed = Allowance(BURST, 1.0)
    for _ in range(BURST):
        allowed.take("a", 0.0)
    assert allowed.wait("a", 0.0) > 0
    assert allowed.wait("b", 0.0) == 0


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1e6)), max_size=50))
def test_it_never_waits_for_longer_than_a_second_and_never_remembers_more(tries: list[tuple[int, float]]) -> None:
    allowed = Allowance(BURST, 1.0)
    for place, at in tries:
        if allowed.wait(str(place), at) == 0:
            allowed.take(str(place), at)
        assert 0 <= allowed.wait(str(place), at) <= 1.0


def test_places_beyond_the_bound_are_forgotten_the_oldest_first() -> None:
    allowed = Allowance(1, 1.0)
    for number in range(REMEMBERED + 10):
        allowed.take(str(number), 0.0)
    assert len(allowed) == REMEMBERED
    assert [allowed.wait(str(number), 0.0) for number in (0, 9, 10, REMEMBERED + 9)] == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
        ("nonsense", ""),
    ],
)
def test_a_place_is_an_address_or_a_network(address: str | None, place: str) -> None:
    assert place_of(address) == place


def test_a_header_of_whole_seconds_from_one() -> None:
    assert [retry_after(seconds) for seconds in (0.0, 0.2, 1.0, 1.1)] == ["1", "1", "1", "2"]
