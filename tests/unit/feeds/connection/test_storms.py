"""An hour of a server that lets in and drops, on a fake clock: however it drops, it is not stormed, and not given up."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import pytest

from pricestreamd.feeds.settings import FeedSettings, StaleSettings
from pricestreamd.model.errors import HandshakeRejected, TransportError
from tests.unit.feeds.connection.driver import Driver

SETTINGS = FeedSettings(provider="twelvedata", stale_after=StaleSettings(connection=None))
SEEDS = range(100)
HOUR = 3600.0
# Delays of 1, 2, 4, 8 and 16 s, then of 30 s: 15 connects in the first five minutes and 2 a minute from then on.
CONNECTS_AN_HOUR = 150
CONNECTS_IN_FIVE_MINUTES = 30
FIVE_MINUTES = 300.0
FEWEST_CONNECTS = 10
# A delay is at least 1 s, less a fifth.
SHORTEST_DELAY = 0.8

# A connection is proven by 10 s of prices. None of these lives so long.
LONGEST_LIFE = 9.5
STEP = 0.25
# From dial to dial: whoever seems to be one connection too many stays away for a quarter of an hour at most.
LONGEST_PAUSE = 900.0 + LONGEST_LIFE + STEP


class Storm(Driver):
    """A session before a server that does to each connection what `fate` says. `dice` are thrown for both sides."""

    def __init__(self, fate: Fate, seed: int) -> None:
        self.dice = random.Random(seed)
        self._fate = fate
        self._end: tuple[float, str] | None = None
        super().__init__("AAPL", settings=SETTINGS, on_open=self._met, dice=self.dice.uniform)
        self.prices_every = 0.5

    def lose_after(self, seconds: float, reason: str = "reset") -> None:
        """Until then the connection is as good as any."""
        self._end = (self.now + seconds, reason)

    def hour(self) -> list[float]:
        """Seconds from the start to each dial."""
        began = self.now
        self.start()
        while self.now < began + HOUR:
            self.advance(STEP)
            if self._end is not None and self.now >= self._end[0]:
                reason, self._end = self._end[1], None
                self.lose(reason)
        return [at - began for at in self.dials]

    def _met(self, _: Driver) -> None:
        self._end = None
        self._fate(self)


Fate = Callable[[Storm], None]


def dropped_at_once(storm: Storm) -> None:
    storm.accept()
    storm.lose("reset")


def closed_after_the_answer(storm: Storm) -> None:
    storm.accept()
    storm.acknowledge()
    storm.lose("going_away", 1001)


def dropped_after_a_price(storm: Storm) -> None:
    storm.accept()
    storm.acknowledge()
    storm.price()
    storm.do(storm.session.wake(storm.now, storm.frames, storm.ticks))
    storm.lose("reset")


def dropped_while_live(storm: Storm) -> None:
    storm.accept()
    storm.acknowledge()
    storm.lose_after(storm.dice.uniform(0.0, LONGEST_LIFE))


def closed_while_live_as_if_it_were_one_too_many(storm: Storm) -> None:
    storm.accept()
    storm.acknowledge()
    storm.lose_after(storm.dice.uniform(0.0, LONGEST_LIFE), "eof")


def never_answered(storm: Storm) -> None:
    storm.accept()
    storm.prices_every = None


def refused_by_the_network(storm: Storm) -> None:
    storm.refuse(TransportError("no connection", reason=storm.dice.choice(["refused", "dns", "timeout", "tls"])))


def refused_by_http(storm: Storm) -> None:
    storm.refuse(HandshakeRejected("no", status=storm.dice.choice([200, 302, 404, 500, 503])))


FATES: Sequence[Fate] = (
    dropped_at_once,
    closed_after_the_answer,
    dropped_after_a_price,
    dropped_while_live,
    closed_while_live_as_if_it_were_one_too_many,
    never_answered,
    refused_by_the_network,
    refused_by_http,
)


def any_of_them(storm: Storm) -> None:
    storm.prices_every = 0.5
    storm.dice.choice(FATES)(storm)


@cache
def an_hour(fate: Fate, seed: int) -> tuple[float, ...]:
    return tuple(Storm(fate, seed).hour())


@pytest.mark.parametrize("fate", [*FATES, any_of_them])
def test_an_hour_of_it_is_under_150_connects_and_goes_on_trying(fate: Fate) -> None:
    for seed in SEEDS:
        dials = an_hour(fate, seed)
        assert len(dials) < CONNECTS_AN_HOUR
        assert max(later - earlier for earlier, later in pairwise([*dials, HOUR])) <= LONGEST_PAUSE
        assert len(dials) >= FEWEST_CONNECTS


@pytest.mark.parametrize("fate", [*FATES, any_of_them])
def test_no_five_minutes_of_it_see_more_than_30_connects(fate: Fate) -> None:
    for seed in SEEDS:
        dials = an_hour(fate, seed)
        for start in dials:
            assert sum(start <= at < start + FIVE_MINUTES for at in dials) <= CONNECTS_IN_FIVE_MINUTES
        assert min(later - earlier for earlier, later in pairwise(dials)) >= SHORTEST_DELAY


def test_the_first_five_minutes_see_15_connects_on_average() -> None:
    counts = [sum(at < FIVE_MINUTES for at in an_hour(dropped_at_once, seed)) for seed in SEEDS]
    assert 13 <= statistics.mean(counts) <= 17
