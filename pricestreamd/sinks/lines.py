"""Events as lines of JSON, made on the loop in slices, for what writes them in a thread.

In the thread itself a saturated stream would outrun that work; on the loop it cannot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from pricestreamd.model.events import CustomEvent, Event, event_of, to_json

# Other work of the loop comes in between after so many (a tenth of a millisecond), or after an eighth of a large batch:
# a stream that makes hundreds of events each time must not outrun the pieces either.
SLICE = 64

_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


async def lines_of(events: Sequence[Event]) -> list[bytes]:
    """One line an event, without its end."""
    lines: list[bytes] = []
    step = max(SLICE, len(events) // 8)
    for start in range(0, len(events), step):
        if start:
            await asyncio.sleep(0)
        lines += _some_lines(events[start : start + step])
    return lines


async def events_of(lines: Sequence[bytes]) -> list[Event | None]:
    """The events of `lines`; None where a line is no event."""
    events: list[Event | None] = []
    step = max(SLICE, len(lines) // 32)
    for start in range(0, len(lines), step):
        if start:
            await asyncio.sleep(0)
        events += map(_event_of, lines[start : start + step])
    return events


def line_of(event: Event) -> bytes:
    """The line of one event. What has no form in JSON (an object of the user's own) gets a line that says so."""
    try:
        return to_json(event)
    except _UNWRITABLE as exc:
        name = event.event.encode("ascii", "backslashreplace").decode()
        return to_json(CustomEvent(event.run, event.number, event.timestamp, name, {"unwritable": str(exc)}))


def _some_lines(events: Sequence[Event]) -> list[bytes]:
    try:
        return list(map(to_json, events))
    except _UNWRITABLE:
        return list(map(line_of, events))


def _event_of(line: bytes) -> Event | None:
    try:
        return event_of(line)
    except ValueError:
        return None
