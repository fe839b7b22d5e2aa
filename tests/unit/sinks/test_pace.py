"""How fast a destination may be tried: numbers only."""

from pricestreamd.sinks.pace import FIRST_GAP_SECONDS, GAPS, LONGEST_PAUSE_SECONDS, STRIKES, Pace


def test_a_destination_is_dead_after_some_failures_in_a_row_and_not_before() -> None:
    pace = Pace()
    for _ in range(STRIKES - 1):
        pace.failed(0.0)
        assert not pace.dead
        assert pace.free_at == 0.0
    pace.failed(0.0)
    assert pace.dead


def test_a_success_in_between_counts_anew() -> None:
    pace = Pace()
    for _ in range(20):
        pace.failed(0.0)
        pace.failed(0.0)
        assert pace.succeeded(0.0)
        assert not pace.succeeded(0.0)
        assert not pace.dead


def test_pauses_grow_up_to_a_bound() -> None:
    pace = Pace()
    pauses, now = [], 0.0
    for _ in range(STRIKES + 2000):
        pace.failed(now)
        pauses.append(pace.free_at - now)
        now = pace.free_at
    assert pauses[STRIKES - 1 : STRIKES + 6] == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    assert max(pauses) == LONGEST_PAUSE_SECONDS


def test_a_server_that_names_its_time_is_left_alone_until_then() -> None:
    pace = Pace()
    pace.failed(100.0, 60.0)
    assert pace.free_at == 160.0
    pace.failed(110.0)
    assert pace.free_at == 160.0


def test_what_comes_back_is_met_gently_and_soon_at_full_speed() -> None:
    pace, now = Pace(), 0.0
    for _ in range(STRIKES):
        pace.failed(now)
    for count in range(1, 200):
        pace.succeeded(now)
        gap = pace.free_at - now
        assert gap <= FIRST_GAP_SECONDS
        assert (gap == 0) is (count > GAPS)
        now = pace.free_at
    assert now < 0.5


def test_a_destination_that_fails_now_and_then_is_not_slowed_down() -> None:
    pace = Pace()
    for _ in range(GAPS + 1):
        pace.succeeded(0.0)
    pace.failed(0.0)
    pace.succeeded(1.0)
    assert pace.free_at == 1.0
