"""Saying the same thing once a minute."""

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.sampling import OncePer


def test_the_first_is_let_through_and_the_next_after_a_minute_tells_how_many_were_held_back() -> None:
    once = OncePer(60.0)
    assert once.admit("a", 100.0) == 0
    assert [once.admit("a", 100.0 + second) for second in (0, 1, 59.9)] == [None] * 3
    assert once.admit("a", 160.0) == 3
    assert once.admit("a", 161.0) is None
    assert once.admit("a", 220.0) == 1


def test_keys_do_not_hold_each_other_back() -> None:
    once = OncePer()
    assert once.admit("a", 0.0) == once.admit("b", 0.0) == once.admit(("a", 1), 0.0) == 0


def test_a_clock_that_was_set_back_does_not_silence_anybody() -> None:
    once = OncePer(60.0)
    assert once.admit("a", 1000.0) == 0
    assert once.admit("a", 10.0) == 0
    assert once.admit("a", 11.0) is None


def test_keys_are_bounded_and_the_oldest_is_forgotten_first() -> None:
    once = OncePer(60.0, limit=2)
    assert [once.admit(key, 0.0) for key in "abc"] == [0, 0, 0]
    assert once.admit("c", 1.0) is None
    assert once.admit("b", 1.0) is None
    assert once.admit("a", 1.0) == 0
    assert len(once._held) == 2


def test_a_key_that_is_known_makes_nobody_forgotten() -> None:
    once = OncePer(60.0, limit=2)
    assert [once.admit(key, 0.0) for key in "ab"] == [0, 0]
    assert once.admit("b", 60.0) == 0
    assert once.admit("a", 1.0) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 30)), max_size=50))
def test_every_occurrence_is_let_through_or_counted(steps: list[tuple[str, float]]) -> None:
    once, now = OncePer(60.0), 0.0
    seen = {"a": 0, "b": 0}
    told = {"a": 0, "b": 0}
    for key, pause in steps:
        now += pause
        seen[key] += 1
        held = once.admit(key, now)
        if held is not None:
            told[key] += held + 1
            assert told[key] == seen[key]
