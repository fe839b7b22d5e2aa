"""Whether anybody was awake, on clocks that the tests turn."""

from __future__ import annotations

import pytest

from pricestreamd.model.vigil import Sleep, Vigil

MORNING = 1_700_000_000.0


class Kept:
    """A vigil that has begun. `pass_by`: by the clock that counts suspended time, and by the wall clock."""

    def __init__(self) -> None:
        self.elapsed, self.wall = 100.0, MORNING
        self.vigil = Vigil(lambda: self.elapsed, lambda: self.wall)
        self.vigil.begin()

    def pass_by(self, elapsed: float, wall: float | None = None) -> Sleep | None:
        self.elapsed += elapsed
        self.wall += elapsed if wall is None else wall
        return self.vigil.look()


def test_looks_that_come_in_time_find_nobody_asleep() -> None:
    kept = Kept()
    assert [kept.pass_by(seconds) for seconds in (0.0, 1.0, 3.0, 9.9)] == [None] * 4
    assert kept.vigil.heard_until(kept.wall - 0.5) == kept.wall - 0.5


def test_a_look_that_comes_much_too_late_finds_a_sleep_from_the_look_before() -> None:
    kept = Kept()
    kept.pass_by(1.0)
    assert kept.pass_by(28_800.0) == Sleep(MORNING + 1.0, MORNING + 28_801.0)
    assert kept.pass_by(1.0) is None


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_is_no_sleep(step: float) -> None:
    kept = Kept()
    assert kept.pass_by(1.0, step) is None
    assert kept.vigil.heard_until(kept.wall) == kept.wall


def test_a_sleep_does_not_end_before_it_began() -> None:
    kept = Kept()
    slept = kept.pass_by(60.0, -3600.0)
    assert slept is not None
    assert slept.begin == slept.end == MORNING - 3600.0


@pytest.mark.parametrize(
    ("after_waking", "until"),
    [(0.0, MORNING), (0.5, MORNING), (29.9, MORNING), (30.5, MORNING + 28_830.5), (3600.0, MORNING + 32_400.0)],
)
def test_what_is_read_on_waking_was_not_heard_in_the_morning(after_waking: float, until: float) -> None:
    kept = Kept()
    kept.pass_by(28_800.0)
    for _ in range(int(after_waking)):
        kept.pass_by(1.0)
    assert kept.vigil.heard_until(MORNING + 28_800.0 + after_waking) == until
    assert kept.vigil.heard_until(MORNING - 5.0) == MORNING - 5.0


def test_whoever_asks_need_not_wait_for_the_next_look() -> None:
    kept = Kept()
    kept.elapsed += 28_800.0
    kept.wall += 28_800.0
    assert kept.vigil.heard_until(kept.wall) == MORNING


def test_one_who_wakes_for_a_moment_and_sleeps_on_has_heard_nothing_in_between() -> None:
    kept = Kept()
    kept.pass_by(900.0)
    kept.pass_by(5.0)
    assert kept.pass_by(900.0) == Sleep(MORNING + 905.0, MORNING + 1805.0)
    assert kept.vigil.heard_until(MORNING + 903.0) == MORNING
    assert kept.vigil.heard_until(MORNING + 1806.0) == MORNING
    for _ in range(60):
        kept.pass_by(1.0)
    kept.pass_by(900.0)
    assert kept.vigil.heard_until(kept.wall) == MORNING + 1865.0


def test_nobody_has_to_look_before_it_begins_and_after_it_ends() -> None:
    now = 100.0
    vigil = Vigil(lambda: now, lambda: now)
    assert vigil.look() is None
    vigil.begin()
    vigil.end()
    now = 500.0
    assert vigil.look() is None
    vigil.begin()
    assert vigil.look() is None
    assert vigil.heard_until(500.0) == 500.0
