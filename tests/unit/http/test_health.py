"""When a feed counts as live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.http.health import FeedWatch
from pricestreamd.model.interface import ConnectionState, FeedReport
from tests.support.small_daemon import connection, feed

STATES: tuple[ConnectionState, ...] = ("connecting", "subscribing", "live", "stale", "backoff", "parked", "stopped")
RECONNECTING = ("connecting", "subscribing", "backoff")


def at(state: ConnectionState) -> dict[str, FeedReport]:
    return {"stocks": feed(connection(state), state=state)}


def healthy(watch: FeedWatch, state: ConnectionState, now: float) -> bool:
    return watch.look(at(state), now)["stocks"].healthy


@pytest.mark.parametrize("state", STATES)
def test_a_feed_that_was_never_live_is_healthy_only_when_live(state: ConnectionState) -> None:
    assert healthy(FeedWatch(), state, 1000.0) is (state == "live")


@pytest.mark.parametrize("state", STATES)
def test_a_feed_that_was_live_is_healthy_for_a_minute_of_reconnecting(state: ConnectionState) -> None:
    watch = FeedWatch()
    assert healthy(watch, "live", 1000.0)
    assert healthy(watch, state, 1059.9) is (state == "live" or state in RECONNECTING)
    if state != "live":
        assert not healthy(watch, state, 1060.0)


def test_connecting_again_and_again_without_being_live_is_not_a_young_reconnect_for_ever() -> None:
    watch = FeedWatch()
    assert healthy(watch, "live", 0.0)
    verdicts = [healthy(watch, RECONNECTING[second % 3], float(second)) for second in range(1, 300)]  # type: ignore[arg-type]  # these are states
    assert verdicts == [second < 60 for second in range(1, 300)]
    assert healthy(watch, "live", 300.0)
    assert healthy(watch, "backoff", 359.0)


def test_every_connection_of_a_feed_must_be_live_and_the_reason_names_the_one_that_is_not() -> None:
    watch = FeedWatch()
    both = feed(connection("live"), connection("stale", connection=1, last_error="no data"))
    verdict = watch.look({"stocks": both}, 0.0)["stocks"]
    assert not verdict.healthy
    assert verdict.reason == "connection 1: connected, but silent for too long (no data)"


def test_a_feed_without_connections_goes_by_its_own_state() -> None:
    watch = FeedWatch()
    assert watch.look({"a": feed(state="live")}, 0.0)["a"].healthy
    assert watch.look({"a": feed(state="parked")}, 0.0)["a"].reason == "refused by the provider, waiting for a new key"


def test_a_feed_is_as_healthy_as_its_backup_and_the_reason_is_still_told() -> None:
    watch = FeedWatch()
    down = feed(connection("backoff"), state="backoff", backup="spare")
    verdicts = watch.look({"main": down, "spare": feed(connection("live"))}, 0.0)
    assert verdicts["main"].healthy
    assert verdicts["main"].reason == "connection 0: disconnected, waiting to try again; spare stands in"
    both = watch.look({"main": down, "spare": feed(connection("parked"), state="parked")}, 0.0)
    assert not both["main"].healthy


def test_a_feed_that_was_removed_is_forgotten() -> None:
    watch = FeedWatch()
    assert healthy(watch, "live", 0.0)
    assert watch.look({}, 1.0) == {}
    assert not healthy(watch, "backoff", 2.0)


@pytest.mark.parametrize("state", STATES)
def test_a_feed_whose_market_is_closed_is_healthy_unless_it_is_parked(state: ConnectionState) -> None:
    for connections in ((connection(state),), ()):
        closed = FeedWatch().look({"stocks": feed(*connections, state=state, market_open=False)}, 0.0)["stocks"]
        assert closed.healthy is (state != "parked")
        assert (closed.reason is None) is (state == "live")


def test_a_silence_over_connections_that_are_never_seen_stale_is_not_live_for_a_minute() -> None:
    watch = FeedWatch()
    assert healthy(watch, "live", 0.0)
    assert healthy(watch, "connecting", 1.0)
    assert not watch.look({"stocks": feed(connection("connecting", silent=True))}, 2.0)["stocks"].healthy
    assert not healthy(watch, "connecting", 3.0)


def test_what_replaces_a_stale_connection_is_not_live_for_a_minute() -> None:
    watch = FeedWatch()
    assert healthy(watch, "live", 0.0)
    assert not healthy(watch, "stale", 1.0)
    assert not healthy(watch, "connecting", 2.0)


@given(st.lists(st.tuples(st.sampled_from(STATES), st.floats(0.0, 90.0)), max_size=30))
def test_healthy_means_live_now_or_live_less_than_a_minute_ago(steps: list[tuple[ConnectionState, float]]) -> None:
    watch, now, live_at = FeedWatch(), 0.0, None
    for state, passed in steps:
        now += passed
        if state == "live":
            live_at = now
        elif state == "stale":
            live_at = None
        expected = state == "live" or (state in RECONNECTING and live_at is not None and now - live_at < 60.0)
        assert healthy(watch, state, now) is expected
