"""How a destination has behaved, as the door finds it: last success, last failure, since when nothing succeeds."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.delivery.door import Door
from pricestreamd.sinks.delivery.standing import Standing
from pricestreamd.sinks.not_yet import NotYet
from tests.unit.sinks.samples import MemorySink, alert, failed, refused, updates


def after(*outcomes: Exception | None) -> Standing:
    """What is known when attempts have ended so, one a second, from 1 on."""
    now = 0.0
    standing = Standing(wall=lambda: now)
    for outcome in outcomes:
        now += 1.0
        with suppress(ValueError, SinkError), standing.delivering():
            if outcome is not None:
                raise outcome
    return standing


def told(standing: Standing) -> tuple[Any, ...]:
    return standing.last_success, standing.failing_since, standing.last_error, standing.last_error_at


@pytest.mark.parametrize(
    ("outcomes", "known"),
    [
        ([], (None, None, None, None)),
        ([None], (1.0, None, None, None)),
        ([None, failed("one"), failed("two")], (1.0, 2.0, "two", 3.0)),
        ([failed("one"), None], (2.0, None, "one", 1.0)),
        ([None, refused("never")], (1.0, None, "never", 2.0)),
        ([failed("one"), refused("never")], (None, 1.0, "never", 2.0)),
        ([DestinationGone("410")], (None, 1.0, "410", 1.0)),
        ([NotYet(5.0), None, NotYet(5.0)], (2.0, None, None, None)),
        ([ValueError("a bug")], (None, 1.0, "ValueError: a bug", 1.0)),
    ],
)
def test_what_is_known_after_some_attempts(outcomes: list[Exception | None], known: tuple[Any, ...]) -> None:
    assert told(after(*outcomes)) == known


def test_an_attempt_that_does_not_end_is_told_of_after_a_minute_on_either_way() -> None:
    now = 0.0
    standing = Standing(clock=lambda: now)
    with standing.opening():
        now = 10.0
        with standing.delivering():
            now = 59.0
            early = standing.hanging
            now = 75.0
            late = standing.hanging
    ended = standing.hanging
    with suppress(ValueError), standing.delivering():
        raise ValueError
    now = 1000.0
    assert (early, late, ended, standing.hanging) == (None, 75.0, None, None)


def test_an_error_is_kept_short_and_without_secrets() -> None:
    error = after(failed("https://user:hunter2@example.org/" + 10_000 * "x")).last_error
    assert error is not None
    assert "hunter2" not in error
    assert len(error) <= 500


async def test_the_door_knows_of_both_ways_in_and_of_opening() -> None:
    door = Door(sink := MemorySink())
    sink.open_errors.append(failed("not open"))
    with pytest.raises(SinkError):
        await door.deliver_durable("lane", alert())
    success, since, error, _ = told(door.standing)
    assert (success, since is None, error) == (None, False, "not open")
    await door.deliver_durable("lane", alert())
    first, since, _, _ = told(door.standing)
    assert (first is None, since) == (False, None)
    await door.deliver(updates(2))
    assert told(door.standing)[0] >= first


async def test_a_delivery_that_is_cancelled_says_nothing_of_the_destination() -> None:
    door = Door(sink := MemorySink())
    sink.before = lambda _: asyncio.Event().wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await door.deliver(updates(1))
    assert told(door.standing) == (None, None, None, None)
