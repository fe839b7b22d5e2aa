"""Handing out: own events, price.error, snapshots, `once`, slowness and statistics."""

import logging
import time

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import SLOW_SECONDS
from pricestreamd.dispatch.route import SAMPLE
from pricestreamd.model.events import CustomEvent, Event, PriceError, Run
from pricestreamd.model.secret import Secret
from tests.support.records import ManualClock, alert, update

# --- own events and price.error


def test_an_own_event_goes_to_its_listeners_with_the_next_id_and_the_time() -> None:
    dispatcher = EventDispatcher(Run("run"), clock=ManualClock(12.5))
    heard: list[Event] = []
    dispatcher.on("my.event", heard.append)
    dispatcher.dispatch("my.event", {"answer": 42})
    dispatcher.dispatch("my.event")
    assert [event.to_dict() for event in heard] == [
        {"event": "my.event", "id": "run-1", "timestamp": 12.5, "answer": 42},
        {"event": "my.event", "id": "run-2", "timestamp": 12.5},
    ]


def test_two_dispatchers_have_runs_of_different_names() -> None:
    assert EventDispatcher().run.name != EventDispatcher().run.name


def test_error_dispatches_a_price_error() -> None:
    dispatcher = EventDispatcher(Run("run"), clock=ManualClock(12.5))
    heard: list[PriceError] = []
    dispatcher.on("price.error", heard.append)
    dispatcher.error("word", "A sentence.")
    dispatcher.error("word", "Another.", severity="critical", feed="us", symbol="AAPL", fatal=True, timestamp=3.5)
    assert [event.to_dict() for event in heard] == [
        {
            "event": "price.error",
            "id": "run-1",
            "timestamp": 12.5,
            "severity": "warning",
            "error": "word",
            "message": "A sentence.",
            "feed": None,
            "symbol": None,
            "fatal": False,
        },
        {
            "event": "price.error",
            "id": "run-2",
            "timestamp": 3.5,
            "severity": "critical",
            "error": "word",
            "message": "Another.",
            "feed": "us",
            "symbol": "AAPL",
            "fatal": True,
        },
    ]


def test_no_secret_leaves_in_the_message_of_an_error() -> None:
    dispatcher = EventDispatcher()
    key = Secret("a-key-nobody-may-see")
    heard: list[PriceError] = []
    dispatcher.on("price.error", heard.append)
    dispatcher.error("word", f"refused: {key.reveal()}")

    @dispatcher.on("price.update")
    def fails(_event: Event) -> None:
        raise ValueError(key.reveal())

    dispatcher.dispatch(update())
    assert len(heard) == 2
    assert all(key.reveal() not in event.message and "***" in event.message for event in heard)


# --- snapshots and once


def test_who_joins_during_an_event_hears_the_next_one() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []

    def joins(_event: Event) -> None:
        if len(heard) < 2:
            dispatcher.on("price.update", lambda event: heard.append(f"new {event.id}"))
        heard.append("old")

    dispatcher.on("price.update", joins)
    dispatcher.dispatch(update(1))
    assert heard == ["old"]
    dispatcher.dispatch(update(2))
    assert heard == ["old", "old", "new run-2"]


def test_who_leaves_during_an_event_has_still_heard_it() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []

    def last(_event: Event) -> None:
        heard.append("last")

    def removes(_event: Event) -> None:
        heard.append("first")
        dispatcher.off(last)
        dispatcher.off(removes)

    dispatcher.on("price.update", removes)
    dispatcher.on("price.update", last)
    dispatcher.dispatch(update(1))
    dispatcher.dispatch(update(2))
    assert heard == ["first", "last"]


def test_clear_during_an_event_lets_it_finish() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []
    dispatcher.on("price.update", lambda _: dispatcher.clear(), priority=1)
    dispatcher.on("price.update", lambda event: heard.append(event.id))
    dispatcher.dispatch(update(1))
    dispatcher.dispatch(update(2))
    assert heard == ["run-1"]


def test_once_hears_one_event_and_is_gone() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []
    known = dispatcher.once("price.*", lambda event: heard.append(event.id))
    for number in (1, 2, 3):
        dispatcher.dispatch(update(number))
    assert heard == ["run-1"]
    assert dispatcher.off(known) is False
    assert dispatcher.listeners() == []


def test_once_can_be_taken_back_before_it_hears_anything() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []
    known = dispatcher.once("price.update", lambda event: heard.append(event.id))
    assert dispatcher.off(known)
    dispatcher.dispatch(update())
    assert heard == []


def test_once_taken_back_by_a_neighbour_during_the_event_is_not_called() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []
    known = dispatcher.once("price.update", lambda event: heard.append(event.id))
    dispatcher.on("price.update", lambda _: dispatcher.off(known), priority=1)
    dispatcher.dispatch(update())
    assert heard == []


