"""What scenarios do to ticks: each does what it says, to as many as it says, and nothing else."""

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.distortion import Distortion, Told, bursting, lag
from pricestreamd.simulator.scenarios import SCENARIOS, STEADY, Scenario, find_scenario

COUNT = 400


def ticks(count: int = COUNT) -> list[Told]:
    return [
        Told(Tick("AB"[n % 2], 100.0 + n / 100, 1000.0 + n / 10, 1000.0 + n / 10, float(n + 1)), n // 2 + 1, n + 1)
        for n in range(count)
    ]  # fmt: skip


def distorted(scenario: str | Scenario, told: list[Told] | None = None, seed: int = 1, step: int = 7) -> list[Told]:
    scene = find_scenario(scenario) if isinstance(scenario, str) else scenario
    distortion = Distortion(scene, random.Random(seed).random)
    good = told or ticks()
    return [one for at in range(0, len(good), step) for one in distortion.apply(good[at : at + step], 1000.0 + at / 10)]


def numbers(told: list[Told]) -> list[int]:
    return [one.number for one in told]


def test_a_scenario_that_has_nothing_to_do_with_ticks_needs_no_distortion() -> None:
    needed = {name for name, scenario in SCENARIOS.items() if Distortion.needed(scenario)}
    assert needed == {
        *("duplicates", "out-of-order", "equal-times", "delayed", "odd-times", "bad-prints", "gaps"),
    }
    assert distorted(STEADY) == ticks()


def test_duplicates_are_the_same_tick_three_times_in_a_row() -> None:
    assert distorted("duplicates") == [one for one in ticks() for _ in range(3)]


def test_one_tick_in_five_comes_three_ticks_late_and_none_is_lost() -> None:
    told = numbers(distorted("out-of-order"))
    assert told[:9] == [1, 2, 3, 4, 6, 7, 5, 8, 9]
    assert sum(one > after for one, after in pairwise(told)) == pytest.approx(COUNT / 5, abs=2)
    assert sorted(told) == list(range(1, COUNT))  # the last one is late and waits


def test_lost_ticks_leave_a_hole_in_the_numbers_and_nothing_else() -> None:
    told = distorted("gaps")
    assert numbers(told) == sorted(set(numbers(told)))
    lost = set(numbers(ticks())) - set(numbers(told))
    assert 10 <= len(lost) <= 30
    assert [one.id for one in told if one.tick.symbol == "A"] != list(range(1, 201))


def test_a_bad_print_is_off_by_far_for_one_tick_of_its_symbol() -> None:
    told = distorted("bad-prints")
    off = [index for index, (one, good) in enumerate(zip(told, ticks(), strict=True)) if one != good]
    assert len(off) == COUNT // 40
    for index in off:
        ratio = told[index].tick.price / ticks()[index].tick.price
        assert ratio == pytest.approx(1.4, abs=0.01) or ratio == pytest.approx(0.6, abs=0.01)
        assert index + 2 not in off
        assert told[index].number == index + 1
    assert distorted("bad-prints", seed=1) == distorted("bad-prints", seed=1) != distorted("bad-prints", seed=2)


def test_equal_times_are_rounded_down() -> None:
    told = distorted("equal-times")
    assert {one.tick.timestamp for one in told} == {1000.0 + 5 * n for n in range(8)}
    assert all(0 <= good.tick.timestamp - one.tick.timestamp < 5 for one, good in zip(told, ticks(), strict=True))


def test_delayed_times_catch_up_and_fall_behind_again() -> None:
    assert [lag(300.0, at) for at in (0.0, 19.9, 20.0, 25.0, 30.0, 59.0, 60.0)] == [300, 300, 300, 150, 0, 0, 300]
    assert lag(0.0, 5.0) == 0
    told = distorted("delayed", step=1)
    assert told[0].tick.timestamp == 700.0
    assert told[-1].tick.timestamp == ticks()[-1].tick.timestamp
    assert all(one.tick.received_at == good.tick.received_at for one, good in zip(told, ticks(), strict=True))


def test_copies_with_odd_times_stand_beside_good_ticks() -> None:
    told = distorted("odd-times")
    good = [one for one in told if one.number]
    copies = [one for one in told if not one.number]
    assert good == ticks()
    assert len(copies) == COUNT // 10
    assert all(one.tick.volume == 0 for one in copies)
    assert {round(one.tick.timestamp, -5) for one in copies} == {0.0, 600_000.0, 1_000_000.0}


def test_several_distortions_come_together() -> None:
    told = distorted(find_scenario("duplicates:2+odd-times+equal-times+bad-prints"))
    assert Counter(numbers(told)) == Counter(dict.fromkeys(range(1, COUNT + 1), 2) | {0: COUNT // 10})
    assert distorted(replace(STEADY, repeats=1, jump_percent=1e-9)) == ticks()


def test_one_second_in_ten_is_a_burst() -> None:
    assert [bursting(at) for at in (0.0, 0.99, 1.0, 9.9, 10.0, 10.5, 11.0)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]
