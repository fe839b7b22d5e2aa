"""What a disk that refuses does not know yet, and those who ask are told all the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pricestreamd.daemon.answers.outbox import ApiOutbox
from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks.base import message_id
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.outbox.lane import OutboxLane
from pricestreamd.sinks.settings import RetrySettings, SinkSettings
from tests.support.waiting import eventually
from tests.unit.sinks.outbox_samples import MemoryOutbox, delivery
from tests.unit.sinks.samples import MemorySink, failed, refused


@dataclass
class Sinks:
    """The part of `Outlets` that is asked here."""

    workers: dict[str, SinkWorker] = field(default_factory=dict)
    lanes: dict[str, OutboxLane] = field(default_factory=dict)


ANSWERS: dict[str, SinkError | None] = {"taken": None, "late": failed("away"), "bad": refused("not that")}


async def test_what_came_of_attempts_counts_before_it_is_written() -> None:
    sink, outbox = MemorySink(), MemoryOutbox()

    def answer(batch: Sequence[Event]) -> None:
        if error := ANSWERS[message_id(batch[0])]:
            raise error

    sink.before = answer
    worker = SinkWorker(sink, SinkSettings(retry=RetrySettings(delays=(3600.0,), max_age=None, jitter=0)))
    lane = OutboxLane(worker, outbox)
    rows = [delivery(name, number) for number, name in enumerate(ANSWERS, 1)]
    api = ApiOutbox(Sinks({"memory": worker}, {"memory": lane}), outbox)  # type: ignore[arg-type]  # as far as they are asked
    outbox.broken = True
    task = asyncio.create_task(lane.run())
    try:
        lane.put(rows[:2])
        lane.put([delivery("bad", 0)])
        await eventually(lambda: len(api.unwritten(list(ANSWERS))) == 3)
        for kept in (rows, []):
            found = api.owed_now(list(ANSWERS), kept)
            assert set(found) == {"late", "bad"}
            (late,), (bad,) = found["late"], found["bad"]
            assert (late["state"], late["attempts"], late["last_error"]) == ("waiting", 1, "away")
            assert late["next_attempt_at"] is not None
            assert (bad["state"], bad["attempts"], bad["last_error"]) == ("dead", 1, "not that")
            assert (late["id"], bad["id"]) == (2, 3 if kept else 0)
        outbox.broken = False
    finally:
        await lane.drain(5)
        await asyncio.wait([task])
    assert api.unwritten(list(ANSWERS)) == []
