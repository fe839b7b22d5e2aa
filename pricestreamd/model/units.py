"""Units of settings. Each is an annotated number; `config` reads the texts and writes them into the JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number in a settings class means, and how a person writes it.

    `delay` is a duration for which a bare number above 300 is taken for milliseconds and refused.
    """

    kind: Literal["duration", "delay", "size", "percent"]


Duration = Annotated[float, Unit("duration")]
"""Seconds. Written `250ms`, `30s`, `5m`, `1h`, `7d`, or a bare number of seconds."""

Delay = Annotated[float, Unit("delay")]
"""Seconds that something waits. Written like a duration; a bare number above 300 is refused."""

Size = Annotated[int, Unit("size")]
"""Bytes. Written `64KiB`, `4MiB`, or a bare number of bytes."""

Percent = Annotated[float, Unit("percent")]
"""Per cent. Written `5.0` or `5.0%`."""