def test_once_that_raises_has_had_its_event() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []

    @dispatcher.once("price.update")
    def fails(event: Event) -> None:
        heard.append(event.id)
        raise ValueError

    for number in (1, 2):
        dispatcher.dispatch(update(number))
    assert heard == ["run-1"]


def test_once_can_register_itself_again() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []

    def again(event: Event) -> None:
        heard.append(event.id)
        if len(heard) < 2:
            dispatcher.once("price.update", again)

    dispatcher.once("price.update", again)
    for number in (1, 2, 3):
        dispatcher.dispatch(update(number))
    assert heard == ["run-1", "run-2"]


# --- slow listeners


def busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def slow_lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "took" in record.getMessage()]


def test_a_slow_listener_is_counted_each_time_and_logged_by_name_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    dispatcher = EventDispatcher(monotonic=clock)
    dispatcher.attach("price.update", lambda _: busy(SLOW_SECONDS * 1.2), name="the slow one")
    dispatcher.on("price.update", lambda _: None)
    for number in range(3):
        dispatcher.dispatch(update(number))
    assert [listener.slow for listener in dispatcher.listeners()] == [3, 0]
    (line,) = slow_lines(caplog)
    assert line.levelno == logging.WARNING
    assert "listener the slow one took" in line.getMessage()
    assert "price.update" in line.getMessage()

    clock.now += 60
    dispatcher.dispatch(update(4))
    assert [line.__dict__["suppressed"] for line in slow_lines(caplog)] == [0, 2]


def test_nobody_is_told_to_change_a_slow_part_of_the_daemon_itself(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = EventDispatcher()
    dispatcher.attach("price.update", lambda _: busy(SLOW_SECONDS * 1.2), name="sink hook", ours=True)
    dispatcher.dispatch(update(1))
    (line,) = slow_lines(caplog)
    assert line.getMessage().startswith("sink hook took ")
    assert "coroutine function" not in line.getMessage()


def test_one_call_in_so_many_of_a_plain_listener_is_timed() -> None:
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", lambda _: None)
    for number in range(3 * SAMPLE):
        dispatcher.dispatch(update(number))
    (listener,) = dispatcher.listeners()
    assert sum(listener.seconds.counts) == 3


# --- statistics


def test_statistics_are_those_of_the_guide() -> None:
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", lambda _: None)
    dispatcher.on("price.update", lambda _: None)
    dispatcher.on("price.*", lambda _: None)
    for number in range(3):
        dispatcher.dispatch(update(number))
    dispatcher.dispatch(alert())
    dispatcher.dispatch("nobody.hears")
    assert dispatcher.get_stats() == {
        "total_dispatches": 5,
        "total_listeners": 3,
        "events_registered": 2,
        "event_counts": {"price.update": 3, "price.alert": 1, "nobody.hears": 1},
        "most_dispatched": {"event": "price.update", "count": 3},
    }


def test_statistics_of_a_new_dispatcher_are_empty() -> None:
    dispatcher = EventDispatcher()
    dispatcher.heard("price.update")
    assert dispatcher.get_stats() == {
        "total_dispatches": 0,
        "total_listeners": 0,
        "events_registered": 0,
        "event_counts": {},
        "most_dispatched": None,
    }


def test_counts_stay_when_listeners_go() -> None:
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", lambda _: None)
    dispatcher.dispatch(update())
    dispatcher.clear()
    assert dispatcher.event_counts == {"price.update": 1}
    assert dispatcher.get_stats()["total_listeners"] == 0


def test_who_detects_an_event_that_nobody_hears_counts_it() -> None:
    dispatcher = EventDispatcher()
    dispatcher.route("price.change").count += 1
    assert dispatcher.event_counts == {"price.change": 1}


# --- a listener that dispatches


def test_a_listener_may_dispatch_and_the_inner_event_is_handed_out_first() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []

    def outer(_event: Event) -> None:
        heard.append("before")
        dispatcher.dispatch("inner", {"depth": 1})
        heard.append("after")

    dispatcher.on("price.update", outer)
    dispatcher.on("price.update", lambda _: heard.append("next"))
    dispatcher.on("inner", lambda event: heard.append(f"inner {event['depth']}"))
    dispatcher.dispatch(update())
    assert heard == ["before", "inner 1", "after", "next"]


def test_an_event_that_calls_itself_without_end_ends() -> None:
    dispatcher = EventDispatcher()
    dispatcher.on("loop", lambda _: dispatcher.dispatch("loop"))
    done: list[CustomEvent] = []
    dispatcher.on("price.update", done.append)
    dispatcher.dispatch("loop")
    dispatcher.dispatch("price.update")
    assert len(done) == 1
