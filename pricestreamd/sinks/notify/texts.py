"""Messages to people: one of several events where they come together. Plain text, short enough for a phone. No clock.

AAPL 200.35                     title and text of one
AAPL 200.35 crossed above 200.00 at 09:31:02 New York [3f9c1a]

3 alerts: AAPL, MSFT, NVDA      of several: the number, and a line each
LATE by 2 h 5 min: MSFT ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pricestreamd.model.events import CustomEvent, Event, PriceAlert, PriceError
from pricestreamd.sinks.notify.repeats import Crossings
from pricestreamd.sinks.notify.templates import OTHERWISE, TEMPLATES, clipped, rendered, safe

MOST_LINES = 20
MOST_LINE = 300
MOST_TITLE = 100
# Of those that have no line of their own, their symbols.
MOST_NAMES = 300


class Message(NamedTuple):
    """What a person gets."""

    title: str
    body: str


class _Line(NamedTuple):
    about: str
    title: str
    text: str


class Texts:
    """Writes messages by `templates`, an event's name to its template. Events older than `max_age` seconds are LATE."""

    def __init__(self, templates: Mapping[str, str], max_age: float) -> None:
        self._templates = {**TEMPLATES, **templates}
        self._max_age = max_age

    def of_crossings(self, found: Sequence[Crossings], now: float) -> Message:
        """One message of all `found`; `now` in epoch seconds."""
        lines = []
        for one in found:
            line = self._line(one.newest, now)
            more = one.count - 1
            if one.again:
                text = f"{one.count} more {'crossing' if one.count == 1 else 'crossings'}"
                text += f": {line.text}" if one.count == 1 else f", the last: {line.text}"
            else:
                text = f"{line.text} (and {more} more before it)" if more else line.text
            lines.append(line._replace(text=text))
        return _together(lines, "alerts", sum(one.count for one in found))

    def of_events(self, events: Sequence[Event], now: float) -> Message:
        """One message of all `events`; `now` in epoch seconds."""
        alerts = all(isinstance(event, PriceAlert) for event in events)
        return _together([self._line(event, now) for event in events], "alerts" if alerts else "events", len(events))

    def _line(self, event: Event, now: float) -> _Line:
        text = rendered(self._templates.get(event.event, OTHERWISE), event) or event.event
        title = _title(event)
        late = now - event.timestamp
        if late > self._max_age:
            return _Line(_about(event), f"LATE: {title}", f"LATE by {span(late)}: {text}")
        return _Line(_about(event), title, text)


def span(seconds: float) -> str:
    """So long, in the two largest units."""
    minutes = int(seconds // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _together(lines: Sequence[_Line], what: str, count: int) -> Message:
    if len(lines) == 1:
        return Message(clipped(lines[0].title, MOST_TITLE), lines[0].text)
    names = list(dict.fromkeys(line.about for line in lines))
    late = "LATE: " if any(line.title.startswith("LATE") for line in lines) else ""
    body = [clipped(line.text, MOST_LINE) for line in lines[:MOST_LINES]]
    if rest := lines[MOST_LINES:]:
        others = list(dict.fromkeys(line.about for line in rest))
        body.append(f"and {len(rest)} more: {clipped(', '.join(others), MOST_NAMES)}")
    return Message(clipped(f"{late}{count} {what}: {', '.join(names)}", MOST_TITLE), "\n".join(body))


def _title(event: Event) -> str:
    if isinstance(event, PriceAlert):
        return f"{_about(event)} {rendered('{price}', event)}"
    if isinstance(event, PriceError):
        return f"{event.severity.upper()}: {safe(event.error)}"
    return f"{_about(event)}: {safe(event.event, 60)}"


def _about(event: Event) -> str:
    """The symbol, else the feed, else the event itself."""
    fields = event.data if isinstance(event, CustomEvent) else {}
    for name in ("symbol", "feed"):
        value = getattr(event, name, None) or fields.get(name)
        if isinstance(value, str) and value:
            return safe(value, 60)
    return safe(event.event, 60)
