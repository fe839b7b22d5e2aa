"""Who is silent for too long: judged only while the market is open, on a clock that nobody can set."""

from __future__ import annotations

import random

import pytest

from tests.unit.feeds.silence.looking import ALWAYS, CLOSING, MONDAY, NEW_YORK, OPENING, Day, Switch, judged


def test_a_written_limit_counts_from_the_last_tick() -> None:
    day = judged(60.0)
    day.run(59)
    assert day.stale == []
    assert day.clocks.stale == set()
    day.run(1)
    assert day.stale == [("A", 60)]
    assert day.clocks.stale == {"A"}


def test_a_stale_symbol_is_told_of_once() -> None:
    day = judged(60.0)
    day.run(3600)
    assert day.stale == [("A", 60)]


def test_a_tick_ends_it() -> None:
    day = judged(60.0)
    day.run(100)
    day.run(1, "A")
    assert day.resumed == [("A", 101)]
    assert day.clocks.stale == set()
    day.run(70)
    assert day.stale == [("A", 60), ("A", 60)]
    assert day.resumed == [("A", 101)]


def test_a_tick_that_was_asked_for_after_the_fact_ends_nothing() -> None:
    day = judged(60.0)
    day.run(30)
    day.tick("A", late=True)
    day.run(30)
    assert day.stale == [("A", 60)]
    day.tick("A", late=True)
    day.run(5)
    assert day.resumed == []
    day.run(1, "A")
    assert day.resumed == [("A", 66)]


def test_silence_counts_from_the_opening() -> None:
    day = Day(60.0, at=OPENING - 7200)
    day.expect("A")
    day.run(1, "A")
    day.run_until(OPENING + 59)
    assert day.stale == []
    day.run(2)
    assert day.stale == [("A", 60)]


def test_a_closed_market_is_silent_without_blame() -> None:
    day = Day(60.0, at=CLOSING - 30)
    day.expect("A")
    day.run(1, "A")
    day.run(3600)
    assert day.stale == []


def test_silence_counts_from_the_subscription() -> None:
    day = judged(60.0)
    day.clocks.pause("A")
    day.run(600)
    assert day.stale == []
    day.expect("A")
    day.run(59)
    assert day.stale == []
    day.run(1)
    assert day.stale == [("A", 60)]


def test_what_is_in_memory_from_before_the_subscription_is_no_sign_of_life() -> None:
    day = Day("learned", at=OPENING + 60)
    day.tick("A", age=50.0)
    day.run(5)
    day.expect("A")
    day.run(299)
    assert day.stale == []
    day.run(1)
    assert day.stale == [("A", 300)]


def test_a_tick_between_the_subscription_and_the_first_look_is_one() -> None:
    day = Day(60.0, at=OPENING + 60)
    day.pass_time(1)
    day.expect("A")
    day.tick("A")
    day.pass_time(1)
    day.run(59)
    assert day.stale == []
    day.run(1)
    assert day.stale == [("A", 60)]


def test_expecting_what_is_expected_gives_no_respite() -> None:
    day = judged(60.0)
    for _ in range(60):
        day.run(1)
        day.expect("A")
    assert day.stale == [("A", 60)]


def test_a_stale_symbol_stays_so_through_a_new_subscription_until_its_tick() -> None:
    day = judged(60.0)
    day.run(60)
    day.clocks.pause("A")
    day.run(2)
    day.expect("A")
    day.run(300)
    assert (day.stale, day.resumed) == ([("A", 60)], [])
    assert day.clocks.stale == {"A"}
    day.run(1, "A")
    assert day.resumed == [("A", 363)]


def test_at_the_close_nobody_is_stale_any_more_and_the_next_tick_is_still_a_resumption() -> None:
    day = judged(60.0)
    day.run_until(CLOSING)
    assert day.stale[:1] == [("A", 60)]
    assert day.clocks.stale == set()
    silent = round(CLOSING - OPENING) - 7
    day.run(1, "A")
    assert day.resumed == [("A", silent)]
    day.run(1, "A")
    assert len(day.resumed) == 1


def test_the_next_day_a_symbol_that_never_resumed_is_judged_anew() -> None:
    day = Day(60.0, at=CLOSING - 100, hours=NEW_YORK)
    day.expect("A")
    day.run(120)
    day.clocks.pause("A")
    day.now, day.at = day.now + 20, OPENING + 86_400 - 20
    day.expect("A")
    day.run(20 + 59)
    assert day.stale == [("A", 60)]
    day.run(3)
    assert day.stale == [("A", 60), ("A", 60)]
    assert day.clocks.stale == {"A"}
    day.run(1, "A")
    assert len(day.resumed) == 1


def test_a_forgotten_symbol_is_neither_stale_nor_resumed() -> None:
    day = judged(60.0)
    day.run(60)
    day.clocks.forget("A")
    day.clocks.forget("never seen")
    day.clocks.pause("never seen")
    assert day.clocks.stale == set()
    day.run(5, "A")
    assert day.resumed == []
    day.expect("A")
    day.run(1)
    assert day.clocks.stale == set()


