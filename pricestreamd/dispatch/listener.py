"""One registered listener: how it is called, what it has cost, and when it is left alone.

A plain function is called inline. A coroutine function gets a bounded queue and a worker of its own (`queue`), so that
order is kept and the stream never waits for it. A function that fails 100 times in a row is left alone for a minute.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NewType

from pricestreamd.model.events import Event
from pricestreamd.model.histogram import Histogram

if TYPE_CHECKING:
    from pricestreamd.dispatch.listener_queue import ListenerQueue

ListenerId = NewType("ListenerId", str)
Function = Callable[[Any], Any]

BREAKER_FAILURES = 100
BREAKER_SECONDS = 60.0
# A plain function that takes longer holds up the stream noticeably; a coroutine function, its own queue.
SLOW_SECONDS = 0.010

_log = logging.getLogger(__name__)


def waits(function: Function) -> bool:
    """Whether a call of `function` must be awaited, also behind a partial or in an object with `async __call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - its kind is asked for, not whether it is there


def name_of(function: Function) -> str:
    """Where a listener lives, for logs and metrics."""
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{module}.{name}"


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """What the dispatcher knows of one registration. `call` is what a route calls; it changes with the breaker.

    `dropped` counts events that it should have heard and did not: its queue was full, or it was left alone.
    `quiet`: it is left alone. `ours`: it is a part of the daemon, no function of the user's. `monotonic` gives seconds.
    """

    id: ListenerId
    pattern: str
    function: Function
    call: Function
    priority: int
    order: int
    name: str
    attached: bool
    ours: bool
    excluding: frozenset[str]
    monotonic: Callable[[], float]
    queue: ListenerQueue | None = None
    active: bool = True
    quiet: bool = False
    errors: int = 0
    slow: int = 0
    dropped: int = 0
    failures_in_a_row: int = 0
    seconds: Histogram = field(default_factory=Histogram)

    def matches(self, event_name: str) -> bool:
        """Whether events of this name go to this listener: `*`, a family such as `price.*`, or the name itself."""
        pattern = self.pattern
        if event_name in self.excluding:
            return False
        return pattern in ("*", event_name) or (pattern.endswith(".*") and event_name.startswith(pattern[:-1]))

    def failed(self) -> None:
        """Count a failure; after too many in a row, leave the function alone for a while."""
        self.errors += 1
        self.failures_in_a_row += 1
        if self.failures_in_a_row >= BREAKER_FAILURES and not self.quiet:
            self._leave_alone()

    def _leave_alone(self) -> None:
        """Put something that only counts in the place of `call`; when its time is over, count failures anew."""
        self.quiet = True
        over = self.monotonic() + BREAKER_SECONDS
        direct = self.call

        def wait_then_call(event: Event) -> None:
            if self.monotonic() < over:
                self.dropped += 1
                return
            self.call = direct
            self.quiet = False
            self.failures_in_a_row = 0
            direct(event)

        self.call = wait_then_call
        _log.error(
            "listener %s failed %d times in a row: left alone for %d s", self.name, BREAKER_FAILURES, BREAKER_SECONDS
        )
