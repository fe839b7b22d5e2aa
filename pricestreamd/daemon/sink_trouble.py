"""Tells people of what a sink could not do: as an event, and not one for each event that it could not take.

A loss is told at once. Those of the next `SUMMARY_SECONDS` are told together, then the next. A failure that may yet be
made good is told once a minute; that the destination is away, and that the spool cannot be used, each have a word of
their own: whoever tells of what repeats only now and then takes them for something new.
"""

from __future__ import annotations

import asyncio
import shlex
import time

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.secret import redact
from pricestreamd.sinks.base import DestinationGone, SinkWord, SpoolFailed, said
from pricestreamd.sinks.delivery.breaker import BreakerOpened

SUMMARY_SECONDS = 60.0


class SinkTrouble:
    """Of one sink; all its calls are made in the loop. `summary_seconds`: after a loss, the next is told so late."""

    def __init__(self, dispatcher: EventDispatcher, *, summary_seconds: float = SUMMARY_SECONDS) -> None:
        self._dispatcher = dispatcher
        self._told = OncePer(60.0)
        self._summary_seconds = summary_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._lost = 0
        self._last: tuple[str, Exception] | None = None
        self._leaving = False

    def __call__(self, sink: str, error: Exception, lost: int) -> None:
        """See `ErrorHook`."""
        held = self._told.admit(type(error).__name__, time.monotonic())
        gone = isinstance(error, DestinationGone)
        if lost and self._timer is not None and not gone:
            self._lost, self._last = self._lost + lost, (sink, error)
        elif lost or held is not None:
            self._tell(sink, error, lost)
            if lost and not gone:
                self._begin()

    def of_worker(self, sink: str, error: Exception, lost: int) -> None:
        """As above, of events that are best effort. Of a sink that leaves, who ends it tells of them all together."""
        self(sink, error, 0 if self._leaving else lost)

    def leave(self) -> None:
        """The sink is about to be ended: tell now of what is to be told."""
        self.tell_losses()
        self._leaving = True

    def tell_losses(self) -> None:
        """Tell of the losses that wait to be told together."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._last is not None:
            (sink, error), lost = self._last, self._lost
            self._last, self._lost = None, 0
            self._tell(sink, error, lost)
            self._begin()

    def _begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._summary_seconds, self.tell_losses)

    def _tell(self, sink: str, error: Exception, lost: int) -> None:
        message = f"sink {sink}: {said(error)}"
        if lost:
            message += f"; {lost} {'event' if lost == 1 else 'events'} lost"
        if isinstance(error, DestinationGone):
            message += f": pricestreamd outbox retry --sink {shlex.quote(sink)} starts it again"
        grave = lost or isinstance(error, DestinationGone)
        self._dispatcher.error(_word(error), redact(message), severity="critical" if grave else "warning")


def _word(error: Exception) -> SinkWord:
    if isinstance(error, BreakerOpened):
        return "sink_away"
    return "sink_spool" if isinstance(error, SpoolFailed) else "sink_failed"
