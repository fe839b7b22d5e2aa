"""When the errors of a feed are too many: the decision by `errors:`, without a clock and without doing anything.

An error is an attempt that failed, a connection that was lost without a goodbye, or a goodbye that follows another one
too soon: a server that accepts and closes for ever, however politely, is of no use. Errors are counted for each
connection of the feed by itself, or else one short break of the network would be as many errors as there are
connections. Any price of the feed is success, and all counts begin anew: a feed that still delivers is not to be
disturbed because of one connection. What is no error: a refused symbol (the connection is none the worse for it), a
refused key (such a feed is parked, by a rule of its own), and a connection that we end ourselves.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from pricestreamd.feeds.connection.verdict import EXPECTED

# A server may say goodbye whenever it likes; these are its words, and the other expected ones are ours.
_GOODBYES = EXPECTED & {"closed", "going_away", "restart"}


class Limits(Protocol):
    """What the settings say of it."""

    @property
    def max_consecutive(self) -> int:
        """So many errors in a row are too many."""

    @property
    def window(self) -> float:
        """When they happen within so many seconds."""


def is_error(reason: str, attempt: int) -> bool:
    """Whether the end of a connection for `reason` is an error, when what follows is the attempt of that number.

    Attempts are counted from 1, which follows a connection that has lived for a while.
    """
    return reason not in EXPECTED or (reason in _GOODBYES and attempt > 1)


class ErrorCount:
    """The errors of one feed since its last success."""

    def __init__(self) -> None:
        self.told = False
        """Whether somebody was told of too many since the last success; whoever does it sets this."""
        self.mentioned = False
        """Whether that was told while the market was closed, and wakes nobody until it opens; set as `told`."""
        self._times: dict[int, deque[float]] = {}
        self._prices = 0

    def failed(self, connection: int, prices: int, now: float, limits: Limits) -> int:
        """An error of the connection in that slot; how many it makes, 0 unless they are too many now.

        `prices`: how many the feed has had so far. `now` is monotonic, in seconds.
        """
        self._look(prices)
        times = self._times.setdefault(connection, deque())
        times.append(now)
        while len(times) > limits.max_consecutive or now - times[0] > limits.window:
            times.popleft()
        return len(times) if len(times) >= limits.max_consecutive else 0

    def gave_up(self, prices: int) -> None:
        """The feed has ended by itself, whatever the count."""
        self._look(prices)

    def begin_anew(self) -> None:
        """What has failed so far was answered for."""
        self._times.clear()

    def _look(self, prices: int) -> None:
        if prices != self._prices:
            self._prices = prices
            self._times.clear()
            self.told = self.mentioned = False
