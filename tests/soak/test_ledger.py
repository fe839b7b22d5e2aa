"""The audit can be failed: each kind of broken promise is seen in a ledger made for it."""

from __future__ import annotations

import math
from itertools import islice, pairwise

import pytest

from tests.soak.ledger import MARGIN, Page, audit
from tests.soak.provider import Outage, recovery_times
from tests.soak.sabotage import plan
from tests.soak.wire import Binance, TwelveData
from tests.soak.world import World

WORLD = World(seed=1, seconds=10.0, symbols=3, rate=30.0)
# The first tick of a symbol that is one trade, and one that is several.
SINGLE = next(number for number in range(100) if WORLD.copies(0, number) == 1)
TWIN = next(number for number in range(100) if WORLD.copies(0, number) == 2)


def came(*numbers: int) -> bytearray:
    """A table with ticks of the first symbol."""
    table = bytearray(WORLD.starts[-1])
    for number in numbers:
        table[number] += 1
    return table


def page(*ticks: tuple[int, float], broken_at: float = math.inf, margin: float = MARGIN) -> Page:
    written = Page()
    for number, at in ticks:
        written.wrote(0, number, at)
    if broken_at < math.inf:
        written.broken(broken_at, "reset", margin)
    return written


def test_a_tick_that_came_once_is_all_right() -> None:
    found = audit(WORLD, [page((SINGLE, 1.0))], came(SINGLE))
    assert (found.sent, found.received, found.lost_outside, found.lost_within_margin) == (1, 1, 0, 0)
    assert (found.duplicates, found.never_sent, found.examples) == (0, 0, [])


def test_a_tick_on_a_connection_that_lived_is_owed() -> None:
    found = audit(WORLD, [page((SINGLE, 1.0))], came())
    assert (found.lost_outside, found.received) == (1, 0)
    assert found.examples == [f"symbol 0 tick {SINGLE}: came 0 times of 1"]


@pytest.mark.parametrize(("at", "outside", "within", "sent"), [(8.0, 1, 0, 1), (9.8, 0, 1, 1), (10.2, 0, 0, 0)])
def test_what_is_lost_counts_by_its_age_at_the_break(at: float, outside: int, within: int, sent: int) -> None:
    found = audit(WORLD, [page((SINGLE, at), broken_at=10.0)], came())
    assert (found.lost_outside, found.lost_within_margin, found.sent) == (outside, within, sent)
    assert found.oldest_loss == pytest.approx(0.2 if within else 0.0)
    assert found.losses == ({"reset": 1} if within else {})


def test_a_close_frame_excuses_nothing_before_it() -> None:
    assert audit(WORLD, [page((SINGLE, 9.999), broken_at=10.0, margin=0.0)], came()).lost_outside == 1


def test_a_later_break_excuses_nothing_that_the_first_did_not() -> None:
    written = page((SINGLE, 8.0), broken_at=10.0)
    written.broken(8.1, "client")
    assert audit(WORLD, [written], came()).lost_outside == 1


def test_a_tick_on_two_connections_is_owed_once_by_the_one_that_lived() -> None:
    pages = [page((SINGLE, 9.9), broken_at=10.0), page((SINGLE, 9.9))]
    assert audit(WORLD, pages, came()).lost_outside == 1
    assert audit(WORLD, pages, came(SINGLE)).duplicates == 0
    assert audit(WORLD, pages, came(SINGLE, SINGLE)).duplicates == 1


def test_of_an_unwanted_symbol_nothing_is_owed_until_it_is_wanted_again() -> None:
    ticks = page((SINGLE, 5.0))
    assert audit(WORLD, [ticks], came(), {0: [(5.2, 9.0)]}).lost_outside == 0
    assert audit(WORLD, [ticks], came(), {0: [(6.0, 9.0)]}).lost_outside == 1
    assert audit(WORLD, [ticks], came(), {0: [(1.0, 4.9)]}).lost_outside == 1
    assert audit(WORLD, [ticks], came(), {1: [(1.0, 9.0)]}).lost_outside == 1


def test_what_was_on_its_way_while_it_was_given_up_is_within_the_margin() -> None:
    ticks = page((SINGLE, 5.0))
    ticks.gave_up(0, 5.3)
    assert audit(WORLD, [ticks], came()).lost_within_margin == 1
    ticks = page((SINGLE, 5.0))
    ticks.gave_up(0, 5.6)
    assert audit(WORLD, [ticks], came()).lost_outside == 1


def test_who_replaces_a_connection_loses_nothing_before_the_new_one_has_the_symbol() -> None:
    old = page((SINGLE, 9.9), broken_at=10.0)
    old.handed_over[0] = 9.95
    assert audit(WORLD, [old], came()).lost_outside == 1
    old = page((SINGLE, 9.9), broken_at=10.0)
    old.handed_over[0] = 9.85
    assert audit(WORLD, [old], came()).lost_within_margin == 1


def test_equal_trades_are_counted_singly() -> None:
    one = [page((TWIN, 1.0))]
    assert audit(WORLD, one, came(TWIN)).lost_outside == 1
    assert audit(WORLD, one, came(TWIN, TWIN)).received == 2
    assert audit(WORLD, one, came(TWIN, TWIN, TWIN)).duplicates == 1


def test_what_nobody_sent_is_seen() -> None:
    assert audit(WORLD, [], came(SINGLE)).never_sent == 1


def test_the_world_is_the_same_for_the_same_seed_and_has_the_rates_that_it_says() -> None:
    world = World(seed=5, seconds=100.0, symbols=50, rate=500.0)
    ticks = list(islice(world.ticks(), 20_000))
    assert ticks == list(islice(World(5, 100.0, 50, 500.0).ticks(), 20_000))
    assert all(earlier[0] <= later[0] for earlier, later in pairwise(ticks))
    assert ticks[-1][0] == pytest.approx(40.0, rel=0.05)
    busiest = max(range(50), key=world.rates.__getitem__)
    mine = [number for _, symbol, number in ticks if symbol == busiest]
    assert mine == list(range(len(mine)))
    assert len(mine) == pytest.approx(world.rates[busiest] * 40.0, rel=0.25)


def test_the_faults_are_the_same_for_the_same_seed_and_of_every_kind() -> None:
    faults = plan(7, 600.0, 2.0, Binance())
    assert faults == plan(7, 600.0, 2.0, Binance())
    assert len(faults) == pytest.approx(300, rel=0.2)
    assert {fault.kind for fault in faults} >= {"reset", "half-open", "mute", "farewell", "close 1013", "storm", "dark"}
    assert "farewell" not in {fault.kind for fault in plan(7, 600.0, 2.0, TwelveData())}


def test_recovery_is_from_the_fault_to_the_last_symbol() -> None:
    outages = [Outage("reset", 1.0, set(), 1.5), Outage("reset", 2.0, {1}), Outage("eof", 3.0, set(), 3.25)]
    assert recovery_times(outages) == {"reset": [0.5], "eof": [0.25]}
