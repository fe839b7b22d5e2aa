"""What of the parts runs, begun and ended by name: feeds with their watchlists, sinks with their lanes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pricestreamd.daemon.outlets import Outlet, SinkSums
from pricestreamd.daemon.watchlists import WatchlistReader
from pricestreamd.daemon.works import Work, Works
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.sinks.delivery.worker import SinkWorker

# A feed says goodbye within two seconds by itself.
GOODBYE_SECONDS = 5.0
DURABLE_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Running:
    """Begins and ends `works`; `live` makes the life of a feed."""

    def __init__(self, works: Works, live: Callable[[WebSocketClient], Work], *, lost: Callable[[str], object]) -> None:
        self._works = works
        self._live = live
        self._lost = lost
        self._leaving: set[SinkWorker] = set()

    @property
    def undelivered(self) -> int:
        """Events that wait in sinks which were replaced, and are nowhere else."""
        return sum(worker.at_risk for worker in self._leaving)

    def begin_feed(self, client: WebSocketClient, reader: WatchlistReader) -> None:
        """A feed and its watchlist."""
        self._works.begin(f"feed {client.name}", self._live(client))
        self._works.begin(f"watchlist {client.name}", reader.run)

    def replace_feed(self, old: WebSocketClient, new: WebSocketClient) -> None:
        """`new` begins when `old` has said goodbye: of one key a provider may allow one connection only."""

        async def say_goodbye() -> None:
            await old.disconnect()
            new.follow(old)

        self._works.end(f"feed {old.name}", say_goodbye, GOODBYE_SECONDS)
        self._works.begin(f"feed {new.name}", self._live(new))

    def end_feed(self, client: WebSocketClient) -> None:
        """A feed and its watchlist."""
        self._works.end(f"feed {client.name}", client.disconnect, GOODBYE_SECONDS)
        self._works.end(f"watchlist {client.name}", _at_once, GOODBYE_SECONDS)

    def begin_sink(self, name: str, outlet: Outlet) -> None:
        """A sink and its lane."""
        self._works.begin(f"sink {name}", outlet.worker.run)
        if outlet.lane is not None:
            self._works.begin(f"outbox {name}", outlet.lane.run)

    def end_sink(self, name: str, outlet: Outlet, seconds: float, successor: Outlet | None = None) -> None:
        """What waits is delivered, for so many seconds; what is left then of alerts stays in the outbox.

        What else is left is for `successor`, the sink of the same name that begins after this one.
        """
        ways: list[object] = [outlet.worker] if outlet.lane is None else [outlet.worker, outlet.lane]

        def ended(way: object) -> None:
            ways.remove(way)
            if not ways:
                # The one in its place counts from 0.
                sums = SinkSums(outlet.worker, outlet.lane)
                _log.info("sink %s, as it was before the reload: %s", name, sums, extra={"action": "sink_ended"})

        async def drain() -> None:
            await self._drain(outlet.worker, seconds, None if successor is None else successor.worker)
            ended(outlet.worker)

        async def drain_lane() -> None:
            if outlet.lane is None:
                return
            if left := await outlet.lane.drain(seconds):
                _log.info("sink %s: %d alerts stay in the outbox", name, left)
            ended(outlet.lane)

        if outlet.worker.settings.durable:
            # What waits is safe on the disk, and the new one cannot read it before.
            seconds = min(seconds, DURABLE_SECONDS)
        self._leaving.add(outlet.worker)
        # The drains keep to the time that they are given, and a bit.
        self._works.end(f"sink {name}", drain, seconds + GOODBYE_SECONDS)
        if outlet.lane is not None:
            self._works.end(f"outbox {name}", drain_lane, seconds + GOODBYE_SECONDS)

    async def _drain(self, old: SinkWorker, seconds: float, new: SinkWorker | None) -> None:
        try:
            lost = await old.drain(seconds, replaced=new is not None)
        finally:
            # Also where the end of the process breaks this off: the other is drained after that.
            if new is not None:
                _hand_over(old, new)
        if new is not None:
            # What a disk that hangs has in its hands.
            lost += old.at_risk
        self._leaving.discard(old)
        if lost:
            before = "taken away" if new is None else "replaced"
            what = "1 event was" if lost == 1 else f"{lost} events were"
            self._lost(f"sink {old.name}: {what} not delivered before it was {before}")


def _hand_over(old: SinkWorker, new: SinkWorker) -> None:
    """What `old` could not deliver waits in `new`, in front of what came there meanwhile."""
    if events := old.hand_over():
        taken = new.take_over(events)
        others = f"; {len(events) - taken} are none that it wants" if taken < len(events) else ""
        text = "sink %s: of what waited before the reload, %d events go to the sink as it is now%s"
        _log.info(text, old.name, taken, others, extra={"action": "sink_handed_over"})


async def _at_once() -> None:
    await asyncio.sleep(0)
