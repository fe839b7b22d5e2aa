"""How long to wait before the next attempt.

The delay before attempt n is `min(max_delay, initial_delay * backoff_multiplier ** (n - 1)) * uniform(1 - jitter,
1 + jitter)`. What the server says, by Retry-After or by the code of its close frame, is a floor: it makes a delay
longer and never shorter. Who counts decides when to `reset`; opening a connection is no reason to.
"""

from __future__ import annotations

from collections.abc import Callable

from pricestreamd.feeds.settings import ReconnectSettings

Dice = Callable[[float, float], float]
"""`dice(low, high)` throws a number between the two; `random.uniform` is one."""

# Seconds by close code. 1008, a policy broken: whatever it was will not be over in a second. 1013, try again later.
_CLOSE_FLOORS = {1008: 30.0, 1013: 30.0}
# 1012, the service restarts: everybody comes back, so everybody should spread over this range.
_RESTART = 1012
_RESTART_RANGE = (5.0, 30.0)


class Backoff:
    """Counts the attempts of one connection and gives the delay before each, in seconds."""

    __slots__ = ("_delay", "_dice", "attempts", "settings")

    def __init__(self, settings: ReconnectSettings, dice: Dice) -> None:
        self.settings = settings
        self._dice = dice
        self.attempts = 0
        self._delay = 0.0

    @property
    def exhausted(self) -> bool:
        """Whether `max_attempts` have been made in a row."""
        return 0 < self.settings.max_attempts <= self.attempts

    def next_delay(self, floor: float = 0.0) -> float:
        """Count one more attempt and say how many seconds from now it may be made."""
        settings = self.settings
        self._delay = self._delay * settings.backoff_multiplier if self.attempts else settings.initial_delay
        self.attempts += 1
        delay = min(settings.max_delay, self._delay)
        if settings.jitter:
            delay *= self._dice(1 - settings.jitter, 1 + settings.jitter)
        return max(delay, floor)

    def reset(self) -> None:
        """The next attempt is the first again."""
        self.attempts = 0


def close_floor(code: int, dice: Dice) -> float:
    """The least delay after a close frame with `code`, in seconds."""
    if code == _RESTART:
        return dice(*_RESTART_RANGE)
    return _CLOSE_FLOORS.get(code, 0.0)
