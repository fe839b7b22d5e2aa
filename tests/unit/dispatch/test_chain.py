"""Chains: steps that hand a value on."""

import asyncio
import functools
from typing import Any

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import Event, PriceUpdate
from tests.support.records import update
from tests.support.waiting import eventually


def test_each_step_gets_what_the_one_before_returned() -> None:
    dispatcher = EventDispatcher()
    seen: list[object] = []

    def first(event: PriceUpdate) -> dict[str, Any]:
        seen.append(event)
        return event.to_dict() | {"validated": True}

    def second(data: dict[str, Any]) -> float:
        seen.append(data["validated"])
        return float(data["price"])

    dispatcher.chain("price.update").then(first).then(second).then(seen.append).execute()
    event = update()
    dispatcher.dispatch(event)
    assert seen == [event, True, 100.0]


@pytest.mark.parametrize("falsy", [0, "", [], {}, 0.0])
def test_only_false_itself_stops_the_chain(falsy: object) -> None:
    dispatcher = EventDispatcher()
    seen: list[object] = []
    dispatcher.chain("price.update").then(lambda _: falsy).then(seen.append).execute()
    dispatcher.chain("price.update").then(lambda _: False).then(seen.append).execute()
    dispatcher.dispatch(update())
    assert seen == [falsy]


def test_none_passes_the_steps_input_on() -> None:
    dispatcher = EventDispatcher()
    seen: list[object] = []
    dispatcher.chain("price.update").then(lambda _: 5).then(lambda _: None).then(seen.append).then(
        seen.append
    ).execute()
    dispatcher.dispatch(update())
    assert seen == [5, 5]


class Stop(BaseException):
    """No `Exception`."""


@pytest.mark.parametrize(
    "failure", [ValueError("bad"), SystemExit(1), Stop()], ids=lambda failure: type(failure).__name__
)
def test_an_exception_stops_the_chain_and_goes_to_catch(failure: BaseException) -> None:
    dispatcher = EventDispatcher()
    seen: list[object] = []

    def fails(_value: object) -> None:
        raise failure

    dispatcher.chain("price.update").then(fails).then(seen.append).catch(seen.append).execute()
    dispatcher.dispatch(update())
    assert seen == [failure]
    assert dispatcher.listeners()[0].errors == 0


def test_ctrl_c_goes_past_catch() -> None:
    dispatcher = EventDispatcher()
    seen: list[object] = []

    def interrupted(_value: object) -> None:
        raise KeyboardInterrupt

    dispatcher.chain("price.update").then(interrupted).catch(seen.append).execute()
    with pytest.raises(KeyboardInterrupt):
        dispatcher.dispatch(update())
    assert seen == []


