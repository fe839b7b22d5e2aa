"""The sink `log`: events become records of the standard library's logger `pricestreamd.events`.

The fields of an event are fields of the record, under their own names, so that a JSON log has them as they are on
every other wire. Handlers are the daemon's; they must not block.

A `price.error` that repeats is written at once, then once a minute with `suppressed`; one that a human must end (a
refused key) once an hour. Any other event is written each time.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from pricestreamd.model.events import Event, PriceAlert, PriceError
from pricestreamd.model.sampling import OncePer
from pricestreamd.sinks.base import MOST_AT_ONCE
from pricestreamd.sinks.settings import LogSinkSettings

_log = logging.getLogger("pricestreamd.events")

# A firing alert is what somebody asked to be told of: it must show where only warnings do.
ALERT_LEVEL = logging.WARNING
SEVERITY_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}

# The logging module refuses fields of these names; they get a prefix.
RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
REPEAT_SECONDS = 60.0
FATAL_REPEAT_SECONDS = 3600.0
# Who failed, as the message names it; the rest of a message may differ each time.
_CULPRIT = re.compile(r"\b(?:listener|sink|feed|task) \S+")
_FIRST_WORDS = 5

# One record takes some 20 us to make; other work of the loop comes in between.
SLICE = 50


class LogSink:
    """Writes events to the log, an alert by its sentence, an error by its message. `clock` is monotonic."""

    carries = ("*",)
    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(self, name: str, settings: LogSinkSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.settings = settings
        self._clock = clock
        self._said = OncePer(REPEAT_SECONDS)
        self._said_fatal = OncePer(FATAL_REPEAT_SECONDS)

    async def open(self) -> None:
        """Nothing to do: the log is always there."""

    async def deliver(self, batch: Sequence[Event]) -> None:
        """One record an event, but for errors that repeat."""
        for index, event in enumerate(batch, 1):
            level = level_of(event)
            if _log.isEnabledFor(level) and (held := self._admit(event)) is not None:
                extra = fields_of(event)
                if held:
                    extra["suppressed"] = held
                _log.log(level, "%s", text_of(event), extra=extra)
            if not index % SLICE:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing to do."""

    def _admit(self, event: Event) -> int | None:
        """None: not now. A number: write it; so many like it were held back."""
        if not isinstance(event, PriceError):
            return 0
        said = self._said_fatal if event.fatal else self._said
        return said.admit(sort_of(event), self._clock())


def level_of(event: Event) -> int:
    """A critical error is an ERROR, an alert a WARNING; any other event is an INFO."""
    if isinstance(event, PriceError):
        return SEVERITY_LEVELS[event.severity]
    return ALERT_LEVEL if isinstance(event, PriceAlert) else logging.INFO


def sort_of(error: PriceError) -> Hashable:
    """What two errors have in common that are the same one again: whose, how bad, and about what or whom."""
    about = error.symbol
    if about is None:
        # Whose feed it is, is known already.
        said = error.message.removeprefix(f"feed {error.feed}: ")
        culprit = _CULPRIT.search(said)
        about = culprit[0] if culprit else " ".join(said.split()[:_FIRST_WORDS])
    return error.error, error.feed, error.severity, about


def text_of(event: Event) -> str:
    """One line that a person can read."""
    if isinstance(event, PriceError):
        return event.message
    if isinstance(event, PriceAlert) and event.alert_text:
        return event.alert_text
    fields = event.to_dict()
    told = (fields.get(key) for key in ("symbol", "price", "feed", "reason"))
    return " ".join([event.event, *(str(value) for value in told if value is not None)])


def fields_of(event: Event) -> dict[str, Any]:
    """The event's fields, under names that a log record allows: `event_` is put before those it keeps for itself."""
    fields = event.to_dict()
    if isinstance(event, PriceError):
        del fields["message"]  # the record's own message
    return {f"event_{key}" if key in RESERVED else key: value for key, value in fields.items()}
