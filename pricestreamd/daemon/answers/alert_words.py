"""An alert in the words of its configuration, on one line: `above 200, hysteresis 0.1%, cooldown 20s`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pricestreamd.config.units import show_duration

_DURATIONS = frozenset({"baseline", "cooldown", "for"})
# Others that are per cent say so by their name.
_PERCENT = frozenset({"hysteresis"})


def in_words(written: Mapping[str, Any], notify: Sequence[str] = ()) -> str:
    """What `AlertRule.written` and `notify` hold, as a person would write it."""
    words = [key if value is True else f"{key} {_value(key, value)}" for key, value in written.items()]
    return ", ".join([*words, *([f"notify {' '.join(notify)}"] if notify else [])])


def _value(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['days']} {value['from']}-{value['to']} {value['timezone']}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key in _DURATIONS:
        return show_duration(value)
    return f"{_number(value)}%" if key in _PERCENT else _number(value)


def _number(value: float) -> str:
    """All its digits, and no more: `200`, `0.00001234`."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
