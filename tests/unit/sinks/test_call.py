"""The sink `call`: until it returns, and never twice at a time for one event."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.call import GRACE_SECONDS, MOST_HANGING, CallSink
from pricestreamd.sinks.function import FunctionError, find_function
from pricestreamd.sinks.settings import CallSinkSettings
from tests.support.waiting import eventually
from tests.unit.sinks import called
from tests.unit.sinks.samples import alert, alert_named, custom

WAYS = ["plain", "coroutine", "wrapped", "thing", "thing.method"]


@pytest.fixture(autouse=True)
def state() -> Iterator[called.State]:
    called.state = called.State()
    yield called.state
    if called.state.release is not None:
        called.state.release.set()


def made(name: str = "plain", **settings: Any) -> CallSink:
    return CallSink("sell", CallSinkSettings(call=f"tests.unit.sinks.called:{name}", **settings))


async def failure(sink: CallSink, firing_id: str = "a") -> str:
    with pytest.raises(SinkError) as caught:
        await sink.deliver([alert_named(firing_id)])
    assert caught.value.transient
    assert caught.value.sink == "sell"
    return str(caught.value)


@pytest.mark.parametrize("way", WAYS)
async def test_the_function_gets_the_record_of_the_event(state: called.State, way: str) -> None:
    sink = made(way)
    await sink.open()
    await sink.deliver([alert(1)])
    await sink.deliver([alert(2)])
    await sink.close()
    assert state.calls == [alert(1), alert(2)]


@pytest.mark.parametrize(("way", "elsewhere"), [("plain", True), ("thing.method", True), ("coroutine", False)])
async def test_a_plain_function_runs_in_a_thread_and_a_coroutine_function_in_the_loop(
    state: called.State, way: str, elsewhere: bool
) -> None:
    sink = made(way)
    await sink.deliver([alert()])
    await sink.close()
    assert (threading.current_thread().name not in state.threads) is elsewhere


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [ValueError("no money"), SystemExit("no money"), KeyboardInterrupt("no money")])
async def test_an_exception_is_a_failure_with_its_text(state: called.State, way: str, error: BaseException) -> None:
    sink = made(way)
    state.errors = [error]
    expected = f"tests.unit.sinks.called:{way}: {type(error).__name__}: no money"
    assert await failure(sink) == expected
    await sink.deliver([alert_named("a")])
    await sink.close()
    assert len(state.calls) == 2


async def test_a_long_text_of_an_exception_is_cut(state: called.State) -> None:
    state.errors = [ValueError("x" * 10_000)]
    sink = made("coroutine")
    assert len(await failure(sink)) < 300
    await sink.close()


async def test_a_coroutine_function_is_cancelled_after_its_time(state: called.State) -> None:
    sink = made("coroutine", timeout=0.05)
    assert await failure(sink, "slow") == "tests.unit.sinks.called:coroutine was cancelled after 0.05 s"
    await sink.deliver([alert_named("next")])
    await sink.close()


async def test_a_time_out_inside_of_a_function_is_its_own(state: called.State) -> None:
    state.errors = [TimeoutError("the broker")]
    sink = made("coroutine")
    assert await failure(sink) == "tests.unit.sinks.called:coroutine: TimeoutError: the broker"
    await sink.close()


async def test_while_a_plain_function_runs_for_an_event_it_is_not_called_again_for_it(state: called.State) -> None:
    state.release = threading.Event()
    sink = made(timeout=0.05)
    for _ in range(5):
        told = await failure(sink, "slow")
        assert told == (
            "tests.unit.sinks.called:plain has not ended after 0.05 s: it is not called again before it does"
        )
    assert len(state.calls) == 1
    state.release.set()
    await eventually(lambda: not any(called.running.values()))
    await sink.deliver([alert_named("slow")])
    await sink.close()
    assert len(state.calls) == 1
    assert state.most_running == {"slow": 1}


async def test_a_call_that_fails_after_its_time_is_told_of_and_made_again(state: called.State) -> None:
    state.release, state.late = threading.Event(), ValueError("late")
    sink = made(timeout=0.05)
    await failure(sink, "slow")
    state.release.set()
    await eventually(lambda: not any(called.running.values()))
    assert await failure(sink, "slow") == "tests.unit.sinks.called:plain: ValueError: late"
    assert len(state.calls) == 1
    state.late = None
    await sink.deliver([alert_named("slow")])
    await sink.close()
    assert len(state.calls) == 2


async def test_others_are_called_beside_a_call_that_hangs_up_to_a_bound(state: called.State) -> None:
    state.release = threading.Event()
    sink = made(timeout=0.05)
    for number in range(MOST_HANGING):
        await failure(sink, f"slow{number}")
        if number < MOST_HANGING - 1:
            await sink.deliver([alert_named(f"quick{number}")])
    told = await failure(sink, "quick")
    assert told == f"{MOST_HANGING} calls of tests.unit.sinks.called:plain have not ended: none is begun"
    state.release.set()
    await eventually(lambda: not any(called.running.values()))
    await sink.deliver([alert_named("quick")])
    for number in range(MOST_HANGING):
        await sink.deliver([alert_named(f"slow{number}")])
    await sink.close()
    assert set(state.most_running.values()) == {1}


@pytest.mark.parametrize("way", ["stubborn", "wrapped_stubborn"])
async def test_a_coroutine_that_does_not_let_itself_be_cancelled_is_left_to_itself_and_not_called_again(
    state: called.State, way: str
) -> None:
    state.release = threading.Event()
    sink = made(way, timeout=0.05)
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        told = await failure(sink, "slow")
        assert told.endswith(
            f"{way} has not ended after 0.05 s although it was cancelled: it is not called again before it does"
        )
    # Only the first time it is waited for.
    assert asyncio.get_running_loop().time() - began < 2 * GRACE_SECONDS
    await sink.deliver([alert_named("next")])
    assert len(state.calls) == 2
    state.release.set()
    await eventually(lambda: all(call.task.done() for call in sink._calls.values()))
    await sink.deliver([alert_named("slow")])
    assert len(state.calls) == 2
    await sink.close()


async def test_a_coroutine_that_fails_long_after_its_time_is_called_again(state: called.State) -> None:
    state.release, state.late = threading.Event(), ValueError("late")
    sink = made("stubborn", timeout=0.05)
    await failure(sink, "slow")
    state.release.set()
    await eventually(lambda: all(call.task.done() for call in sink._calls.values()))
    assert await failure(sink, "slow") == "tests.unit.sinks.called:stubborn: ValueError: late"
    state.late = None
    await sink.deliver([alert_named("slow")])
    await sink.close()
    assert len(state.calls) == 2


async def test_coroutines_that_hang_count_as_calls_that_hang(state: called.State) -> None:
    state.release = threading.Event()
    sink = made("stubborn", timeout=0.05)
    await asyncio.gather(*(failure(sink, f"slow{number}") for number in range(MOST_HANGING)))
    assert await failure(sink, "next") == "4 calls of tests.unit.sinks.called:stubborn have not ended: none is begun"
    state.release.set()
    await eventually(lambda: all(call.task.done() for call in sink._calls.values()))
    await sink.deliver([alert_named("next")])
    await sink.close()


async def test_close_ends_a_coroutine_and_its_event_is_called_with_again(state: called.State) -> None:
    sink = made("coroutine")
    delivery = asyncio.create_task(sink.deliver([alert_named("slow")]))
    await eventually(lambda: state.calls)
    delivery.cancel()
    await asyncio.wait([delivery])
    await sink.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "sink sell call"]
    again = asyncio.create_task(sink.deliver([alert_named("slow")]))
    await eventually(lambda: len(state.calls) == 2)
    again.cancel()
    await sink.close()


async def test_calls_for_several_events_may_be_under_way_at_once(state: called.State) -> None:
    state.release = threading.Event()
    sink = made()
    work = [asyncio.create_task(sink.deliver([alert_named(f"slow{number}")])) for number in range(sink.concurrent)]
    await eventually(lambda: len(state.calls) == sink.concurrent)
    state.release.set()
    await asyncio.gather(*work)
    await sink.close()
    assert set(state.most_running.values()) == {1}


async def test_a_delivery_that_is_cancelled_leaves_the_call_and_finds_it_again(state: called.State) -> None:
    state.release = threading.Event()
    sink = made()
    delivery = asyncio.create_task(sink.deliver([alert_named("slow")]))
    await eventually(lambda: state.calls)
    delivery.cancel()
    await asyncio.wait([delivery])
    again = asyncio.create_task(sink.deliver([alert_named("slow")]))
    await asyncio.sleep(0)
    state.release.set()
    await again
    await sink.close()
    assert len(state.calls) == 1


async def test_any_event_can_be_called_with(state: called.State) -> None:
    sink = made("coroutine")
    event = custom(firing_id="x", mood="calm")
    await sink.deliver([event])
    await sink.close()
    assert state.calls == [event]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no.such.module:f", "no.such.module:f cannot be imported: ModuleNotFoundError: No module named 'no'"),
        ("tests.unit.sinks.called:nothing", "cannot be imported: AttributeError"),
        ("tests.unit.sinks.called:NOT_A_FUNCTION", "tests.unit.sinks.called:NOT_A_FUNCTION is no function but int"),
    ],
)
def test_a_function_that_is_not_there_is_told_of_when_the_sink_is_made(text: str, told: str) -> None:
    with pytest.raises(FunctionError, match=told):
        CallSink("sell", CallSinkSettings(call=text))
    with pytest.raises(FunctionError):
        find_function(text)


@pytest.mark.parametrize("error", [AttributeError("no firing_id"), KeyError("firing_id"), ValueError("no order")])
async def test_a_function_that_looks_for_a_price_in_the_test_event_is_told_that_it_has_none(
    state: called.State, error: Exception
) -> None:
    sink = made("thing")
    hint = "; the event `test` has no symbol, price or firing_id: ask first whether event.event is 'test'"
    for event, has_hint in ((custom("test"), not isinstance(error, ValueError)), (custom(), False)):
        state.errors = [error]
        with pytest.raises(SinkError) as caught:
            await sink.deliver([event])
        assert str(caught.value).endswith(hint) is has_hint
    await sink.close()