def test_without_catch_an_exception_is_that_of_any_listener(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = EventDispatcher()
    dispatcher.chain("price.update").then(lambda _: 1 / 0).execute()
    dispatcher.dispatch(update())
    assert "chain(price.update) failed on price.update: ZeroDivisionError" in caplog.text
    assert dispatcher.listeners()[0].errors == 1
    assert dispatcher.event_counts["price.error"] == 1


def raises_key_error(_exc: object) -> None:
    raise KeyError("gone")


def test_an_exception_in_catch_is_that_of_any_listener(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = EventDispatcher()
    dispatcher.chain("price.update").then(lambda _: 1 / 0).catch(raises_key_error).execute()
    dispatcher.dispatch(update())
    assert "KeyError('gone')" in caplog.text
    assert dispatcher.listeners()[0].errors == 1


def test_a_chain_is_removed_by_its_id() -> None:
    dispatcher = EventDispatcher()
    seen: list[object] = []
    known = dispatcher.chain("price.update").then(seen.append).execute()
    assert dispatcher.off(known) is True
    dispatcher.dispatch(update())
    assert seen == []
    assert dispatcher.off(known) is False


def test_a_chain_has_a_place_among_listeners() -> None:
    dispatcher = EventDispatcher()
    seen: list[str] = []
    dispatcher.on("price.update", lambda _: seen.append("plain"))
    dispatcher.chain("price.*").then(lambda _: seen.append("chain")).execute(priority=1)
    dispatcher.dispatch(update())
    assert seen == ["chain", "plain"]


def test_what_is_added_after_execute_belongs_to_the_next_execute() -> None:
    dispatcher = EventDispatcher()
    seen: list[str] = []
    chain = dispatcher.chain("price.update").then(lambda _: seen.append("a"))
    chain.execute()
    chain.then(lambda _: seen.append("b")).execute()
    dispatcher.dispatch(update())
    assert seen == ["a", "a", "b"]


# --- steps that wait


async def double(value: float) -> float:
    return value * 2


class Doubler:
    async def __call__(self, value: float) -> float:
        return value * 2


@pytest.mark.parametrize("step", [double, Doubler(), functools.partial(double)], ids=["function", "object", "partial"])
async def test_coroutine_functions_may_be_steps_among_plain_ones(step: Any) -> None:
    seen: list[object] = []
    async with EventDispatcher() as dispatcher:
        chain = dispatcher.chain("price.update").then(lambda event: event.price)
        chain.then(step).then(lambda value: None if value else False).then(seen.append).execute()
        dispatcher.dispatch(update())
        assert seen == []
        await eventually(lambda: seen)
    assert seen == [200.0]


async def test_a_chain_that_waits_keeps_the_order_of_events() -> None:
    seen: list[str] = []
    async with EventDispatcher() as dispatcher:
        dispatcher.chain("price.update").then(lambda event: event.id).then(slowly).then(seen.append).execute()
        for number in range(20):
            dispatcher.dispatch(update(number))
    assert seen == [f"run-{number}" for number in range(20)]


async def slowly(value: str) -> str:
    await asyncio.sleep(0)
    return value


async def test_false_stops_a_chain_that_waits() -> None:
    seen: list[object] = []

    async def no(_value: object) -> bool:
        return False

    async with EventDispatcher() as dispatcher:
        dispatcher.chain("price.update").then(no).then(seen.append).execute()
        dispatcher.dispatch(update())
    assert seen == []


@pytest.mark.parametrize("failure", [ValueError("bad"), SystemExit(1)], ids=lambda failure: type(failure).__name__)
async def test_an_exception_in_a_step_that_waits_goes_to_catch_which_may_wait_too(failure: BaseException) -> None:
    seen: list[object] = []

    async def fails(_value: object) -> None:
        raise failure

    async def handler(exc: BaseException) -> None:
        seen.append(exc)

    async with EventDispatcher() as dispatcher:
        dispatcher.chain("price.update").then(fails).then(seen.append).catch(handler).execute()
        dispatcher.dispatch(update())
        await eventually(lambda: seen)
        assert dispatcher.listeners()[0].errors == 0
    assert seen == [failure]


async def test_a_catch_that_waits_makes_a_chain_of_plain_steps_wait() -> None:
    seen: list[object] = []

    def fails(_event: Event) -> None:
        raise ValueError("bad")

    async def handler(exc: BaseException) -> None:
        seen.append(repr(exc))

    async with EventDispatcher() as dispatcher:
        dispatcher.chain("price.update").then(fails).catch(handler).execute()
        dispatcher.dispatch(update())
    assert seen == ["ValueError('bad')"]


async def test_without_catch_a_failure_of_a_step_that_waits_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_value: object) -> None:
        raise ValueError("bad")

    async with EventDispatcher() as dispatcher:
        dispatcher.chain("price.update").then(fails).execute()
        dispatcher.dispatch(update())
        await eventually(lambda: dispatcher.event_counts.get("price.error"))
        assert dispatcher.listeners()[0].errors == 1
    assert "chain(price.update) failed on price.update: ValueError('bad')" in caplog.text
