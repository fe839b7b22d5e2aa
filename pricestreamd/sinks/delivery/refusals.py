"""What a sink has refused for good: how many in a row, and who hears of it. One line an event, and not too many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks.base import ErrorHook, is_sink_trouble, said

# Of the events that a sink refuses, so many are named in the log in so many seconds.
MOST_NAMED = 10
NAMING_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Refusals:
    """Of the sink `name`. `in_a_row`: refused since one was taken. `on_error` hears of what `tell` finds, in a sum."""

    def __init__(self, name: str, *, on_error: ErrorHook, clock: Callable[[], float]) -> None:
        self.in_a_row = 0
        self._name = name
        self._on_error = on_error
        self._clock = clock
        self._untold: list[tuple[Event, Exception]] = []
        self._named = 0
        self._naming_ends = 0.0

    def add(self, event: Event, error: Exception) -> None:
        """The sink will never take `event`."""
        self.in_a_row += 1
        self._untold.append((event, error))

    def tell(self) -> None:
        """Tell of those that nobody has heard of."""
        if not self._untold:
            return
        for event, error in self._untold:
            self._name_one(event, error)
        events, (_, error) = [event for event, _ in self._untold], self._untold[0]
        self._untold.clear()
        self.tell_lost(events, error)

    def tell_lost(self, events: Sequence[Event], error: Exception) -> None:
        """`events` are lost. Of such as only tell of trouble nobody hears: each would be the next to be lost."""
        if lost := sum(not is_sink_trouble(event) for event in events):
            self._on_error(self._name, error, lost)
        else:
            _log.warning("sink %s: lost are errors of sinks only, %d: %s", self._name, len(events), said(error))

    def all_of_them(self, error: Exception, pause: float) -> SinkError:
        """What is told where none is taken any more: it is probably not the events. `pause`: in seconds."""
        text = f"{said(error)}; {self.in_a_row} in a row were refused: one more is given up every {pause:g} s"
        return SinkError(text, sink=self._name)

    def _name_one(self, event: Event, error: Exception) -> None:
        now = self._clock()
        if now >= self._naming_ends:
            if self._named > MOST_NAMED:
                _log.warning("sink %s: %d events more were refused", self._name, self._named - MOST_NAMED)
            self._naming_ends, self._named = now + NAMING_SECONDS, 0
        self._named += 1
        if self._named <= MOST_NAMED:
            _log.warning("sink %s: event %s (%s) is refused: %s", self._name, event.id, event.event, said(error))
