"""When an alert is looked at: its expiry, its active hours, its session; and what the open and the close are."""

import math
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pricestreamd.feeds.silence.hours import calendar
from pricestreamd.stream.alerts.schedule import active_hours
from pricestreamd.stream.alerts.sessions import SessionHours, SessionPrices
from pricestreamd.stream.settings import ActiveSettings
from tests.unit.stream.naive_alerts import Hours
from tests.unit.stream.ticking import PLAIN, HistorySettings, Stream, StreamSettings

NEW_YORK = ZoneInfo("America/New_York")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()


def live(begin: str, **alert: Any) -> Stream:
    stream = Stream(since=moment(begin), hours_of=lambda _: calendar("XNYS"), **PLAIN)
    stream.set_alert(name="a", **alert)
    return stream


# --- active hours


@pytest.mark.parametrize(
    ("days", "start", "end", "inside", "outside"),
    [
        (
            "mon-fri",
            "09:30",
            "16:00",
            ["2026-03-02T09:30", "2026-03-06T15:59"],
            ["2026-03-02T16:00", "2026-03-07T10:00"],
        ),
        ("fri", "22:00", "02:00", ["2026-03-06T22:00", "2026-03-07T01:59"], ["2026-03-06T21:59", "2026-03-07T02:00"]),
        (
            "fri-mon",
            "00:00",
            "00:00",
            ["2026-03-06T00:00", "2026-03-09T23:59"],
            ["2026-03-10T00:00", "2026-03-05T23:59"],
        ),
        ("mon-sun", "00:00", "00:00", ["2026-03-02T00:00", "2026-03-05T12:00", "2026-03-08T02:30"], []),
        ("sun", "02:30", "03:15", [], ["2026-03-08T03:00", "2026-03-08T03:20"]),
        (
            "sun,wed",
            "12:00",
            "13:00",
            ["2026-03-08T12:30", "2026-03-04T12:30"],
            ["2026-03-09T12:30", "2026-03-03T12:30"],
        ),
    ],
)
def test_active_hours(days: str, start: str, end: str, inside: list[str], outside: list[str]) -> None:
    times = time.fromisoformat(start), time.fromisoformat(end)
    hours = active_hours(ActiveSettings(days=days, start=times[0], end=times[1], timezone="America/New_York"))
    assert [hours.is_open(moment(text)) for text in inside] == [True] * len(inside)
    assert [hours.is_open(moment(text)) for text in outside] == [False] * len(outside)


def test_a_time_that_no_calendar_knows_closes_nothing() -> None:
    hours = active_hours(ActiveSettings(days="mon"))
    assert hours.is_open(1e300)
    assert hours.until(1e300) == math.inf


def test_expired_is_expired() -> None:
    stream = live("2026-03-02T09:00", above=100, expires="2026-03-02T10:00:00-05:00", on_blind="notify", **{"for": 60})
    assert stream.board.alerts_active() == 1
    assert stream.reasons(101.0, moment("2026-03-02T09:59:30")) == []
    # Its deadline is after the end.
    assert stream.pass_time(moment("2026-03-02T10:00:30")) == []
    assert stream.reasons(101.0, moment("2026-03-02T10:00:31")) == []
    assert stream.board.alerts_active() == 0
    stream.board.set_alert(stream.board.alerts()[0])
    assert stream.reasons(101.0, moment("2026-03-02T11:00")) == []


@pytest.mark.parametrize(
    "hours", [{"session": "regular"}, {"active": {"from": "14:00", "to": "21:00"}}], ids=["session", "active"]
)
def test_what_must_hold_must_hold_within_its_hours(hours: dict[str, Any]) -> None:
    stream = live("2026-03-02T09:00", above=100, **hours, **{"for": 3600})
    assert stream.reasons(101.0, moment("2026-03-02T15:30")) == []
    assert stream.pass_time(moment("2026-03-02T16:30")) == []
    # It begins to hold anew.
    assert stream.reasons(101.0, moment("2026-03-03T09:31")) == []
    assert [event.timestamp for event in stream.pass_time(moment("2026-03-03T10:31"))] == [moment("2026-03-03T10:31")]


