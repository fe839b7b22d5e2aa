"""The end of a daemon, in two phases that people can follow in the log and in `systemctl status`.

close     no price comes in any more: unsubscribe, say goodbye, close
deliver   no questions are answered any more; what waits goes to the sinks, all of them side by side

Both together have `shutdown_timeout`, counted from the moment in which somebody asked for the end. Whoever asks a
second time ends it now. The service manager is asked for more time only while events are being delivered: a sink that
is dead is not worth waiting for.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable
from contextlib import suppress

from pricestreamd.daemon.alive.sdnotify import ServiceManager
from pricestreamd.daemon.parts import Parts
from pricestreamd.http.app import HttpServer
from pricestreamd.sinks.outbox.lane import OutboxLane

LOOK_SECONDS = 1.0
# The log need not hear of every look.
LOG_SECONDS = 5.0
# Asked for at each look that has seen progress, so two of them may go amiss.
MORE_SECONDS = 3.0
# However little time is left, one attempt is made.
LEAST_SECONDS = 0.1
# What is open on the HTTP side may take so long.
HTTP_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Drain:
    """Ends what `parts` and `http` do. `hurry` is set when somebody has asked a second time."""

    def __init__(self, parts: Parts, http: HttpServer, manager: ServiceManager) -> None:
        self.hurry = asyncio.Event()
        self._parts = parts
        self._http = http
        self._manager = manager
        self._deadline: float | None = None

    def begin(self) -> None:
        """The time runs from now on; asked again, it runs already."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._parts.settings.shutdown_timeout

    @property
    def _left(self) -> float:
        """Seconds, never less than 0."""
        return max(0.0, self._deadline - time.monotonic()) if self._deadline is not None else math.inf

    async def close(self) -> None:
        """The first phase. Of the time that is left it takes half at most."""
        self._say("closing connections", log=True)
        await self.within_half(self._parts.service.stop())

    async def within_half(self, work: Awaitable[int | None]) -> None:
        """Wait for `work`, for half of the time that is left at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._left / 2):
                await self._hurried(work)

    async def deliver(self) -> int:
        """The second phase; after a failure it is the first. Returns how many events are lost."""
        parts = self._parts
        self.begin()
        await self._hurried(self._http.stop(min(HTTP_SECONDS, self._left)))
        await self.within_half(parts.journal.close())
        parts.outlets.tell_losses()
        reporting = asyncio.create_task(self._report(), name="drain report")
        # Side by side: a listener that takes its time takes none from a sink.
        left = max(LEAST_SECONDS, self._left)
        waiting = {"coroutine listeners": self._hurried(parts.dispatcher.aclose(left), otherwise=1)}
        for name, lane in parts.outlets.lanes.items():
            waiting[f"alerts to sink {name}"] = self._drain_lane(name, lane, left)
        for name, worker in parts.outlets.workers.items():
            waiting[f"sink {name}"] = self._hurried(worker.drain(left), otherwise=worker.at_risk)
        try:
            lost = await asyncio.gather(*waiting.values())
        finally:
            reporting.cancel()
            await asyncio.wait({reporting})
        for name, count in zip(waiting, lost, strict=True):
            if count:
                _log.error("%s: %d events were not delivered before the deadline", name, count)
        for name, sums in parts.outlets.sums().items():
            _log.info("sink %s: %s", name, sums, extra={"action": "sink_ended"})
        return sum(lost)

    async def _drain_lane(self, name: str, lane: OutboxLane, timeout: float) -> int:
        """How many alerts are lost: what is not delivered in time is safe in the outbox, if that can be written."""
        left = await self._hurried(lane.drain(timeout), otherwise=lane.queued)
        if not left or self._parts.journal.failure is not None:
            return left
        _log.info("sink %s: %d alerts stay in the outbox for the next start", name, left)
        return 0

    async def _hurried(self, work: Awaitable[int | None], otherwise: int = 0) -> int:
        """Wait for `work`, but no longer than until somebody asks a second time; then the answer is `otherwise`."""
        task = asyncio.ensure_future(work)
        hurry = asyncio.ensure_future(self.hurry.wait())
        try:
            await asyncio.wait({task, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result() or 0
            return otherwise
        finally:
            for waiting in (task, hurry):
                waiting.cancel()
            await asyncio.wait({task, hurry})

    async def _report(self) -> None:
        """Say how far it is, again and again, until cancelled."""
        before, logged_at = self._delivered(), -math.inf
        while queued := sum(sink.queued for sink in self._parts.outlets.sums().values()):
            now = time.monotonic()
            log = now - logged_at >= LOG_SECONDS
            logged_at = now if log else logged_at
            events = "1 event" if queued == 1 else f"{queued} events"
            self._say(f"delivering {events}, {self._left:.0f} s left", log=log)
            await asyncio.sleep(LOOK_SECONDS)
            delivered = self._delivered()
            if delivered > before:
                self._manager.need(MORE_SECONDS)
            before = delivered

    def _delivered(self) -> int:
        return sum(sink.delivered for sink in self._parts.outlets.sums().values())

    def _say(self, what: str, *, log: bool) -> None:
        self._manager.stopping(f"stopping: {what}")
        if log:
            _log.info("stopping: %s", what, extra={"action": "stopping"})
