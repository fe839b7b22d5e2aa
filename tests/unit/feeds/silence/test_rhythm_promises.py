"""Whatever happens to symbols, markets and clocks, what is promised of silent symbols holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.feeds.silence.looking import ALWAYS, Day, Switch

SYMBOLS = ("A", "B", "C")
SWITCHES = {"A": 0, "B": 0, "C": 1}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("look"), st.sampled_from([0.5, 1.0, 1.0, 2.0, 4.0, 5.0])),
        st.tuples(st.just("late"), st.sampled_from([9.0, 40.0, 50_000.0])),
        st.tuples(st.just("set clock"), st.sampled_from([-90_000.0, -3.0, 3.0, 25.0, 90_000.0])),
        st.tuples(st.sampled_from(["tick", "late tick", "expect", "pause", "forget"]), st.sampled_from(SYMBOLS)),
        st.tuples(st.just("switch"), st.sampled_from([0, 1])),
    ),
    max_size=120,
)


@dataclass
class Promised:
    """What is promised of one symbol, kept in the plainest way."""

    market: Switch
    limit: float
    since: float = 0.0
    expected: bool = False
    was_open: bool = True
    stale: bool = False
    owed: bool = False
    fresh: bool = False

    def happens(self, step: str, now: float) -> None:
        if step == "expect" and not self.expected and not self.stale:
            self.since = now
        if step in ("expect", "pause", "forget"):
            self.expected = step == "expect"
        if step == "forget":
            self.owed = self.stale = False
        if step in ("tick", "late tick"):
            self.fresh = step == "tick"

    def check(self, now: float, *, told_stale: bool, told_resumed: bool, is_stale: bool, exact: bool) -> None:
        if self.market.open and not self.was_open:
            self.since, self.stale = now, False
        self.was_open = self.market.open
        # A tick is told of where a stale was, once.
        assert told_resumed == (self.owed and self.fresh)
        silent = self.expected and self.market.open and not self.fresh and now - self.since >= self.limit
        assert silent or not told_stale
        assert told_stale == (silent and not self.stale) or not exact
        if told_stale:
            self.owed = self.stale = True
        if self.fresh:
            self.since, self.owed, self.stale, self.fresh = now, False, False, False
        assert is_stale == (self.market.open and self.stale)


@settings(max_examples=300)
@given(STEPS, st.sampled_from([7.0, 20.0, "learned"]))
def test_whatever_happens_the_promises_hold(
    steps: list[tuple[str, float | str]], stale_after: float | Literal["learned"]
) -> None:
    markets = (Switch(), Switch())
    day = Day(stale_after, hours=lambda symbol: markets[SWITCHES[symbol]])
    limit = 30.0 if stale_after == "learned" else stale_after
    model = {symbol: Promised(markets[SWITCHES[symbol]], limit) for symbol in SYMBOLS}
    acts: dict[str, Callable[[str], None]] = {
        "tick": day.tick,
        "late tick": lambda symbol: day.tick(symbol, late=True),
        "expect": day.expect,
        "pause": day.clocks.pause,
        "forget": day.clocks.forget,
    }
    day.pass_time(1.0)
    # Until we were away or the clock was set, the plain rule is the whole rule.
    exact = stale_after != "learned"
    for step, what in steps:
        exact = exact and step not in ("late", "set clock")
        if isinstance(what, str):
            acts[step](what)
            model[what].happens(step, day.now)
        elif step == "switch":
            markets[int(what)].open ^= True
        else:
            told, resumed = len(day.stale), len(day.resumed)
            day.pass_time(*(1.0, what) if step == "set clock" else (what, 0.0))
            stale = {symbol for symbol, _ in day.stale[told:]}
            again = {symbol for symbol, _ in day.resumed[resumed:]}
            assert not (step == "late" and stale)
            for symbol, one in model.items():
                one.check(
                    day.now,
                    told_stale=symbol in stale,
                    told_resumed=symbol in again,
                    is_stale=symbol in day.clocks.stale,
                    exact=exact,
                )


@given(st.lists(st.tuples(st.sampled_from([-90_000.0, -60.0, 0.0, 0.0, 3.0, 29.0]), st.booleans()), max_size=80))
def test_the_wall_clock_changes_nothing_where_the_market_is_always_open(steps: list[tuple[float, bool]]) -> None:
    days = [Day(10.0, hours=ALWAYS), Day(10.0, hours=ALWAYS)]
    for day in days:
        day.expect("A")
        day.pass_time(1.0)
    for jump, ticks in steps:
        for day, set_clock in zip(days, (jump, 0.0), strict=True):
            if ticks:
                day.tick("A")
            day.pass_time(1.0, set_clock=set_clock)
    assert days[0].stale == days[1].stale
    assert days[0].resumed == days[1].resumed
