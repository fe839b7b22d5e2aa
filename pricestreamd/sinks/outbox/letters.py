"""What a sink will never take, or takes too long to take, as the state keeps it: with its reason and its attempts."""

from __future__ import annotations

from pricestreamd.model.events import CustomEvent, Event
from pricestreamd.sinks.base import message_id, said
from pricestreamd.sinks.lines import line_of
from pricestreamd.state.rows import Delivery, EventRow, Letter


def letter_of(
    event: Event, sink: str, error: Exception, attempts: int, *, now: float, due_at: float | None = None
) -> Letter:
    """`event`, of which `sink` said `error` at the last of `attempts`. Given up, or wanted again at `due_at`.

    Times in epoch seconds.
    """
    name, body = message_id(event), line_of(event)
    given = event.data.get("symbol") if isinstance(event, CustomEvent) else getattr(event, "symbol", None)
    symbol = given if isinstance(given, str) else None
    row = EventRow(name, event.event, symbol, getattr(event, "alert_id", None), event.timestamp, body)
    owed = Delivery(
        0,
        sink,
        name,
        event.event,
        body,
        created_at=now,
        attempts=attempts,
        due_at=due_at or 0.0,
        last_error=said(error),
        dead=due_at is None,
    )
    return row, owed