def test_without_known_hours_a_written_limit_counts_always_and_a_learned_one_never() -> None:
    for stale_after, expected in ((60.0, [("A", 60)]), ("learned", [])):
        day = judged(stale_after, hours=None, at=MONDAY)  # type: ignore[arg-type]  # one of the two kinds
        day.run(400)
        assert day.stale == expected


def test_switched_off_nobody_is_judged_and_the_market_is_known_all_the_same() -> None:
    day = judged(None)
    day.run(4000)
    assert day.stale == []


def test_a_learned_symbol_is_missed_soon() -> None:
    day = judged()
    day.run(1000, "A")
    day.run(44)
    assert [symbol for symbol, seconds in day.stale if 30 <= seconds <= 45] == ["A"]


def test_until_its_rhythm_is_known_a_symbol_has_five_minutes() -> None:
    day = judged()
    day.run(299)
    assert day.stale == []
    day.run(1)
    assert day.stale == [("A", 300)]


def test_after_an_opening_the_first_tick_may_take_five_minutes_whatever_is_known() -> None:
    day = Day(at=CLOSING - 1000, hours=NEW_YORK)
    day.expect("A")
    day.run(1020, "A")
    day.at = OPENING + 86_400 - 20
    day.run(20 + 299)
    assert day.stale == []
    day.run(5)
    assert day.stale == [("A", 300)]


def test_a_new_subscription_keeps_what_was_learned() -> None:
    day = judged()
    day.run(500, "A")
    day.clocks.pause("A")
    day.run(100)
    day.expect("A")
    day.run(50)
    assert [symbol for symbol, seconds in day.stale if 30 <= seconds <= 45] == ["A"]


@pytest.mark.parametrize("interrupted", ["by an outage", "by a closed market"])
def test_a_gap_that_is_interrupted_is_not_learned(interrupted: str) -> None:
    market = Switch()
    day = Day(hours=market)
    day.expect("A")
    day.run(500, "A")
    for _ in range(20):
        day.run(10, "A")
        if interrupted == "by an outage":
            day.clocks.pause("A")
            day.run(250)
            day.expect("A")
        else:
            market.open = False
            day.run(250)
            market.open = True
            day.run(5)
    day.run(10, "A")
    assert day.stale == []
    day.run(50)
    assert [symbol for symbol, seconds in day.stale if 30 <= seconds <= 45] == ["A"]


def test_a_slow_symbol_is_learned_through_its_first_alarm_and_the_new_subscription_after_it() -> None:
    day = Day(hours=ALWAYS)
    day.expect("A")
    dice, told = random.Random(3), 0
    for _ in range(100):
        day.run(max(1, round(dice.expovariate(1 / 600))))
        day.run(1, "A")
        if len(day.stale) > told:
            told = len(day.stale)
            day.clocks.pause("A")
            day.run(1)
            day.expect("A")
    assert len(day.stale) <= 2


def test_an_outage_of_a_stale_symbol_is_not_learned() -> None:
    day = judged(hours=ALWAYS)
    day.run(300)
    day.clocks.pause("A")
    day.run(4000)
    day.expect("A")
    day.run(1, "A")
    day.run(310)
    assert [seconds for _, seconds in day.stale] == [300, 300]


def test_a_look_that_comes_much_too_late_judges_nobody() -> None:
    day = judged(60.0)
    day.run(50)
    day.pass_time(4 * 3600)
    assert day.stale == []
    day.run(59)
    assert day.stale == []
    day.run(10)
    assert len(day.stale) == 1


def test_what_a_held_up_look_missed_is_no_silence() -> None:
    day = judged(60.0)
    day.run(30)
    day.pass_time(20.0)
    day.run(24)
    assert day.stale == []
    day.run(2)
    assert day.stale == [("A", 60)]


def test_after_a_sleep_of_the_machine_everybody_has_a_minute() -> None:
    """The monotonic clock stands still in sleep, the wall clock jumps; the connections are dead and do not know it."""
    day = judged(30.0)
    day.run(10)
    day.pass_time(1.0, set_clock=3600.0)
    day.run(59)
    assert day.stale == []
    day.run(2)
    assert len(day.stale) == 1


@pytest.mark.parametrize("jump", [-7200.0, -20.0, 20.0])
def test_setting_the_clock_makes_nobody_silent(jump: float) -> None:
    day = judged(60.0, hours=ALWAYS)
    day.run(30)
    day.pass_time(1.0, set_clock=jump)
    day.run(28)
    assert day.stale == []
    day.run(1)
    assert day.stale == [("A", 60)]


def test_a_clock_that_is_set_over_a_session_makes_nobody_silent() -> None:
    day = Day(60.0, at=OPENING + 3600)
    day.expect("A", "B")
    day.run(10, "A", "B")
    for jump in (12 * 3600.0, -12 * 3600.0, 86_400.0, -86_400.0):
        day.pass_time(1.0, set_clock=jump)
        day.run(58, "A", "B", every=20)
    assert day.stale == []