def test_what_holds_over_night_begins_anew_with_the_session() -> None:
    stream = live("2026-03-02T09:00", above=100, session="regular", **{"for": 20 * 3600})
    stream.tick(101.0, moment("2026-03-02T15:30"))
    stream.tick(101.0, moment("2026-03-03T09:31"))
    explained = stream.engine.alerts.explain("a", "AAPL")
    assert explained is not None
    assert explained["suppressed_by"] == ["price_above_100.00: true for 0 s, and has to be for 20h"]


def test_what_has_expired_is_not_blind() -> None:
    stream = live("2026-03-02T09:00", above=100, expires="2026-03-02T10:00:00-05:00", on_blind="notify")
    stream.tick(99.0, moment("2026-03-02T09:30"))
    book = stream.board.by_symbol["AAPL"].alerts
    book.set_stale("symbol", stale=True, timestamp=moment("2026-03-02T09:40"))
    assert stream.board.alerts_blind() == 1
    book.set_stale("connection", stale=True, timestamp=moment("2026-03-02T10:40"))
    assert stream.board.alerts_blind() == 0


# --- after a gap


@pytest.mark.parametrize(
    ("alert", "before", "at", "after_gap"),
    [
        ({}, "2026-03-02T09:20", "2026-03-02T09:29:59", False),
        ({}, "2026-03-02T09:29:59", "2026-03-02T09:30", True),
        ({}, "2026-03-02T15:00", "2026-03-02T17:00", False),
        ({}, "2026-03-02T15:00", "2026-03-03T09:30", True),
        ({}, "2026-03-02T15:00", "2026-03-03T09:00", False),
        ({"session": "extended"}, "2026-03-02T09:00", "2026-03-02T16:00", True),
        ({"session": "extended"}, "2026-03-02T17:00", "2026-03-02T18:00", False),
        ({"active": {"from": "14:00", "to": "22:00"}}, "2026-03-02T15:00", "2026-03-02T16:00", False),
        ({"active": {"from": "14:00", "to": "15:00"}}, "2026-03-02T08:00", "2026-03-02T09:15", True),
    ],
)
def test_the_first_tick_of_a_session_or_of_its_hours_is_one_after_a_gap(
    alert: dict[str, Any], before: str, at: str, after_gap: bool
) -> None:
    stream = live("2026-03-01T09:00", above=200, **alert)
    stream.tick(100.0, moment(before))
    (fired,) = stream.alerts(201.0, moment(at))
    assert fired.after_gap is after_gap


# --- market hours that change


def test_an_alert_waits_for_hours_that_somebody_knows() -> None:
    known: list[Any] = [None]
    stream = Stream(hours_of=lambda _: known[0], since=moment("2026-03-02T09:00"), **PLAIN)
    stream.set_alert(name="a", above=100, session="regular", on_blind="notify")
    assert [event.event for event in stream.tick(101.0, moment("2026-03-02T09:31"))] == ["price.update", "alert.blind"]
    known[0] = calendar("XNYS")
    # Any alert on the symbol that asks for hours brings them.
    stream.set_alert(name="b", above=500, session="regular")
    told = stream.tick(101.0, moment("2026-03-02T09:32"))
    assert [event.event for event in told] == ["price.update", "alert.sighted", "price.alert"]
    known[0] = None
    stream.set_alert(name="b", above=500, session="regular")
    assert [event.event for event in stream.tick(99.0, moment("2026-03-02T09:33"))] == ["price.update", "alert.blind"]


# --- the open and the close


def opened(stream: Stream, price: float, at: str) -> float | None:
    """The price from which a tick is measured."""
    stream.tick(price, moment(at))
    explained = stream.engine.alerts.explain("a", "AAPL")
    assert explained is not None
    return explained["triggers"][0]["terms"][0]["baseline"]


def test_the_open_is_the_first_price_of_the_session() -> None:
    stream = live("2026-03-02T09:00", change_percent=50, baseline="open")
    assert opened(stream, 99.0, "2026-03-02T09:29:59") is None
    assert opened(stream, 100.0, "2026-03-02T09:31") == 100.0
    assert opened(stream, 101.0, "2026-03-02T15:00") == 100.0
    assert opened(stream, 102.0, "2026-03-02T20:00") == 100.0
    assert opened(stream, 103.0, "2026-03-03T09:30") == 103.0


