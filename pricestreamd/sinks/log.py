"""The sink `log`: events become records of the standard library's logger `pricestreamd.events`.

The fields of an event are fields of the record, under their own names, so that a JSON log has them as they are on
every other wire. Handlers are the daemon's; they must not block.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from pricestreamd.model.events import Event, PriceAlert, PriceError
from pricestreamd.sinks.settings import LogSinkSettings

_log = logging.getLogger("pricestreamd.events")

# A firing alert is what somebody asked to be told of: it must show where only warnings do.
ALERT_LEVEL = logging.WARNING
SEVERITY_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}

# The logging module refuses fields of these names; they get a prefix.
RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
# One record takes some 20 us to make; other work of the loop comes in between.
SLICE = 50


class LogSink:
    """Writes events to the log, an alert by its sentence, an error by its message."""

    carries = ("*",)

    def __init__(self, name: str, settings: LogSinkSettings) -> None:
        self.name = name
        self.settings = settings

    async def open(self) -> None:
        """Nothing to do: the log is always there."""

    async def deliver(self, batch: Sequence[Event]) -> None:
        """One record an event."""
        for index, event in enumerate(batch, 1):
            level = level_of(event)
            if _log.isEnabledFor(level):
                _log.log(level, "%s", text_of(event), extra=fields_of(event))
            if not index % SLICE:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing to do."""


def level_of(event: Event) -> int:
    """A critical error is an ERROR, an alert a WARNING; any other event is an INFO."""
    if isinstance(event, PriceError):
        return SEVERITY_LEVELS[event.severity]
    return ALERT_LEVEL if isinstance(event, PriceAlert) else logging.INFO


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
