"""What a message to a person says of one event: templates with `{field}`, and values that are safe to read.

A value comes from outside: it is shortened, has no control characters, and nothing in it can become a link, a mention
or markup of the service that shows it. What is in a template is the operator's own, and stays as it is.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pricestreamd.model.events import EVENTS, Event, PriceGap

MOST_VALUE = 300
MOST_TEXT = 1000
# Of a `firing_id`: enough to find it in the log.
ID_CHARACTERS = 6

TEMPLATES: Mapping[str, str] = {
    "price.update": "{symbol} {price} at {time}",
    "price.change": "{symbol} {price}, {change_percent} % at {time}",
    "price.spike": "{symbol} {price}, a spike of {spike_percent} % at {time}",
    "price.alert": "{alert_text} [{firing}]",
    "price.stale": "{feed}: no price of {symbol} for {silent_seconds} s, at {time}",
    "price.resumed": "{feed}: prices of {symbol} again after {silent_seconds} s, at {time}",
    "price.gap": "{feed}: prices of {symbols} were missed from {from} to {to} ({reason})",
    "price.error": "{message} ({severity}, {time})",
    "feed.connected": "{feed}: connected to {host} at {time}",
    "feed.disconnected": "{feed}: disconnected at {time}: {reason}",
    "feed.reconnecting": "{feed}: attempt {attempt} in {delay_seconds} s, at {time}",
    "alert.blind": "alert {alert_id} cannot see {symbol} ({reason}), at {time}",
    "alert.sighted": "alert {alert_id} sees {symbol} again, at {time}",
}
"""What is said of an event where the configuration has no template for it."""
OTHERWISE = "{event} at {time}"

# Beside the fields of the event.
_EXTRA = ("event", "id", "time", "firing")
_FIELDS: Mapping[str, frozenset[str]] = {
    kind.event: frozenset({*kind.__struct_fields__, *_EXTRA}) - {"run", "number", "from_time", "to_time"}
    | ({"from", "to"} if kind is PriceGap else set())
    for kind in EVENTS
}
_TIMES = frozenset({"timestamp", "received_at", "from", "to"})
_PRICES = frozenset({"price", "last_price", "alert_value", "alert_threshold", "alert_baseline", "value", "cost"})
# What links, mentions and markup begin with, and what is read instead.
_HARMLESS = str.maketrans({"<": "\u2039", ">": "\u203a", "`": "'", "[": "(", "]": ")", "@": "@\u2060", "\\": "/"})


def template_fault(event: str, template: str) -> str | None:
    """What is wrong with the template for `event`, in a sentence; None: nothing."""
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as exc:
        return f"{exc}: write {{field}} for a field, {{{{ and }}}} for braces"
    known = _FIELDS.get(event)
    for _, name, form, conversion in parsed:
        if name is None:
            continue
        if not name.isidentifier() or form or conversion:
            return "expected {field} with the name of a field and nothing else"
        if known is not None and name not in known:
            return f"{event} has no field {name}; it has {', '.join(sorted(known))}"
    return None


def rendered(template: str, event: Event) -> str:
    """The text of `template`; a field that `event` does not have is a dash."""
    fields = event.to_dict()
    fields.setdefault("time", fields["timestamp"])
    parts = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(_field(name, fields))
    return clipped("".join(parts).strip(), MOST_TEXT)


def safe(text: str, most: int = MOST_VALUE) -> str:
    """`text` in one line of printable characters, shortened, of which nothing has a meaning to a messenger."""
    plain = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text[: 4 * most])
    plain = " ".join(plain.split()).replace("://", ":\u2060//")
    return clipped(plain, most).translate(_HARMLESS)


def clipped(text: str, most: int) -> str:
    """`text`, of at most `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def instant(seconds: float) -> str:
    """A time with its zone."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"


def _field(name: str, fields: Mapping[str, Any]) -> str:
    if name == "firing":
        return safe(str(fields.get("firing_id") or fields["id"]))[:ID_CHARACTERS]
    return _said(name, fields.get(name))


def _said(name: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return instant(value) if name in (*_TIMES, "time") else _number(name, value)
    if isinstance(value, Mapping):
        return safe(", ".join(f"{key} {_said(str(key), one)}" for key, one in list(value.items())[:20]))
    if isinstance(value, list | tuple):
        return safe(", ".join(_said(name, one) for one in value[:20]) + (", ..." if len(value) > 20 else ""))
    return safe(str(value)) or "-"


def _number(name: str, value: float) -> str:
    """A price in full, as it was; anything else rounded."""
    if name.endswith(("percent", "seconds")):
        return f"{value:.2f}"
    text = format(Decimal(repr(value)), "f") if abs(value) < 1e15 else f"{value:g}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0")
    if name in _PRICES:
        decimals = decimals.ljust(2, "0")
    return f"{whole}.{decimals}" if decimals else whole
