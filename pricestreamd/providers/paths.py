"""Where something stands in a decoded JSON message: dotted names, `[0]` for positions, as in `data[0].price`.

A path says nothing about what it finds; a step that leads nowhere gives `ABSENT`, which no JSON value is.
"""

from __future__ import annotations

import re
from typing import Any, Final

Path = tuple[str | int, ...]
"""Steps from the outside in: a text is a key of an object, a number a position in a list, counted from 0."""


class _Absent:
    """The type of `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""What `find` gives where the path leads nowhere."""

_PART = re.compile(r"([^\[\]]*)((?:\[[0-9]{1,9}\])*)", re.DOTALL)


def parse_path(text: str) -> Path:
    """The steps of `text`. Never raises: what is no position is taken for a name, and an empty text is the message."""
    steps: list[str | int] = []
    for part in text.split("."):
        found = _PART.fullmatch(part)
        name, positions = (found[1], found[2]) if found else (part, "")
        if name:
            steps.append(name)
        steps += [int(position) for position in positions[1:-1].split("][") if position]
    return tuple(steps)


def find(path: Path, value: Any) -> Any:
    """What stands at `path` in `value`, or `ABSENT`."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict):
                return ABSENT
            value = value.get(step, ABSENT)
        else:
            if not isinstance(value, list) or step >= len(value):
                return ABSENT
            value = value[step]
    return value
