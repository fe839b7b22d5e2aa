"""One registered listener: how it is called, what it has cost, and when it is left alone.

A plain function is called inline. A coroutine function gets a bounded queue and a worker of its own, so that order is
kept and the stream never waits for it. A function that fails 100 times in a row is left alone for a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NewType

from pricestreamd.model.events import Event
from pricestreamd.model.histogram import Histogram

ListenerId = NewType("ListenerId", str)
Function = Callable[[Any], Any]
FailureHook = Callable[["Listener", Event, BaseException], None]

QUEUE_SIZE = 1000
BREAKER_FAILURES = 100
BREAKER_SECONDS = 60.0
# Events that never give way to others when a queue overflows.
PROTECTED = frozenset({"price.alert", "price.error"})

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """What the dispatcher knows of one registration. `call` is what a route calls; it changes with the breaker."""

    id: ListenerId
    pattern: str
    function: Function
    call: Function
    priority: int
    order: int
    name: str
    attached: bool
    queue: ListenerQueue | None = None
    active: bool = True
    errors: int = 0
    slow: int = 0
    failures_in_a_row: int = 0
    quiet_until: float = 0.0
    seconds: Histogram

    def matches(self, event_name: str) -> bool:
        """Whether events of this name go to this listener: `*`, a family such as `price.*`, or the name itself."""
        pattern = self.pattern
        return pattern in ("*", event_name) or (pattern.endswith(".*") and event_name.startswith(pattern[:-1]))

    def failed(self) -> None:
        """Count a failure; after too many in a row, replace `call` by one that waits until the minute is over."""
        self.errors += 1
        self.failures_in_a_row += 1
        if self.failures_in_a_row >= BREAKER_FAILURES:
            self.quiet_until = time.monotonic() + BREAKER_SECONDS
            direct = self.call

            def wait_then_call(event: Event) -> None:
                if time.monotonic() >= self.quiet_until:
                    self.call = direct
                    self.failures_in_a_row = 0
                    direct(event)

            self.call = wait_then_call
            _log.error(
                "listener %s failed %d times in a row: left alone for %d s",
                self.name,
                BREAKER_FAILURES,
                BREAKER_SECONDS,
            )


class ListenerQueue:
    """The bounded queue of one coroutine listener. A worker runs while there is something in it."""

    __slots__ = ("_events", "_failed", "_function", "_worker", "dropped", "listener")

    def __init__(self, function: Callable[[Event], Awaitable[object]], failed: FailureHook) -> None:
        self._function = function
        self._failed = failed
        self._events: deque[Event] = deque()
        self._worker: asyncio.Task[None] | None = None
        self.listener: Listener | None = None
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def busy(self) -> bool:
        """Whether an event is being worked on or waits to be."""
        return self._worker is not None or bool(self._events)

    def offer(self, event: Event) -> None:
        """Queue `event`; when full, the oldest event that may give way is dropped and counted."""
        if len(self._events) >= QUEUE_SIZE and not self._make_room(event):
            return
        self._events.append(event)
        if self._worker is None:
            # Without a running loop (a script before it starts one) events wait for the next offer, within the bound.
            with contextlib.suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                self._worker = loop.create_task(self._work(), name="listener queue")

    def _make_room(self, event: Event) -> bool:
        self.dropped += 1
        for index, queued in enumerate(self._events):
            if queued.event not in PROTECTED:
                del self._events[index]
                return True
        if event.event not in PROTECTED:
            return False
        self._events.popleft()
        return True

    async def _work(self) -> None:
        try:
            while self._events:
                await self._handle(self._events.popleft())
        finally:
            self._worker = None

    async def _handle(self, event: Event) -> None:
        listener = self.listener
        try:
            await self._function(event)
        except BaseException as exc:
            task = asyncio.current_task()
            cancelled = isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling()
            if cancelled or isinstance(exc, KeyboardInterrupt):
                raise
            if listener is not None:
                self._failed(listener, event, exc)
        else:
            if listener is not None:
                listener.failures_in_a_row = 0

    async def close(self, timeout: float) -> int:
        """Let the queue run empty for `timeout` seconds, then end it; return how many events were left."""
        worker = self._worker
        if worker is not None:
            _, late = await asyncio.wait([worker], timeout=timeout)
            if late:
                worker.cancel()
                await asyncio.wait([worker])
                return len(self._events) + 1
        return len(self._events)
