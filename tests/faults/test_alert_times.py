"""Alerts and time: clocks that jump, row D11, and prices that dance around a threshold, row D12.

By the engine on two clocks of the test's own, as a daemon has them: the one of timers never jumps, the wall clock does.
That of a whole daemon is set in `test_clock`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricestreamd.feeds.silence.hours import calendar
from pricestreamd.stream.alerts.record import AlertRecord
from tests.unit.stream.ticking import PLAIN, Stream

HOUR = 3600.0
START = 1_767_600_000.0
JUMPS = st.sampled_from([HOUR, -HOUR, 1.0, -1.0, 0.0])
NEW_YORK = ZoneInfo("America/New_York")


class Machine:
    """A live stream of a provider that gives no times: `jumped` is how far the wall clock is from the truth."""

    def __init__(self, at: float = START, jumped: float = 0.0, **alert: Any) -> None:
        self.at, self.jumped = at, jumped
        self.stream = Stream("AAPL", since=at, **PLAIN)
        self.stream.set_alert(name="a", **alert)

    def jump(self, seconds: float) -> None:
        self.jumped += seconds

    def let(self, seconds: float, price: float | None = None) -> list[str]:
        """So much later, a price or none; the reasons of what fires."""
        self.at += seconds
        self.stream.wall = self.at + self.jumped
        before = len(self.stream.events)
        if price is None:
            self.stream.pass_time(self.at)
        else:
            times = {"timestamp": self.stream.wall, "received_at": self.stream.wall}
            self.stream.tick(price, self.at, **times)
        return [event["alert_reason"] for event in self.stream.events[before:] if event.event == "price.alert"]

    def record(self) -> AlertRecord:
        self.let(0.0)
        return self.stream.board.state("AAPL").alerts.alerts["a"].to_record()  # type: ignore[union-attr] # it is tracked

    def restarted(self, pause: float, jump: float, **alert: Any) -> Machine:
        """A new process some time later, whose clock of timers is another, with what was kept."""
        new = Machine(self.at + pause, self.jumped + jump, **alert)
        new.stream.now = new.at
        new.stream.wall = new.at + new.jumped
        new.stream.board.restore([self.record()])
        return new


# --- D11


@pytest.mark.parametrize("jump", [HOUR, -HOUR, -1.0], ids=["ahead", "back", "leap second"])
def test_d11_a_cooldown_lasts_as_long_whatever_the_clock_says(jump: float) -> None:
    machine = Machine(above=200, cooldown=600)
    assert machine.let(1.0, 201.0) == ["price_above_200.00"]
    machine.jump(jump)
    assert machine.let(1.0, 199.0) == []
    assert machine.let(590.0, 201.0) == []
    assert machine.let(1.0, 199.0) == []
    assert machine.let(8.0, 201.0) == ["price_above_200.00"]


@pytest.mark.parametrize("jump", [HOUR, -HOUR, -1.0], ids=["ahead", "back", "leap second"])
def test_d11_what_must_hold_fires_at_its_deadline_whatever_the_clock_says(jump: float) -> None:
    machine = Machine(**{"above": 200, "for": 30})
    machine.let(1.0, 201.0)
    machine.jump(jump)
    assert machine.let(29.5) == []
    assert machine.let(0.5) == ["price_above_200.00"]


@given(
    fired_ago=st.integers(0, 2000),
    pause=st.integers(0, 2000),
    jump=st.integers(-7200, 7200),
    cooldown=st.sampled_from([1, 600, 3600]),
    edited=st.sampled_from([1, 600, 3600]),
)
def test_d11_a_cooldown_survives_a_restart_and_is_never_longer_than_configured(
    fired_ago: int, pause: int, jump: int, cooldown: int, edited: int
) -> None:
    machine = Machine(above=200, cooldown=cooldown)
    machine.let(1.0, 201.0)
    machine.let(float(fired_ago), 199.0)
    machine = machine.restarted(float(pause), float(jump), above=200, cooldown=edited)
    # By the wall clock, which is all that two processes share; a clock that was set back makes it no longer.
    left = max(0.0, edited - max(0.0, fired_ago + pause + jump))
    assert left <= edited
    machine.let(0.0, 199.0)
    if left:
        assert machine.let(left - 0.5, 201.0) == []
        machine.let(0.0, 199.0)
    assert machine.let(0.5, 201.0) == ["price_above_200.00"]


paths = st.lists(st.sampled_from([98.0, 99.5, 99.99, 100.0, 100.01, 100.5, 102.0]), min_size=2, max_size=40)
ALERTS = (
    {"above": 100, "below": 99.5},
    {"above": 100, "hysteresis": 0.3},
    {"above": 100, "cooldown": 7},
    {"above": 100, "for": 3},
    {"change_percent": 1},
    {"change_percent": 0.5, "baseline": "previous"},
    {"trailing_percent": 1},
    {"above": 100, "trigger": "every_update", "cooldown": 3},
)


def fired(alert: dict[str, Any], path: Iterable[float], jumps: Callable[[int], float]) -> list[list[str]]:
    machine = Machine(**alert)
    found = []
    for number, price in enumerate(path):
        machine.jump(jumps(number))
        found.append(machine.let(2.0, price))
    return found


@pytest.mark.parametrize("alert", ALERTS, ids=str)
@given(path=paths, jumps=st.lists(JUMPS, min_size=40, max_size=40))
@settings(max_examples=40)
def test_d11_a_clock_that_jumps_fires_nothing_and_hides_nothing(
    alert: dict[str, Any], path: list[float], jumps: list[float]
) -> None:
    assert fired(alert, path, jumps.__getitem__) == fired(alert, path, lambda _: 0.0)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, -1.0], ids=["ahead", "back", "leap second"])
def test_d11_a_clock_that_jumps_is_no_move_from_the_price_some_time_ago(jump: float) -> None:
    """The price drifts by less than the threshold in the time of the baseline, and by more in all."""
    machine = Machine(change_percent=1, baseline=60)
    found = []
    for number in range(400):
        if number == 200:
            machine.jump(jump)
        found += machine.let(1.0, 100.0 * 1.0001**number)
    assert found == []
    # And a move is still one.
    assert machine.let(70.0, 100.0 * 1.0001**400 * 1.02) == ["change_percent_1.00"]


@pytest.mark.parametrize("jump", [HOUR, -HOUR, -1.0], ids=["ahead", "back", "leap second"])
def test_d11_no_price_is_refused_because_the_clock_was_set(jump: float) -> None:
    machine = Machine(above=200)
    machine.let(1.0, 199.0)
    machine.jump(jump)
    assert machine.let(1.0, 201.0) == ["price_above_200.00"]
    assert machine.stream.rejections == []


@pytest.mark.parametrize(
    ("night", "hours"), [("2026-03-08", 1), ("2026-11-01", 3), ("2026-11-02", 2)], ids=["spring", "autumn", "no switch"]
)
def test_d11_active_hours_follow_the_clock_on_the_wall_when_it_is_switched(night: str, hours: int) -> None:
    """From 1:00 to 3:00 there is one hour in spring, there are three in autumn, and the cooldown is 10 minutes in each."""
    begin = datetime.fromisoformat(f"{night}T00:00").replace(tzinfo=NEW_YORK).timestamp()
    active = {"from": "01:00", "to": "03:00", "timezone": "America/New_York"}
    machine = Machine(begin, above=200, trigger="every_update", cooldown=600, active=active)
    found = [machine.let(60.0, 201.0) for _ in range(6 * 60)]
    assert sum(map(len, found)) == 6 * hours


@pytest.mark.parametrize("day", ["2026-03-06", "2026-03-09", "2026-10-30", "2026-11-02"])
def test_d11_a_session_opens_at_half_past_nine_on_both_sides_of_a_switch(day: str) -> None:
    stream = Stream(since=1.0, hours_of=lambda _: calendar("XNYS"), **PLAIN)
    stream.set_alert(above=200, session="regular")
    midnight = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK)
    opens = midnight.replace(hour=9, minute=30).timestamp()
    assert stream.alerts(201.0, opens - 1.0) == []
    assert [event.timestamp for event in stream.alerts(201.0, opens)] == [opens]


# --- D12


dance = st.lists(st.sampled_from([199.39, 199.4, 199.41, 199.98, 199.99, 200.0, 200.01]), max_size=60)


def numbers_of_firings(path: list[float], **policy: Any) -> list[int]:
    """A price a second; which of them fire."""
    stream = Stream(**PLAIN)
    stream.set_alert(above=200, **policy)
    return [number for number, price in enumerate(path) if stream.alerts(price, float(number))]


def crossings(path: list[float], back: float) -> list[int]:
    """Which prices come to 200, having been at `back` or below since the one before, or from the start."""
    found: list[int] = []
    armed = True
    for number, price in enumerate(path):
        if armed and price >= 200:
            found.append(number)
            armed = False
        armed = armed or price <= back
    return found


def test_d12_a_price_that_dances_fires_at_each_crossing_once() -> None:
    path = [199.99, 200.0, 200.0, 199.99, 200.0, 200.01, 199.99]
    assert numbers_of_firings(path) == [1, 4]
    assert numbers_of_firings(path, hysteresis=0.3) == [1]
    assert numbers_of_firings(path, cooldown=60) == [1]
    assert numbers_of_firings(path, once=True) == [1]


@given(dance)
@settings(max_examples=300)
def test_d12_one_alert_for_each_crossing(path: list[float]) -> None:
    assert numbers_of_firings(path) == crossings(path, 199.99)


@given(dance)
@settings(max_examples=300)
def test_d12_with_hysteresis_one_alert_for_each_crossing_after_moving_back_so_far(path: list[float]) -> None:
    assert numbers_of_firings(path, hysteresis=0.3) == crossings(path, 199.4)


@given(dance, st.sampled_from([2, 10, 30]))
@settings(max_examples=300)
def test_d12_with_a_cooldown_the_first_crossing_after_it(path: list[float], cooldown: int) -> None:
    expected: list[int] = []
    for number in crossings(path, 199.99):
        if not expected or number >= expected[-1] + cooldown:
            expected.append(number)
    assert numbers_of_firings(path, cooldown=cooldown) == expected


@given(dance, st.sampled_from([0.0, 0.3]))
@settings(max_examples=300)
def test_d12_once_is_the_first_crossing_of_all(path: list[float], hysteresis: float) -> None:
    assert numbers_of_firings(path, once=True, hysteresis=hysteresis) == crossings(path, 199.99)[:1]
