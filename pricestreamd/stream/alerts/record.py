"""What is kept of an alert over a restart: frozen records of plain values, for whoever stores them.

Times are UTC epoch seconds; those that belong to timers are bounded by what is configured when they are read back, so
that a clock that was set meanwhile can shorten a wait and never lengthen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pricestreamd.stream.alerts.sessions import Mark

Phase = Literal["armed", "holding", "fired", "muted"]
"""*armed*: false so far. *holding*: true, but not for long enough. *fired*: not far enough back since it was told of.
*muted*: true from the start, and told only after it was false."""


@dataclass(frozen=True, slots=True)
class ConditionRecord:
    """One (alert_id, symbol, condition). `condition` is its text, which identifies it.

    `armed_at`: event time of its arming, None before it was first evaluated; `armed_by`: the run and the number of that
    tick. `holds_since`: the wall clock when it began to hold, and `begun_at` the event time of that. `marks`: what each
    of its terms remembers, in order.
    """

    condition: str
    phase: Phase
    done: bool
    armed_at: float | None
    armed_by: str
    firings: int
    holds_since: float | None
    begun_at: float | None
    marks: tuple[Mark | None, ...]


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """One (alert_id, symbol), with its conditions. `symbol` is the form in which symbols are compared.

    `fired_at`: the wall clock at its last firing, for the cooldown. `held_back`: firings counted and not made.
    """

    alert_id: str
    symbol: str
    fired_at: float | None
    held_back: int
    conditions: tuple[ConditionRecord, ...]
