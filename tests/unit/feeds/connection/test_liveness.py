"""The clocks of an open connection: pong, heartbeat, data (rows W2, W3, W5)."""

from __future__ import annotations

from collections.abc import Callable

from pricestreamd.feeds.connection.liveness import Due, Liveness
from pricestreamd.feeds.settings import HeartbeatSettings
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.twelvedata import PROFILE

BARE = Profile(
    name="bare",
    documentation="",
    endpoint="",
    auth="none",
    control_messages=60,
    channels={"trades": "none"},
    time_unit="s",
)


def until(
    liveness: Liveness, now: float, end: float, each: Callable[[float, Due], bool | None] = lambda _now, _due: None
) -> float:
    """Look whenever it is time, until `end` or until `each` says that it is enough; return when that was."""
    while now < end:
        now = liveness.next_look(now)
        due = liveness.look(now)
        if due.ping:
            liveness.pinged(now)
        if due.keepalive:
            liveness.keep_alive_at(now + 10.0)
        if each(now, due):
            return now
    return now


def test_a_black_hole_is_found_within_interval_and_timeout() -> None:
    liveness = Liveness(HeartbeatSettings(), BARE, 0.0)
    assert until(liveness, 0.0, 100.0, lambda _, due: due.death == "pong") == 40.0


def test_a_pong_or_any_frame_after_the_ping_is_life() -> None:
    for sign in (lambda made, _: made.ponged(), lambda made, now: made.heard(now, data=False)):
        liveness = Liveness(HeartbeatSettings(), BARE, 0.0)
        pings: list[float] = []

        def each(
            now: float,
            due: Due,
            liveness: Liveness = liveness,
            pings: list[float] = pings,
            sign: Callable[..., None] = sign,
        ) -> bool:
            if due.ping:
                pings.append(now)
                sign(liveness, now)
            return due.death is not None

        until(liveness, 0.0, 100.0, each)
        assert pings == [30.0, 60.0, 90.0]


def test_without_pings_nobody_waits_for_pongs() -> None:
    liveness = Liveness(HeartbeatSettings(enabled=False), BARE, 0.0)
    until(liveness, 0.0, 1000.0, lambda _, due: due != Due())
    liveness = Liveness(HeartbeatSettings(), BARE, 0.0)
    liveness.pinged(0.0)
    liveness.heartbeat = HeartbeatSettings(enabled=False)
    assert until(liveness, 0.0, 100.0, lambda _, due: due.death is not None) >= 100.0


def test_an_application_that_is_mute_is_dead_though_its_machine_answers_pings() -> None:
    liveness = Liveness(HeartbeatSettings(interval=5.0), PROFILE, 0.0)
    beats = []

    def each(now: float, due: Due) -> bool:
        liveness.ponged()
        if due.keepalive:
            beats.append(now)
        return due.death is not None

    assert until(liveness, 0.0, 100.0, each) == 25.0
    assert beats == [10.0, 20.0]
    assert liveness.look(25.0).death == "heartbeat"


def test_prices_count_as_heartbeats() -> None:
    liveness = Liveness(HeartbeatSettings(), PROFILE, 0.0)

    def each(now: float, due: Due) -> bool:
        liveness.heard(now, data=True)
        return due.death is not None

    assert until(liveness, 0.0, 300.0, each) >= 300.0


def test_silence_is_measured_from_the_last_price_and_only_while_prices_are_expected() -> None:
    liveness = Liveness(HeartbeatSettings(), BARE, 0.0)

    def silent(now: float, due: Due) -> bool:
        liveness.heard(now, data=now <= 10.0)
        return due.silent_seconds is not None

    assert until(liveness, 0.0, 200.0, silent) >= 200.0
    liveness.expect_data(60.0, 200.0)
    assert until(liveness, 200.0, 400.0, silent) == 260.0
    assert liveness.look(260.0).silent_seconds == 60.0
    liveness.expect_data(120.0, 260.0)
    assert until(liveness, 260.0, 400.0, silent) == 320.0
    liveness.expect_data(None, 320.0)
    assert until(liveness, 320.0, 900.0, silent) >= 900.0


def test_a_look_that_comes_much_too_late_judges_nobody() -> None:
    liveness = Liveness(HeartbeatSettings(), PROFILE, 0.0)
    liveness.expect_data(60.0, 0.0)
    liveness.pinged(0.0)
    late = liveness.next_look(0.0) + 300.0
    due = liveness.look(late)
    assert due.death is None
    assert due.silent_seconds is None
    # From there on the clocks run again.
    assert until(liveness, late, late + 100.0, lambda _, due: due.death == "pong") <= late + 10.0


def test_short_limits_are_looked_at_often_enough() -> None:
    liveness = Liveness(HeartbeatSettings(interval=0.5, timeout=0.1), BARE, 0.0)
    liveness.expect_data(0.2, 0.0)
    assert until(liveness, 0.0, 10.0, lambda _, due: due.silent_seconds is not None) <= 0.25


def test_a_late_look_with_nothing_outstanding_is_a_look() -> None:
    liveness = Liveness(HeartbeatSettings(), BARE, 0.0)
    late = liveness.next_look(0.0) + 10.0
    assert liveness.look(late) == Due()


def test_a_second_ping_does_not_put_off_the_answer_to_the_first() -> None:
    liveness = Liveness(HeartbeatSettings(), BARE, 0.0)
    liveness.pinged(0.0)
    liveness.pinged(5.0)
    assert until(liveness, 0.0, 100.0, lambda _, due: due.death == "pong") == 10.0
