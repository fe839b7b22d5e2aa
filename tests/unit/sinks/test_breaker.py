"""How fast a destination may be tried: numbers only."""

from pricestreamd.sinks.base import LeaveAlone
from pricestreamd.sinks.delivery.breaker import FIRST_GAP_SECONDS, GAPS, LONGEST_PAUSE_SECONDS, STRIKES, Breaker
from tests.unit.sinks.samples import failed


def test_a_destination_is_dead_after_some_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker()
    for _ in range(STRIKES - 1):
        breaker.failed(0.0)
        assert not breaker.open
        assert breaker.free_at == 0.0
    breaker.failed(0.0)
    assert breaker.open


def test_a_success_in_between_counts_anew_and_is_told_of_once() -> None:
    breaker, told = Breaker(), list[bool]()
    breaker.on_back(told.append)
    for _ in range(20):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded(0.0)
        breaker.succeeded(0.0)
        assert not breaker.open
    assert told == [False] * 20
    assert breaker.times_opened == 0


def test_its_state_is_visible_and_it_opens_once_an_outage() -> None:
    breaker, told = Breaker(), list[bool]()
    breaker.on_back(told.append)
    states: list[str] = []
    for outage in (1, 2):
        states.append(breaker.state)
        assert [breaker.failed(0.0) for _ in range(5)] == [False, False, True, False, False]
        assert breaker.times_opened == outage
        states.append(breaker.state)
        breaker.under_way += 1
        states.append(breaker.state)
        breaker.succeeded(0.0)
        breaker.under_way -= 1
    assert states == ["closed", "open", "half_open"] * 2
    assert told == [True, True]


def test_pauses_grow_up_to_a_bound() -> None:
    breaker = Breaker()
    pauses, now = [], 0.0
    for _ in range(STRIKES + 2000):
        breaker.failed(now)
        pauses.append(breaker.free_at - now)
        now = breaker.free_at
    assert pauses[STRIKES - 1 : STRIKES + 6] == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    assert max(pauses) == LONGEST_PAUSE_SECONDS


def test_what_waits_is_tried_again_after_no_more_than_the_outage_has_lasted_however_much_else_failed() -> None:
    breaker = Breaker()
    for tenth in range(61):
        breaker.failed(tenth / 10)
    assert breaker.free_at <= 6.0 + 7.0


def test_failures_within_a_pause_make_it_no_longer_so_that_what_waits_has_its_turn() -> None:
    breaker, now, turns = Breaker(), 0.0, 0
    for _ in range(STRIKES):
        breaker.failed(now)
    while now < 120.0:
        now += 0.05
        if now >= breaker.free_at:
            turns += 1
        breaker.failed(now)
    assert turns >= 6


def test_a_server_that_names_its_time_is_left_alone_until_then() -> None:
    breaker = Breaker()
    breaker.failed(100.0, failed(retry_after=60.0))
    assert breaker.free_at == 160.0
    breaker.failed(110.0)
    assert breaker.free_at == 160.0


def test_only_a_time_that_the_destination_names_holds_what_is_new_too_and_a_success_ends_it() -> None:
    breaker = Breaker()
    breaker.failed(100.0, failed(retry_after=60.0))
    assert breaker.held_until == 0.0
    for seconds in (60.0, 20.0):
        breaker.failed(110.0, LeaveAlone("503", retry_after=seconds))
        breaker.failed(120.0, failed())
        assert breaker.held_until == 170.0
    breaker.succeeded(130.0)
    assert breaker.held_until == 0.0


def test_what_comes_back_is_met_gently_and_soon_at_full_speed() -> None:
    breaker, now = Breaker(), 0.0
    for _ in range(STRIKES):
        breaker.failed(now)
    for count in range(1, 200):
        breaker.succeeded(now)
        gap = breaker.free_at - now
        assert gap <= FIRST_GAP_SECONDS
        assert (gap == 0) is (count > GAPS)
        now = breaker.free_at
    assert now < 0.5


def test_a_destination_that_fails_now_and_then_is_not_slowed_down() -> None:
    breaker = Breaker()
    for _ in range(GAPS + 1):
        breaker.succeeded(0.0)
    breaker.failed(0.0)
    breaker.succeeded(1.0)
    assert breaker.free_at == 1.0
