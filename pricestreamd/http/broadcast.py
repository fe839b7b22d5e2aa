"""The live stream's hub: takes events off the path of a tick, and hands them to readers in batches.

    dispatcher --offer--> pending --flush, once per turn of the loop at most--> groups of equal filters --> readers

*Offering* appends the event to a list and, for the first of a batch, asks the loop for one call. It costs the same
whether one reader is connected or five hundred. While nobody reads, the hub is not attached to the dispatcher at all,
and while somebody reads alerts only, ticks do not come here.

*Flushing* filters once for each distinct filter. A reader is either

    idle    waiting for something to write: it gets the whole batch, every event in order; or
    busy    its socket takes no more: it keeps the newest `price.update` of each symbol, and up to 256 other events.
            One more, and it is disconnected: nothing is skipped silently.

A busy reader that has written what it had gets what was kept for it, in the order of the events' numbers. *Encoding*
happens when the first reader writes, once for all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from pricestreamd.dispatch.listener import ListenerId
from pricestreamd.http.frame import HEARTBEAT, Batch, Frame
from pricestreamd.http.selection import Selection, narrowest
from pricestreamd.http.view import EventSource
from pricestreamd.model.events import Event
from pricestreamd.model.sampling import OncePer

_log = logging.getLogger(__name__)

# Other events than price.update that are kept for a reader whose socket takes no more.
QUEUE_SIZE = 256
# A batch of this many events is handed out in the next turn of the loop, without the pause between two batches.
LONG_BATCH = 1024
# The bound of a batch: so many come only from somebody who never lets the loop turn. Then it is handed out in the path.
MAX_PENDING = 16 * 1024
# Pause between two flushes, and what each reader adds to it: 500 woken readers must not eat the loop.
PAUSE_SECONDS = 0.010
PAUSE_SECONDS_PER_READER = 0.0001
# Proxies cut connections that are silent for half a minute or more.
HEARTBEAT_SECONDS = 15.0
# A reader that takes nothing at all for so long is gone, or as good as gone.
STALL_SECONDS = 60.0


class Reader:
    """One connected client. `next` gives bytes to write; `over` says why it gets no more.

    `since` is when it last took something (the loop's time).
    """

    __slots__ = ("_batch", "_cut", "_loop", "_others", "_updates", "_waiter", "_writing", "over", "selection", "since")

    def __init__(self, selection: Selection, cut: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
        self.selection = selection
        self.over: str | None = None
        self.since = loop.time()
        self._cut = cut
        self._loop = loop
        self._batch: Batch | None = None
        self._updates: dict[str, Frame] = {}
        self._others: list[Frame] = []
        self._waiter: asyncio.Future[None] | None = None
        self._writing = False

    @property
    def idle(self) -> bool:
        """Whether it waits for something to write."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def kept(self) -> int:
        """Events that wait until the socket takes more."""
        return len(self._updates) + len(self._others)

    async def next(self) -> bytes:
        """What to write next; empty when the stream is over."""
        self._writing = False
        if not (self._batch or self._updates or self._others or self.over):
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._writing = True
        self.since = self._loop.time()
        if self._batch:
            batch, self._batch = self._batch, None
            return batch.encoded()
        kept = sorted([*self._updates.values(), *self._others], key=_number)
        self._updates = {}
        self._others = []
        return Batch(kept).encoded()

    def give(self, batch: Batch) -> None:
        """Wake an idle reader with a batch to write."""
        self._batch = batch
        self._wake()

    def keep(self, updates: dict[str, Frame], others: list[Frame]) -> bool:
        """Keep frames for a busy reader; False when they are more than it may leave lying."""
        if len(self._others) + len(others) > QUEUE_SIZE:
            return False
        self._updates.update(updates)
        self._others.extend(others)
        return True

    def end(self, reason: str) -> None:
        """End the stream: after what was given, or at once where the socket takes no more."""
        if self.over:
            return
        self.over = reason
        if self._writing:
            self._cut()
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class EventHub:
    """All readers of the live stream. `overflowed` counts those that were disconnected for being too slow."""

    def __init__(self, source: EventSource, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self.overflowed = 0
        self.stalled = 0
        self._source = source
        self._heartbeat = heartbeat
        self._groups: dict[Selection, set[Reader]] = {}
        self._attached: dict[str, ListenerId] = {}
        self._pending: list[Event] = []
        self._flushing: asyncio.Handle | None = None
        self._flushed_at = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._closed = False
        self._said = OncePer(60.0)

    @property
    def readers(self) -> int:
        """How many clients are connected."""
        return sum(map(len, self._groups.values()))

    def join(self, selection: Selection, cut: Callable[[], object]) -> Reader:
        """Add a reader. `cut` breaks its connection without waiting for it."""
        loop = asyncio.get_running_loop()
        reader = Reader(selection, cut, loop)
        if self._closed:
            reader.over = "shutdown"
            return reader
        self._flush_now()
        self._groups.setdefault(selection, set()).add(reader)
        self._attach()
        if self._beat is None:
            self._beat = loop.call_later(self._heartbeat, self._send_heartbeats)
        return reader

    def leave(self, reader: Reader) -> None:
        """Remove a reader; with the last of its kind goes what was attached for it."""
        group = self._groups.get(reader.selection)
        if group is None or reader not in group:
            return
        group.discard(reader)
        if not group:
            del self._groups[reader.selection]
            self._attach()
        if not self._groups and self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def close(self) -> None:
        """End every stream at once, and take no more readers."""
        self._flush_now()
        self._closed = True
        for reader in self._all():
            reader.end("shutdown")

    def _all(self) -> list[Reader]:
        return [reader for group in self._groups.values() for reader in group]

    # --- the path of a tick

    def offer(self, event: Event) -> None:
        """Take an event from the dispatcher. Never waits, encodes or looks at readers."""
        pending = self._pending
        pending.append(event)
        count = len(pending)
        if count == 1:
            self._schedule()
        elif not count % LONG_BATCH:
            self._hurry(count)

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._flushed_at + PAUSE_SECONDS + PAUSE_SECONDS_PER_READER * self.readers
        if due <= loop.time():
            self._flushing = loop.call_soon(self._flush)
        else:
            self._flushing = loop.call_at(due, self._flush)

    def _hurry(self, count: int) -> None:
        if count >= MAX_PENDING:
            self._flush_now()
        elif count == LONG_BATCH and self._flushing is not None:
            self._flushing.cancel()
            self._flushing = asyncio.get_running_loop().call_soon(self._flush)

    # --- handing out

    def _attach(self) -> None:
        """Listen to what the readers of this moment want, and to nothing else."""
        wanted = narrowest(pattern for selection in self._groups for pattern in selection.patterns())
        for pattern in wanted - self._attached.keys():
            self._attached[pattern] = self._source.attach(
                pattern, self.offer, name="http.events", priority=-100, ours=True
            )
        for pattern in self._attached.keys() - wanted:
            self._source.off(self._attached.pop(pattern))

    def _flush_now(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flush()

    def _flush(self) -> None:
        events, self._pending = self._pending, []
        self._flushing = None
        self._flushed_at = asyncio.get_running_loop().time()
        frames = [Frame(event) for event in events]
        for selection, group in self._groups.items():
            wanted = frames if selection.all else [frame for frame in frames if selection.wants(frame.event)]
            if wanted:
                self._hand_out(wanted, group)

    def _hand_out(self, frames: list[Frame], group: Iterable[Reader]) -> None:
        busy = []
        batch = Batch(frames)
        for reader in group:
            if reader.idle:
                reader.give(batch)
            else:
                busy.append(reader)
        if not busy:
            return
        updates = {frame.symbol: frame for frame in frames if frame.symbol is not None}
        others = [frame for frame in frames if frame.symbol is None]
        for reader in busy:
            if reader.over is None and not reader.keep(updates, others):
                self.overflowed += 1
                self._say("overflow", "a reader of the live stream was too slow and has been disconnected")
                reader.end("overflow")

    def _send_heartbeats(self) -> None:
        loop = asyncio.get_running_loop()
        self._beat = loop.call_later(self._heartbeat, self._send_heartbeats)
        for reader in self._all():
            if reader.idle:
                reader.give(HEARTBEAT)
            elif loop.time() - reader.since > STALL_SECONDS:
                self.stalled += 1
                self._say("stalled", "a reader of the live stream took nothing for a minute and has been disconnected")
                reader.end("stalled")

    def _say(self, key: str, text: str) -> None:
        held = self._said.admit(key, asyncio.get_running_loop().time())
        if held is not None:
            _log.warning("%s", text, extra={"suppressed": held})


def _number(frame: Frame) -> int:
    return frame.event.number
