"""Time in a replay: the virtual clock, and when a recorded tick is due at a given speed. Plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from pricestreamd.model.tick import Tick

# How long ticks may be held back to be handed over together: finer than a person can see, coarse enough to sleep.
_TOGETHER_SECONDS = 0.010


class VirtualClock:
    """The largest timestamp so far, in epoch seconds; 0 before the first tick. `now` may be set, never back."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        """The time, for whoever wants a function."""
        return self.now


def schedule(ticks: Iterable[Tick], speed: float) -> Iterator[tuple[float, list[Tick]]]:
    """Group `ticks` by when they are due: pairs of seconds since the start of the replay, and the ticks of that moment.

    `speed` 10 plays ten recorded seconds in one. A tick older than the one before it is due with that one. Raises
    ValueError when `speed` is not a positive, finite number: at full speed nothing is ever waited for.
    """
    if not 0 < speed < math.inf:
        raise ValueError(f"the speed of a timed replay is a positive number, not {speed!r}")
    batch: list[Tick] = []
    start: float | None = None
    latest = due = 0.0
    for tick in ticks:
        if start is None:
            start = latest = tick.timestamp
        latest = max(latest, tick.timestamp)
        at = (latest - start) / speed
        if batch and at - due >= _TOGETHER_SECONDS:
            yield due, batch
            batch = []
        if not batch:
            due = at
        batch.append(tick)
    if batch:
        yield due, batch
