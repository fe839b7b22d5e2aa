"""The way of one event name to its listeners. This is the path of a tick: nothing here waits, locks or logs."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pricestreamd.dispatch.listener import SLOW_SECONDS, Listener
from pricestreamd.model.events import Event

if TYPE_CHECKING:
    from pricestreamd.dispatch.troubles import Troubles

# One event in so many is timed for the histogram of each plain listener; every call is checked for slowness.
SAMPLE = 64


class Route:
    """The listeners of one event name, in order, and how often the event was detected.

    Who detects an event that nobody hears adds one to `count` and builds no record; otherwise `send` counts.
    """

    __slots__ = ("_troubles", "count", "listeners", "name")

    def __init__(self, name: str, troubles: Troubles) -> None:
        self.name = name
        self.count = 0
        self.listeners: tuple[Listener, ...] = ()
        self._troubles = troubles

    def send(self, event: Event) -> None:
        """Hand `event` to each listener of this moment; whoever joins or leaves meanwhile changes the next event."""
        self.count = count = self.count + 1
        started = perf_counter()
        for listener in self.listeners:
            try:
                listener.call(event)
                if listener.failures_in_a_row and listener.queue is None:
                    listener.failures_in_a_row = 0
            except BaseException as exc:
                # Isolation of listeners is the promise.
                if self._troubles.is_ctrl_c(exc):
                    raise
                self._troubles.failed(listener, event, exc)
            ended = perf_counter()
            if ended - started > SLOW_SECONDS:
                self._troubles.slow(listener, event, ended - started)
            if not count % SAMPLE and listener.queue is None:
                listener.seconds.observe(ended - started)
            started = ended
