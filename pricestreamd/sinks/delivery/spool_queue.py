"""The queue of a durable sink: what comes in is on the disk soon, and leaves it when it has been delivered.

    put -> buffer --write--> spool --load--> ready --take--> flight --settle--> delivered, acknowledged
             |                                 ^
             +---- nothing is on the disk -----+     only when it has been written, or cannot be

Events are written together when 500 wait or a fifth of a second has passed, in a thread, with one sync: so much a
`kill -9` may cost. While nothing but them waits they need not be read again. Order is kept, always. After a crash what
was not yet acknowledged comes again.

The buffer is bounded by the sink's `queue`, and the same give way there. Where the spool is full the oldest events in
it give way. Where the disk refuses, events are delivered from memory, as many as fit there, until it takes them again.
Every event is in exactly one place, as in the queue in memory; what an earlier run has left counts as received.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks.base import MOST_AT_ONCE
from pricestreamd.sinks.delivery.loaded import NOWHERE, Loaded
from pricestreamd.sinks.delivery.queue import BoundedQueue, Policy, make_queue
from pricestreamd.sinks.lines import events_of, lines_of
from pricestreamd.sinks.waiting import happened
from pricestreamd.state.spool import Spool, SpoolBusy
from pricestreamd.state.thread import OneThread

WRITE_EVENTS = 500
WRITE_SECONDS = 0.2
# Acknowledged together; so much may come again after a crash.
ACKNOWLEDGE_SECONDS = 0.2
# A disk that refuses, and a folder that somebody else still uses, are tried again.
REFUSED_PAUSE_SECONDS = 1.0
BUSY_PAUSE_SECONDS = 0.1
CLOSE_SECONDS = 1.0

Work = Callable[[], Awaitable[None]]

_log = logging.getLogger(__name__)


class SpoolQueue(Loaded):
    """Of the sink `name`, in `spool`; `size` and `policy` are those of its buffer.

    `ready` and `overflowed` as of a queue in memory. `failed` is told what the disk refuses and how much is lost.
    """

    def __init__(
        self,
        name: str,
        spool: Spool,
        policy: Policy,
        size: int,
        *,
        ready: Callable[[], None],
        overflowed: Callable[[], None],
        failed: Callable[[Exception, int], object],
    ) -> None:
        self._name = name
        self._spool = spool
        self._thread = OneThread(f"spool {name}")
        self._wake = asyncio.Event()
        # What is durable is not conflated: every event of it was asked for.
        kept: Policy = "drop_oldest" if policy == "conflate" else policy
        self._buffer: BoundedQueue = make_queue(kept, size, ready=self._wake.set, overflowed=self._overflow)
        super().__init__(self._buffer.dropped, ready=ready, left=self._wake.set)
        self._overflowed = overflowed
        self._failed = failed
        self.put = self._buffer.put
        self.failure: str | None = None
        """Why the disk does not take what waits; None where it does."""
        self._recovered = 0
        # On the disk, and not in memory: how many, and where the first of them is.
        self._unloaded = 0
        self._read_at = 0
        self._done_at = 0.0
        self._since: float | None = None
        self._not_before = 0.0
        self._overflow_known = False
        self._keeper: asyncio.Task[None] | None = None
        self._idle = False
        self._ending = False

    # --- as a queue

    @property
    def received(self) -> int:
        """Events that were put in, and those that an earlier run has left."""
        return self._buffer.received + self._recovered - self.handed_over

    @property
    def behind(self) -> int:
        """Events that will wait to be taken: not yet written, or not yet read again."""
        return self._buffer.queued + self._unloaded

    @property
    def queued(self) -> int:
        """Events that wait anywhere, or are in flight."""
        return self.behind + self.waiting + len(self.flight)

    @property
    def at_risk(self) -> int:
        """Events that would be lost if the process died."""
        return self._buffer.queued + self.in_memory_only

    def hand_over(self) -> list[Event]:
        """What waits in memory only, the oldest first: another queue's from now on, and counted there."""
        return [*super().hand_over(), *self._buffer.hand_over()]

    def take_over(self, events: Sequence[Event]) -> None:
        """Let `events` wait to be written, in front of all that was put in and is not yet."""
        self._buffer.take_over(events)

    def overflow_told(self) -> None:
        """Call `overflowed` again at the next event that gives way."""
        self._overflow_known = False
        self._buffer.overflow_told()

    # --- its life

    @asynccontextmanager
    async def tended(self) -> AsyncIterator[None]:
        """Events come in and go out meanwhile. What the disk is doing at the end goes on, and the next one waits."""
        self._idle = False
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name=f"spool {self._name}")
            self._keeper.add_done_callback(lambda _: self._ready())
        self._wake.set()
        try:
            yield
        finally:
            self._idle = True
            self._wake.set()

    def check(self) -> None:
        """Raises what the keeper has died of, if it has."""
        if self._keeper is not None and self._keeper.done() and not self._keeper.cancelled():
            keeper, self._keeper = self._keeper, None
            keeper.result()

    def end(self) -> None:
        """The end is near: whatever comes in is written at once."""
        self._ending = True
        self._wake.set()

    async def close(self) -> None:
        """Write what is left, note what was delivered, and let go of the folder; a disk that hangs is left alone."""
        if self._keeper is not None:
            with suppress(Exception):
                await asyncio.wait([self._keeper], timeout=CLOSE_SECONDS)
        if self._thread.running and not self._thread.busy:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    if self._spool.is_open:
                        if self._buffer.waiting:
                            await self._write()
                        await self._thread.call(self._spool.acknowledge, self.done_to)
                    await self._thread.call(self._spool.close)
        self._thread.stop()

    # --- between the places

    async def _keep(self) -> None:
        while not self._idle:
            self._wake.clear()
            now = time.monotonic()
            work, wait = self._next(now)
            if work is None:
                await happened(self._wake, wait)
                continue
            try:
                await work()
            except SpoolBusy:
                self._not_before = time.monotonic() + BUSY_PAUSE_SECONDS
            except OSError as exc:
                self._not_before = time.monotonic() + REFUSED_PAUSE_SECONDS
                self._refused(exc)
            self._tell_damage()

    def _next(self, now: float) -> tuple[Work | None, float | None]:
        """What is to be done now, or else how long to wait if nothing happens before."""
        refusing = now < self._not_before
        if not self._spool.is_open:
            work: Work | None = self._open
        elif self._write_due(now):
            work = self._write
        else:
            work = None
        if work is not None and not refusing:
            return work, None
        if self.failure is not None and self._buffer.waiting and not self.waiting and not self._unloaded:
            return self._from_memory, None
        if refusing:
            return None, self._not_before - now
        if self._unloaded and self.waiting < MOST_AT_ONCE // 2:
            return self._load, None
        waits = [] if self._since is None else [self._since + WRITE_SECONDS - now]
        if self.done_to > self._spool.acknowledged:
            left = self._done_at + ACKNOWLEDGE_SECONDS - now
            if left <= 0 or self._ending:
                return self._acknowledge, None
            waits.append(left)
        return None, min(waits, default=None)

    def _write_due(self, now: float) -> bool:
        waiting = self._buffer.waiting
        if not waiting:
            self._since = None
            self._buffer.arm(1)
            return False
        if self._since is None:
            self._since = now
        if waiting >= WRITE_EVENTS or now - self._since >= WRITE_SECONDS or self._ending:
            return True
        self._buffer.arm(WRITE_EVENTS)
        return False

    async def _open(self) -> None:
        await self._thread.call(self._spool.open)
        self._read_at = self.done_to = self._spool.acknowledged
        self._unloaded = self._spool.waiting_from(self._read_at)
        self._recovered += self._unloaded
        if self._unloaded:
            _log.info("sink %s: %d events wait in its spool from before", self._name, self._unloaded)
        self._works()

    async def _write(self) -> None:
        buffer = self._buffer
        events = buffer.take(MOST_AT_ONCE)
        try:
            lines = await lines_of(events)
            first, dropped = await self._thread.call(self._spool.append, lines)
        except BaseException:
            buffer.give_back()
            raise
        buffer.settle()
        self._since = None
        for gone in dropped:
            lost = max(0, gone.end - max(gone.first, self._read_at))
            self._unloaded -= lost
            self._read_at = max(self._read_at, gone.end)
            if lost:
                self.dropped["spool_full"] += lost
                self._overflow()
        if not self._unloaded and self.waiting < MOST_AT_ONCE:
            self._read_at = first + len(events)
            self.load(enumerate(events, first))
        else:
            if not self._unloaded:
                self._read_at = first
            self._unloaded += len(events)
        self._works()

    async def _load(self) -> None:
        blocks = await self._thread.call(self._spool.read, self._read_at, MOST_AT_ONCE)
        loaded = unreadable = 0
        for block in blocks:
            events = await events_of(block.lines)
            self._read_at = block.first + len(events)
            known = [(place, event) for place, event in enumerate(events, block.first) if event is not None]
            loaded += len(events)
            unreadable += len(events) - len(known)
            self._unloaded -= len(events)
            self.load(known)
        # What is neither here nor there is lost with what was damaged.
        missing = self._unloaded - self._spool.waiting_from(self._read_at)
        self._unloaded -= missing
        if lost := missing + unreadable:
            self.dropped["corrupt"] += lost
            self._failed(SinkError("its spool is damaged", sink=self._name), lost)

    async def _acknowledge(self) -> None:
        self._done_at = time.monotonic()
        await self._thread.call(self._spool.acknowledge, self.done_to)

    async def _from_memory(self) -> None:
        """The disk refuses: what waits for it is delivered all the same."""
        events = self._buffer.take(MOST_AT_ONCE)
        self._buffer.settle()
        self.load((NOWHERE, event) for event in events)

    # --- telling

    def _overflow(self) -> None:
        if not self._overflow_known:
            self._overflow_known = True
            self._overflowed()

    def _works(self) -> None:
        if self.failure is not None:
            _log.info("sink %s: its spool is written again", self._name)
        self.failure = None

    def _refused(self, exc: OSError) -> None:
        text = f"its spool {self._spool.folder} cannot be used: {exc.strerror or exc}"
        if self.failure is None:
            more = "; events are delivered from memory, and a crash now could lose them"
            self._failed(SinkError(text + more, sink=self._name), 0)
        self.failure = text

    def _tell_damage(self) -> None:
        while self._spool.damage:
            self._failed(SinkError(self._spool.damage.pop(0), sink=self._name), 0)
