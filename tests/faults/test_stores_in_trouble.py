"""Redis, PostgreSQL and NATS that meet trouble in the middle of their work: each of them, each trouble, a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pricestreamd.sinks.settings import BatchSettings, RetrySettings, SinkSettings
from tests.conformance.stores import STORES, StoreCase
from tests.soak.outages import at_work
from tests.support.stores import end_all
from tests.support.waiting import eventually
from tests.unit.sinks.samples import updates

SETTINGS = SinkSettings(
    batch=BatchSettings(size=100, interval=0.05), retry=RetrySettings(delays=(0.1, 0.2), jitter=0, max_age=60.0)
)


@contextmanager
def killed_and_started(case: StoreCase) -> Iterator[None]:
    case.server.kill()
    case.server.start()
    yield


@contextmanager
def shut_down_for_a_moment(case: StoreCase) -> Iterator[None]:
    case.server.stop()
    try:
        yield
    finally:
        case.server.start()


@contextmanager
def frozen_for_a_moment(case: StoreCase) -> Iterator[None]:
    case.server.freeze()
    try:
        yield
    finally:
        case.server.thaw()


@contextmanager
def slow(case: StoreCase) -> Iterator[None]:
    """It works a third of the time."""
    over = threading.Event()

    def hinder() -> None:
        while not over.wait(0.01):
            case.server.freeze()
            over.wait(0.02)
            case.server.thaw()

    thread = threading.Thread(target=hinder)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def full(case: StoreCase) -> Iterator[None]:
    case.fill()
    try:
        yield
    finally:
        case.make_room()


@pytest.fixture(scope="module")
def ended() -> Iterator[None]:
    yield
    end_all()


@pytest.mark.parametrize("fault", [killed_and_started, shut_down_for_a_moment, frozen_for_a_moment, slow, full])
@pytest.mark.parametrize("kind", STORES, ids=lambda kind: kind.kind)
@pytest.mark.usefixtures("ended")
async def test_s2_whatever_befalls_a_store_in_the_middle_of_it_every_event_gets_there(
    tmp_path: Path, kind: type[StoreCase], fault: Callable[[StoreCase], AbstractContextManager[None]]
) -> None:
    case = kind(tmp_path)
    first = case.sink()
    await first.open()
    await first.close()
    async with at_work(case.sink(deadline=1.0), SETTINGS) as worker:
        for event in updates(500):
            worker.offer(event)
        await eventually(lambda: worker.delivered > 100)
        with fault(case):
            for event in updates(500, first=501):
                worker.offer(event)
            # So long that deliveries meet it, and fail where it lets none through.
            await eventually(lambda: worker.retries or worker.delivered > 900)
        await eventually(lambda: worker.queued == 0, timeout=30)
        assert worker.delivered == worker.received == 1000
    found = [sequence for _, _, sequence in case.read()]
    # What was taken and not answered comes again: at least once, and known by its number.
    assert len(found) == 1000 or not case.exactly_once
    once = list(dict.fromkeys(found))
    assert (once if case.in_order else sorted(once)) == list(range(1, 1001))
