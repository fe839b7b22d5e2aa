"""The ledger knows what a client must have received, and what may have been lost."""

import pytest

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.ledger import Ledger, Life, Made


def life(ledger: Ledger, written: dict[int, float], ended_at: float | None = None, ending: str | None = None) -> Life:
    page = ledger.opened(1, "twelvedata", "k", 0.0)
    page.numbers.extend(written)
    page.times.extend(written.values())
    page.ended_at, page.ending = ended_at, ending
    return page


def test_ticks_are_numbered_from_one_on_and_carry_the_number_as_their_volume() -> None:
    ledger = Ledger()
    first = ledger.number([Tick("A", 1.5, 7.0, 7.0, 3.0, None, "f"), Tick("B", 2.5, 7.0, 7.0)], 8.0)
    second = ledger.number([Tick("A", 3.5, 9.0, 9.0)], 9.0)
    assert [tick.volume for tick in first + second] == [1.0, 2.0, 3.0]
    assert (first[0].symbol, first[0].price, first[0].timestamp, first[0].feed) == ("A", 1.5, 7.0, "f")
    assert ledger.made == 3
    assert [ledger.tick(number) for number in (1, 3)] == [Made("A", 1.5, 8.0), Made("A", 3.5, 9.0)]


def test_of_a_connection_that_lives_all_but_the_last_second_is_owed() -> None:
    ledger = Ledger()
    life(ledger, {1: 1.0, 2: 2.0, 3: 3.0})
    assert ledger.owed(3.5) == {1, 2}
    assert ledger.owed(3.5, margin=0.0) == {1, 2, 3}


@pytest.mark.parametrize("ending", ["eof", "close 1001"])
def test_of_one_that_ended_in_good_order_everything_is_owed(ending: str) -> None:
    ledger = Ledger()
    life(ledger, {1: 1.0, 2: 2.9}, 3.0, ending)
    assert ledger.owed(3.1) == {1, 2}


@pytest.mark.parametrize("ending", ["reset", "client", "slow reader"])
def test_of_one_that_ended_otherwise_the_last_second_may_be_lost(ending: str) -> None:
    ledger = Ledger()
    life(ledger, {1: 1.0, 2: 2.9}, 3.0, ending)
    assert ledger.owed(10.0) == {1}


def test_a_tick_on_two_connections_is_owed_if_one_of_them_owes_it() -> None:
    ledger = Ledger()
    life(ledger, {1: 1.0, 2: 2.9}, 3.0, "reset")
    life(ledger, {2: 2.9, 3: 3.0})
    assert ledger.owed(10.0) == {1, 2, 3}
