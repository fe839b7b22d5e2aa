"""Is the destination there, and how fast may it be tried? One circuit breaker a sink, for both ways in. No clock in it.

closed      attempts come as they come
open        as many in a row failed as `STRIKES`, whoever's they were. What is merely due again waits for pauses of
            1, 2, 4 ... 30 s; what was never tried, and what the worker brings, goes one at a time: each is a probe
half_open   such a probe is under way

One success closes it. The attempts after that leave gaps of 100, 50, 33 ... 2 ms, half a second in all: who just came
up is not met by a thousand requests at once. What a destination refuses for good says nothing against it: somebody was
there to refuse it.

A destination that names a time (Retry-After) is left alone until then, by what was never tried too. A success ends that
as well: of an attempt that was under way, or because somebody asked for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.base import LeaveAlone, said

STRIKES = 3
LONGEST_PAUSE_SECONDS = 30.0
FIRST_GAP_SECONDS = 0.1
GAPS = 50

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Of one destination. `free_at`: before that time only what was never tried may be; times in seconds.

    `held_until`: before that time nothing may be tried, as the destination has asked. `times_opened` counts outages.
    `under_way` is how many attempts are being made.
    """

    __slots__ = (
        "_failures",
        "_listeners",
        "_opened_at",
        "_successes",
        "free_at",
        "held_until",
        "times_opened",
        "under_way",
    )

    def __init__(self) -> None:
        self._listeners: list[Callable[[bool], object]] = []
        self.times_opened = 0
        self.under_way = 0
        self._begin_anew()

    def reset(self) -> None:
        """Nothing is known of the destination any more: somebody wants it tried, by whoever waits."""
        was_failing = self._failures > 0
        self._begin_anew()
        if was_failing:
            self._tell_back(was_open=False)

    def _begin_anew(self) -> None:
        self._failures = 0
        self._successes = 0
        self._opened_at = 0.0
        self.free_at = self.held_until = 0.0

    def on_back(self, listener: Callable[[bool], object]) -> None:
        """Call `listener` whenever an attempt succeeds after one that failed; it gets whether the breaker was open.

        It is called with False where somebody wants another attempt after one that failed, too.
        """
        self._listeners.append(listener)

    def _tell_back(self, *, was_open: bool) -> None:
        for listener in self._listeners:
            listener(was_open)

    @property
    def open(self) -> bool:
        """Whether the last attempts all failed."""
        return self._failures >= STRIKES

    @property
    def state(self) -> State:
        """As the operator sees it."""
        if not self.open:
            return "closed"
        return "half_open" if self.under_way else "open"

    @property
    def failures(self) -> int:
        """Attempts that failed since the last one that did not."""
        return self._failures

    def failed(self, now: float, error: Exception | None = None) -> bool:
        """An attempt failed at `now` with `error`, which may name a wait. True: it has opened just now."""
        self._failures += 1
        pause = getattr(error, "retry_after", None) or 0.0
        if isinstance(error, LeaveAlone):
            self.held_until = max(self.held_until, now + pause)
        if opened := self._failures == STRIKES:
            self.times_opened += 1
            self._opened_at = now
        if self.open:
            self._successes = 0
            # Fresh alerts may fail by the dozen in a pause: they make it no longer, or what waits would never be tried.
            if opened or now >= self.free_at:
                pause = max(pause, min(LONGEST_PAUSE_SECONDS, 1.0 + now - self._opened_at))
        self.free_at = max(self.free_at, now + pause)
        return opened

    def succeeded(self, now: float) -> None:
        """An attempt succeeded at `now`."""
        was_failing, was_open, self._failures = self._failures > 0, self.open, 0
        self.held_until = 0.0
        self._successes += 1
        self.free_at = now + (FIRST_GAP_SECONDS / self._successes if self._successes <= GAPS else 0.0)
        if was_failing:
            self._tell_back(was_open=was_open)


class BreakerOpened(SinkError):  # noqa: N818 - says what happened, as its siblings do
    """The last failure was one too many in a row; nothing more is told of until an attempt succeeds."""


def no_longer_taken(error: Exception, sink: str) -> BreakerOpened:
    """What is told once, when the breaker has opened by `error`."""
    text = f"{said(error)}; {STRIKES} failures in a row: one event at a time is tried until it is back"
    return BreakerOpened(text, sink=sink)
