"""What people are told of a sink that fails: one event, then sums, and nothing about the loss of such an event."""

from __future__ import annotations

import asyncio

import pytest

from pricestreamd.daemon.sink_trouble import SinkTrouble
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import PriceError, Run
from pricestreamd.sinks.base import DestinationGone, SpoolFailed
from pricestreamd.sinks.delivery.breaker import no_longer_taken
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.log import sort_of
from pricestreamd.sinks.settings import BatchSettings, RetrySettings, SinkSettings
from tests.support.waiting import eventually
from tests.unit.sinks.samples import MemorySink, failed, refused


@pytest.fixture
def dispatcher() -> EventDispatcher:
    return EventDispatcher(Run("run"))


@pytest.fixture
def told(dispatcher: EventDispatcher) -> list[PriceError]:
    told: list[PriceError] = []
    dispatcher.on("price.error", told.append)
    return told


async def test_that_a_destination_is_away_or_a_spool_fails_is_told_beside_what_repeats(
    dispatcher: EventDispatcher, told: list[PriceError]
) -> None:
    trouble = SinkTrouble(dispatcher)
    for _ in range(3):
        trouble("hook", SinkError("answered 500"), 0)
    trouble("hook", no_longer_taken(SinkError("answered 500"), "hook"), 0)
    trouble("hook", SpoolFailed("its spool cannot be used"), 0)
    trouble("hook", SinkError("answered 500"), 2)
    assert [(error.error, error.severity) for error in told] == [
        ("sink_failed", "warning"), ("sink_away", "warning"), ("sink_spool", "warning"), ("sink_failed", "critical"),
    ]  # fmt: skip
    # To whoever writes a repeated one once a minute, these are three.
    assert len({sort_of(error) for error in told[:3]}) == 3


async def test_the_first_loss_is_told_at_once_and_those_after_it_in_sums(
    dispatcher: EventDispatcher, told: list[PriceError]
) -> None:
    trouble = SinkTrouble(dispatcher, summary_seconds=0.2)
    trouble("hook", SinkError("answered 500"), 1)
    for _ in range(5):
        trouble("hook", SinkError("answered 501"), 2)
    assert [error.message for error in told] == ["sink hook: answered 500; 1 event lost"]
    trouble("hook", DestinationGone("answered 410"), 3)
    gone = "sink hook: answered 410; 3 events lost: pricestreamd outbox retry --sink hook starts it again"
    assert [error.message for error in told[1:]] == [gone]
    await eventually(lambda: len(told) == 3)
    trouble("hook", SinkError("answered 502"), 1)
    trouble.tell_losses()
    trouble.tell_losses()
    assert [error.message for error in told[2:]] == [
        "sink hook: answered 501; 10 events lost",
        "sink hook: answered 502; 1 event lost",
    ]
    assert {error.severity for error in told} == {"critical"}


async def test_of_a_sink_that_leaves_only_the_losses_of_its_alerts_are_told_here(
    dispatcher: EventDispatcher, told: list[PriceError]
) -> None:
    trouble = SinkTrouble(dispatcher)
    trouble.of_worker("hook", SinkError("answered 500"), 1)
    trouble.of_worker("hook", SinkError("answered 500"), 1)
    trouble.leave()
    assert [error.message for error in told] == ["sink hook: answered 500; 1 event lost"] * 2
    trouble.of_worker("hook", SinkError("answered 500"), 12)
    trouble("hook", SinkError("price.alert x is given up"), 1)
    trouble.tell_losses()
    assert [error.message for error in told[2:]] == ["sink hook: price.alert x is given up; 1 event lost"]


@pytest.mark.parametrize("verdict", [failed(), refused()])
async def test_that_an_error_of_sinks_is_lost_is_no_error_of_sinks(
    dispatcher: EventDispatcher, told: list[PriceError], verdict: SinkError
) -> None:
    sink = MemorySink()

    def fail(_batch: object) -> object:
        raise verdict

    sink.before = fail
    settings = SinkSettings(
        events=("price.error",), batch=BatchSettings(size=1, interval=0.0), retry=RetrySettings(delays=())
    )
    trouble = SinkTrouble(dispatcher)
    worker = SinkWorker(sink, settings, on_error=trouble.of_worker)
    dispatcher.on("price.error", worker.offer)
    running = asyncio.create_task(worker.run())
    dispatcher.error("connection_limit", "something that people want to know", severity="critical")
    # Its own loss is told, which comes back here, is lost, and is the end of it.
    await eventually(lambda: worker.received == sum(worker.dropped.values()) == 2)
    await worker.drain(1)
    await running
    trouble.tell_losses()
    assert [error.error for error in told] == ["connection_limit", "sink_failed"]