@pytest.mark.parametrize(
    ("begin", "end", "known"),
    [
        ("2026-03-02T09:10", "2026-03-02T09:20", True),
        ("2026-03-02T09:10", "2026-03-02T09:31", False),
        ("2026-03-02T09:30:30", "2026-03-02T09:31", False),
    ],
)
def test_the_open_is_not_known_where_it_may_have_been_missed(begin: str, end: str, known: bool) -> None:
    stream = live("2026-03-02T09:00", change_percent=50, baseline="open")
    stream.tick(99.0, moment("2026-03-02T09:05"))
    stream.board.mark_gap(["AAPL"], moment(begin), moment(end))
    assert (opened(stream, 100.0, "2026-03-02T09:32") is not None) is known
    assert opened(stream, 104.0, "2026-03-03T09:30") == 104.0


def test_a_gap_of_which_nobody_knows_how_long_it_was_is_over_with_the_next_price() -> None:
    stream = live("2026-03-02T09:00", change_percent=50, baseline="open")
    stream.board.mark_gap(["AAPL"])
    assert opened(stream, 100.0, "2026-03-02T09:32") is None
    assert opened(stream, 104.0, "2026-03-03T09:30") == 104.0


def test_an_alert_that_is_set_in_the_session_does_not_take_the_next_price_for_the_open() -> None:
    stream = live("2026-03-02T09:00", above=500)
    stream.tick(100.0, moment("2026-03-02T09:30"))
    stream.set_alert(name="a", change_percent=50, baseline="open")
    assert opened(stream, 101.0, "2026-03-02T11:00") is None
    assert opened(stream, 102.0, "2026-03-03T09:30") == 102.0


def test_a_reload_forgets_neither_the_open_nor_the_price_of_some_time_ago() -> None:
    stream = live("2026-03-02T09:00", change_percent=50, baseline="open")
    stream.engine.apply(StreamSettings(history=HistorySettings(enabled=False), suspect=None))
    stream.set_alert(name="b", change_percent=50, baseline=60)
    opened(stream, 100.0, "2026-03-02T09:30")
    for rule in stream.board.alerts():
        stream.board.set_alert(rule, revive=False)
    assert opened(stream, 101.0, "2026-03-02T10:00") == 100.0
    explained = stream.engine.alerts.explain("b", "AAPL")
    assert explained is not None
    assert explained["triggers"][0]["terms"][0]["baseline"] == 100.0


def test_a_feed_that_was_connected_after_the_open_does_not_know_it() -> None:
    stream = live("2026-03-02T09:00", change_percent=50, baseline="open")
    stream.engine.alerts.feed_since["us"] = moment("2026-03-02T09:45")
    assert opened(stream, 100.0, "2026-03-02T09:46") is None


def test_the_close_is_the_last_price_of_the_session() -> None:
    stream = live("2026-03-02T15:00", change_percent=50, baseline="close")
    assert opened(stream, 100.0, "2026-03-02T15:59:59") is None
    assert opened(stream, 101.0, "2026-03-02T16:00") == 100.0
    assert opened(stream, 102.0, "2026-03-03T09:30") == 100.0
    stream.board.mark_gap(["AAPL"], moment("2026-03-03T15:59"), moment("2026-03-03T15:59:30"))
    assert opened(stream, 103.0, "2026-03-03T16:00") is None


def test_in_a_replay_what_is_there_is_all_there_is() -> None:
    stream = Stream(hours_of=lambda _: calendar("XNYS"), **PLAIN)
    stream.set_alert(name="a", change_percent=50, baseline="open")
    stream.board.mark_gap(["AAPL"])
    assert opened(stream, 100.0, "2026-03-02T11:00") == 100.0


def test_years_without_a_price_are_not_walked_through() -> None:
    prices = SessionPrices(SessionHours(Hours()), 50.0)
    prices.take(60.0, 100.0, -math.inf)
    prices.take(250.0, 101.0, -math.inf)
    assert (prices.open, prices.close) == ((101.0, 200.0), (100.0, 100.0))
    prices.take(1e9 + 50.0, 102.0, -math.inf)
    assert (prices.open, prices.close) == (None, None)


def test_hours_that_know_no_such_time() -> None:
    class Calendar:
        def is_open(self, at: float) -> bool:
            return bool(datetime.fromtimestamp(at, NEW_YORK))

        def next_change(self, at: float) -> float | None:
            return None

    hours = SessionHours(Calendar())
    assert not hours.is_open(1e300)
    assert hours.until(1e300) == 1e300
    assert hours.is_open(1e9)
    assert hours.until(1e9) == math.inf
