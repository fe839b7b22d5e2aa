"""A listener that fails harms nobody: it is logged by name, counted, told of, and left alone if it goes on."""

import asyncio
import logging

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import BREAKER_FAILURES, BREAKER_SECONDS, Listener
from pricestreamd.model.events import Event, PriceError, Run
from tests.support.records import ManualClock, error, update


class BrokenError(Exception):
    """An exception that cannot even be shown."""

    def __repr__(self) -> str:
        raise ValueError("broken, too")

    __str__ = __repr__


FAILURES: list[BaseException] = [
    ValueError("bad"),
    RecursionError(),
    BrokenError(),
    SystemExit(3),
    asyncio.CancelledError(),
    GeneratorExit(),
    BaseException("bare"),
]
by_type = pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)


def raises(failure: BaseException) -> object:
    raise failure


@by_type
def test_whatever_a_listener_raises_the_next_one_is_called(failure: BaseException) -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []
    dispatcher.attach("price.update", lambda _: raises(failure), name="the failing one", priority=1)
    dispatcher.on("price.update", lambda event: heard.append(event.id))
    for number in (1, 2):
        dispatcher.dispatch(update(number))
    assert heard == ["run-1", "run-2"]
    assert [listener.errors for listener in dispatcher.listeners()] == [2, 0]


def test_ctrl_c_passes() -> None:
    dispatcher = EventDispatcher()
    heard: list[str] = []
    dispatcher.on("price.update", lambda _: raises(KeyboardInterrupt()))
    dispatcher.on("price.update", lambda event: heard.append(event.id))
    with pytest.raises(KeyboardInterrupt):
        dispatcher.dispatch(update())
    assert heard == []


def test_where_ctrl_c_is_heard_in_another_way_a_keyboard_interrupt_is_a_failure_like_any_other() -> None:
    dispatcher = EventDispatcher(interruptible=False)
    heard: list[str] = []
    caught: list[BaseException] = []
    dispatcher.on("price.update", lambda _: raises(KeyboardInterrupt()))
    dispatcher.chain("price.update").then(lambda _: raises(KeyboardInterrupt())).catch(caught.append).execute()
    dispatcher.on("price.update", lambda event: heard.append(event.id))
    dispatcher.dispatch(update())
    assert [type(failure) for failure in caught] == [KeyboardInterrupt]
    assert heard == ["run-1"]
    assert [listener.errors for listener in dispatcher.listeners()] == [1, 0, 0]


@by_type
def test_a_failure_becomes_a_price_error_that_names_listener_and_event(failure: BaseException) -> None:
    dispatcher = EventDispatcher(Run("run"), clock=ManualClock(5.0))
    told: list[PriceError] = []
    dispatcher.on("price.error", told.append)
    dispatcher.attach("price.update", lambda _: raises(failure), name="the failing one")
    dispatcher.dispatch(update(1))
    (event,) = told
    assert (event.error, event.severity, event.timestamp, event.fatal) == ("listener_failed", "warning", 5.0, False)
    assert event.message.startswith("listener the failing one failed on price.update: ")
    assert type(failure).__name__ in event.message


def failure_lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "failed on" in record.getMessage()]


def test_a_failure_is_logged_with_its_traceback_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    dispatcher = EventDispatcher(monotonic=clock)
    dispatcher.attach("price.update", lambda _: raises(ValueError("bad")), name="the failing one")
    for number in (1, 2, 3):
        dispatcher.dispatch(update(number))
    (line,) = failure_lines(caplog)
    assert line.levelno == logging.ERROR
    assert line.getMessage() == "listener the failing one failed on price.update: ValueError('bad') (run-1)"
    assert line.exc_info is not None
    assert "in raises" in (caplog.text)
    clock.now += 60
    dispatcher.dispatch(update(4))
    assert [line.__dict__["suppressed"] for line in failure_lines(caplog)] == [0, 2]


def test_another_kind_of_failure_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = EventDispatcher()
    failures = iter([ValueError("a"), KeyError("b"), ValueError("c")])
    dispatcher.on("price.update", lambda _: raises(next(failures)))
    for number in (1, 2, 3):
        dispatcher.dispatch(update(number))
    assert len(failure_lines(caplog)) == 2


