"""The bounded queue of one coroutine listener, and the worker that hands over what is in it.

Order is kept. When the queue is full, the oldest event of the lowest rank gives way: an alert never to anything but
alerts, an error only to errors and alerts. The worker lives while there is something to hand over; while the listener
is left alone (see `listener`), what is queued waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from pricestreamd.dispatch.listener import SLOW_SECONDS, Listener
from pricestreamd.model.events import Event, PriceAlert, PriceError

if TYPE_CHECKING:
    from pricestreamd.dispatch.troubles import Troubles

QUEUE_SIZE = 1000
# A coroutine function that never waits would keep the loop for as long as events come; after this, others have a turn.
SLICE_SECONDS = 0.005
# How long a listener may take over its clean-up when it is cancelled at the end.
CANCEL_SECONDS = 1.0

_RANKS = {PriceError.event: 1, PriceAlert.event: 2}


class ListenerQueue:
    """Holds up to `size` events for one coroutine listener. `offer` is what a route calls."""

    __slots__ = ("_in_hand", "_lanes", "_listener", "_offered", "_size", "_troubles", "_waiting", "_worker")

    def __init__(self, listener: Listener, troubles: Troubles, size: int = QUEUE_SIZE) -> None:
        self._listener = listener
        self._troubles = troubles
        self._size = size
        # One lane for each rank, each in order; the number of an entry puts the lanes in order.
        self._lanes: tuple[deque[tuple[int, Event]], ...] = (deque(), deque(), deque())
        self._offered = 0
        self._waiting = 0
        self._in_hand = False
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return self._waiting

    @property
    def needed(self) -> bool:
        """Whether there is something left to hand over, or more may come."""
        return self._listener.active or self._waiting > 0 or self._running() is not None

    def offer(self, event: Event) -> None:
        """Queue `event`; when full, what ranks lowest gives way and is counted."""
        rank = _RANKS.get(event.event, 0)
        if self._waiting >= self._size:
            self._troubles.overflowed(self._listener)
            if not self._make_room(rank):
                return
        self._offered += 1
        self._waiting += 1
        self._lanes[rank].append((self._offered, event))
        self.work()

    def _make_room(self, rank: int) -> bool:
        for lane in self._lanes[: rank + 1]:
            if lane:
                lane.popleft()
                self._waiting -= 1
                return True
        return False

    # --- handing over

    def _running(self) -> asyncio.Task[None] | None:
        worker = self._worker
        return worker if worker is not None and not worker.done() else None

    def work(self) -> asyncio.Task[None] | None:
        """The worker, started if there is something to do; None where there is nothing, or no loop to do it in.

        Without a running loop (a script before it starts one) events wait for the next offer, within the bound.
        """
        worker = self._running()
        if worker is None and self._waiting and not self._listener.quiet:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return None
            self._in_hand = False
            worker = self._worker = loop.create_task(self._work(), name=f"listener {self._listener.name}")
        return worker

    async def _work(self) -> None:
        listener = self._listener
        slice_started = perf_counter()
        while self._waiting and not listener.quiet:
            await self._hand_over(self._take())
            if perf_counter() - slice_started > SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_started = perf_counter()

    def _take(self) -> Event:
        oldest = min((lane for lane in self._lanes if lane), key=_number_of_first)
        self._waiting -= 1
        return oldest.popleft()[1]

    async def _hand_over(self, event: Event) -> None:
        listener = self._listener
        self._in_hand = True
        started = perf_counter()
        try:
            await listener.function(event)
        except BaseException as exc:
            if self._ends_the_worker(exc):
                raise
            self._troubles.failed(listener, event, exc)
        else:
            listener.failures_in_a_row = 0
        self._in_hand = False
        seconds = perf_counter() - started
        listener.seconds.observe(seconds)
        if seconds > SLOW_SECONDS:
            self._troubles.slow(listener, event, seconds)

    def _ends_the_worker(self, exc: BaseException) -> bool:
        """Whether `exc` came from outside: Ctrl-C, the worker's own cancellation, or a loop that threw it away."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None or task is not self._worker or self._troubles.is_ctrl_c(exc):
            return True
        return isinstance(exc, asyncio.CancelledError) and task.cancelling() > 0

    # --- the end

    async def abandon(self) -> int:
        """Stop the worker and forget what is queued; return how many events the listener did not get to the end of."""
        left = self._waiting
        self._waiting = 0
        for lane in self._lanes:
            lane.clear()
        worker = self._running()
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker], timeout=CANCEL_SECONDS)
            left += self._in_hand
        self._listener.dropped += left
        return left


def _number_of_first(lane: deque[tuple[int, Event]]) -> int:
    return lane[0][0]
