"""A reconnection strategy given by a program, checked as the configuration file would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from pricestreamd.feeds.settings import ReconnectSettings

# A bare number above this is taken for milliseconds, as in the configuration file.
_MAX_BARE_DELAY = 300


def changed_strategy(settings: ReconnectSettings, changes: Mapping[str, Any]) -> ReconnectSettings:
    """`settings` with `changes`.

    Raises:
        ValueError: an unknown word, or a value that cannot be.
    """
    known = [field.name for field in fields(ReconnectSettings)]
    for word, value in changes.items():
        if word not in known:
            raise ValueError(f"unknown setting {word!r}: there are {', '.join(known)}")
        if not isinstance(value, int | float) or not value >= 0:
            raise ValueError(f"{word} is a number of 0 or more, not {value!r}")
        if word.endswith("delay") and value > _MAX_BARE_DELAY:
            raise ValueError(f"{word} is in seconds, {value!r} looks like milliseconds: did you mean {value / 1000:g}?")
        if word == "backoff_multiplier" and value < 1:
            raise ValueError(f"backoff_multiplier is 1 or more, not {value!r}")
        if word == "jitter" and value > 1:
            raise ValueError(f"jitter is a fraction between 0 and 1, not {value!r}")
    return replace(settings, **changes)