def test_a_failing_listener_of_price_error_is_logged_and_not_told_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = EventDispatcher()
    calls: list[str] = []

    def fails(event: Event) -> None:
        calls.append(event.event)
        raise ValueError

    dispatcher.on("*", fails)
    dispatcher.dispatch(error())
    assert calls == ["price.error"]
    dispatcher.dispatch(update())
    assert calls == ["price.error", "price.update", "price.error"]
    assert dispatcher.event_counts == {"price.error": 2, "price.update": 1}
    assert failure_lines(caplog)


def test_a_failure_while_a_failure_is_told_of_goes_round_no_further() -> None:
    """Who hears of an error may dispatch something of their own, whose listener fails, which is an error..."""
    dispatcher = EventDispatcher()
    dispatcher.on("price.error", lambda _: dispatcher.dispatch("my.notice"))
    dispatcher.on("my.notice", lambda _: raises(ValueError("again")))
    dispatcher.on("price.update", lambda _: raises(ValueError("first")))
    for number in (1, 2):
        dispatcher.dispatch(update(number))
    assert dispatcher.event_counts == {"price.update": 2, "price.error": 2, "my.notice": 2}
    dispatcher.dispatch("my.notice")
    assert dispatcher.event_counts["price.error"] == 3


# --- the breaker


class Flaky:
    """A listener that fails while `broken`."""

    def __init__(self) -> None:
        self.broken = True
        self.calls = 0

    def __call__(self, _event: Event) -> None:
        self.calls += 1
        if self.broken:
            raise ValueError


def with_breaker() -> tuple[EventDispatcher, ManualClock, Flaky, Listener]:
    clock, flaky = ManualClock(), Flaky()
    dispatcher = EventDispatcher(monotonic=clock)
    dispatcher.on("price.update", flaky)
    return dispatcher, clock, flaky, dispatcher.listeners()[0]


def send(dispatcher: EventDispatcher, times: int) -> None:
    for number in range(times):
        dispatcher.dispatch(update(number))


def test_after_a_hundred_failures_in_a_row_a_listener_is_left_alone_for_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dispatcher, clock, flaky, listener = with_breaker()
    neighbour: list[Event] = []
    dispatcher.on("price.update", neighbour.append)
    send(dispatcher, BREAKER_FAILURES + 50)
    assert flaky.calls == BREAKER_FAILURES == listener.errors == 100
    assert listener.dropped == 50
    assert len(neighbour) == 150
    assert [line.getMessage() for line in caplog.records if "left alone" in line.getMessage()] == [
        f"listener {listener.name} failed 100 times in a row: left alone for 60 s"
    ]
    assert dispatcher.event_counts["price.error"] == 100

    clock.now += BREAKER_SECONDS - 0.001
    send(dispatcher, 1)
    assert flaky.calls == 100

    clock.now += 0.001
    flaky.broken = False
    send(dispatcher, 3)
    assert flaky.calls == 103
    assert listener.failures_in_a_row == 0
    assert listener.dropped == 51


def test_a_listener_that_still_fails_then_is_given_another_hundred(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher, clock, flaky, listener = with_breaker()
    for round_ in (1, 2, 3):
        send(dispatcher, BREAKER_FAILURES + 10)
        assert flaky.calls == round_ * BREAKER_FAILURES
        clock.now += BREAKER_SECONDS
    assert listener.dropped == 30
    assert len([line for line in caplog.records if "left alone" in line.getMessage()]) == 3


def test_a_success_in_between_begins_the_count_anew() -> None:
    dispatcher, _, flaky, listener = with_breaker()
    for _ in range(3):
        flaky.broken = True
        send(dispatcher, BREAKER_FAILURES - 1)
        assert listener.failures_in_a_row == BREAKER_FAILURES - 1
        flaky.broken = False
        send(dispatcher, 1)
        assert listener.failures_in_a_row == 0
    assert flaky.calls == 3 * BREAKER_FAILURES
    assert listener.dropped == 0


def test_a_listener_that_fails_inside_its_own_failure_opens_the_breaker_once(caplog: pytest.LogCaptureFixture) -> None:
    """A wildcard listener that fails on an event fails on the price.error, too: two failures for each event."""
    clock, flaky = ManualClock(), Flaky()
    dispatcher = EventDispatcher(monotonic=clock)
    dispatcher.on("*", flaky)
    send(dispatcher, BREAKER_FAILURES)
    assert flaky.calls == BREAKER_FAILURES
    assert len([line for line in caplog.records if "left alone" in line.getMessage()]) == 1
    clock.now += BREAKER_SECONDS
    flaky.broken = False
    send(dispatcher, 1)
    assert flaky.calls == BREAKER_FAILURES + 1
