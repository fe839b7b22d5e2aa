"""When a backup takes over, and when it gives back."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.takeover import PATIENCE, SETTLED, Takeover

SYMBOLS = frozenset("AB")


class Feeds:
    """A feed and its backup on a fake clock."""

    def __init__(self) -> None:
        self.takeover = Takeover()
        self.now = 100.0
        self.hands: list[tuple[float, str, str]] = []

    def look(
        self, down: Iterable[str] = (), stale: Iterable[str] = (), *, live: bool = True, symbols: str = "AB"
    ) -> None:
        down, stale = frozenset(down) | frozenset(stale), frozenset(stale)
        handover = self.takeover.look(symbols, down, stale, self.now, backup_live=live)
        self.hands += [(self.now, "taken", symbol) for symbol in sorted(handover.taken)]
        self.hands += [(self.now, "back", symbol) for symbol in sorted(handover.given_back)]
        self.now += 0.5


def test_an_ordinary_reconnect_wakes_nobody() -> None:
    feeds = Feeds()
    while feeds.now < 100.0 + PATIENCE - 1:
        feeds.look(down="AB")
    for _ in range(10):
        feeds.look()
    assert feeds.hands == []


def test_a_feed_that_stays_down_is_taken_over_and_gets_back_what_it_delivers_for_a_while() -> None:
    feeds = Feeds()
    while feeds.now <= 110.0:
        feeds.look(down="A")
    while feeds.now <= 130.0:
        feeds.look()
    assert feeds.hands == [(100.0 + PATIENCE, "taken", "A"), (110.5 + SETTLED, "back", "A")]


def test_a_stale_feed_is_taken_over_at_once() -> None:
    feeds = Feeds()
    feeds.look(stale="AB")
    assert feeds.hands == [(100.0, "taken", "A"), (100.0, "taken", "B")]


def test_a_feed_that_comes_and_goes_does_not_get_its_symbols_back() -> None:
    feeds = Feeds()
    feeds.look(stale="A")
    for _ in range(20):
        for _ in range(8):
            feeds.look()
        feeds.look(down="A")
    assert feeds.hands == [(100.0, "taken", "A")]


def test_a_backup_that_is_down_itself_gives_back_at_once() -> None:
    feeds = Feeds()
    feeds.look(stale="A")
    feeds.look(live=False)
    assert [what for _, what, _ in feeds.hands] == ["taken", "back"]


def test_a_symbol_that_nobody_wants_any_more_is_given_back() -> None:
    feeds = Feeds()
    feeds.look(stale="A")
    feeds.look(stale="A", symbols="B")
    assert [what for _, what, _ in feeds.hands] == ["taken", "back"]


@given(st.lists(st.tuples(st.frozensets(st.sampled_from("AB")), st.booleans(), st.booleans()), max_size=60))
def test_whatever_happens_hands_change_in_turn(looks: list[tuple[frozenset[str], bool, bool]]) -> None:
    feeds = Feeds()
    for down, stale, live in looks:
        feeds.look(down=down, stale=down if stale else (), live=live)
    for symbol in SYMBOLS:
        mine = [what for _, what, which in feeds.hands if which == symbol]
        assert mine == ["taken", "back"] * (len(mine) // 2) + ["taken"] * (len(mine) % 2)
        assert (symbol in feeds.takeover.taken) == (len(mine) % 2 == 1)
