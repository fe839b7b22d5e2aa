"""A frozen sink in the midst of others: how long an event takes from its receipt to each of them, with and without."""

import asyncio
import contextlib
import math
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import Event, Run
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.settings import BatchSettings, RetrySettings, SinkSettings
from pricestreamd.state.spool import Spool
from tests.conformance.receivers import NotifyCase, WebhookCase
from tests.conformance.stores import STORES
from tests.conformance.test_sinks import CallCase, FallibleCase, FileCase, SqliteCase
from tests.support.stores import end_all
from tests.unit.sinks.samples import update

RATE = 700
SECONDS = 0.7
ROUNDS = 5
# Of the p99 with one frozen to that without it.
MOST = 1.5


class Timed:
    """A sink that notes how long each event took from its receipt until it was delivered, in seconds."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self.name = name
        self.carries = sink.carries
        self.most_at_once = sink.most_at_once
        self.concurrent = sink.concurrent
        self.open = sink.open
        self.close = sink.close
        self.took: list[float] = []

    async def deliver(self, batch: Sequence[Event]) -> None:
        await self._sink.deliver(batch)
        now = asyncio.get_running_loop().time()
        self.took += [now - event.received_at for event in batch]  # type: ignore[attr-defined]  # price.update only


def p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


@contextlib.asynccontextmanager
async def at_work(workers: list[SinkWorker], dispatcher: EventDispatcher) -> AsyncIterator[None]:
    for worker in workers:
        for pattern in worker.patterns:
            dispatcher.attach(pattern, worker.offer, name=worker.name)
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    yield
    for worker in workers:
        await worker.drain(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def stream(dispatcher: EventDispatcher) -> None:
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    while (passed := loop.time() - began) < SECONDS:
        while sent < passed * RATE:
            sent += 1
            dispatcher.dispatch(update(sent, f"SYM{sent % 7}", received_at=loop.time()))
        await asyncio.sleep(0.001)


@contextlib.contextmanager
def frozen(kind: type[FallibleCase], folder: Path) -> Iterator[Sink]:
    """A sink whose destination takes nothing, and never says so."""
    case = kind(folder)
    try:
        with case.hanging() as release:
            yield case.sink()
            release()
    finally:
        case.end()


async def measured(folder: Path, more: Sink | None) -> float:
    """The p99 of two sinks, in seconds, with `more` at work beside them; where that writes rows, it is durable."""
    folder.mkdir()
    settings = SinkSettings(batch=BatchSettings(size=50, interval=0.01), retry=RetrySettings(delays=(0.01,)))
    files, rows = FileCase(folder), SqliteCase(folder)
    others = [Timed(files.sink(), "others file"), Timed(rows.sink(), "others rows")]
    workers = [SinkWorker(sink, settings) for sink in others]
    if more is not None:
        spool = Spool(folder / "spool", 2**24, reserve=0) if more.name == SqliteCase.kind else None
        workers.append(SinkWorker(more, settings, spool=spool))
    dispatcher = EventDispatcher(Run("run"))
    async with at_work(workers, dispatcher):
        await stream(dispatcher)
        others_took = [list(sink.took) for sink in others]
    return max(map(p99, others_took))


@pytest.fixture(scope="module")
def servers() -> Iterator[None]:
    yield
    end_all()


@pytest.mark.alone
@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize(
    "kinds", [(FileCase, SqliteCase, WebhookCase, NotifyCase, CallCase), STORES], ids=["ours", "servers"]
)
async def test_s1_with_each_sink_frozen_in_turn_the_p99_to_the_others_is_unchanged(
    kinds: Sequence[type[FallibleCase]], tmp_path: Path
) -> None:
    ratios: dict[str, list[float]] = {kind.kind: [] for kind in kinds}
    for turn in range(ROUNDS):
        # The median is below the bound where more than half of them are.
        open_yet = [kind for kind in kinds if 2 * sum(one < MOST for one in ratios[kind.kind]) <= ROUNDS]
        if not open_yet:
            break
        without = await measured(tmp_path / f"{turn}-without", None)
        for kind in open_yet:
            folder = tmp_path / f"{turn}-{kind.kind}-frozen"
            folder.mkdir()
            with frozen(kind, folder) as sink:
                ratios[kind.kind].append(await measured(tmp_path / f"{turn}-{kind.kind}", sink) / without)
    for name, some in ratios.items():
        print(f"p99 to the others, {name} frozen against nothing beside them: {statistics.median(some):.2f} of {some}")
    assert all(statistics.median(some) < MOST for some in ratios.values()), ratios
