"""Regular sessions: when a symbol's market is open, and the prices at which its sessions opened and closed.

The hours come from outside, as anything of the shape of `MarketHours`. A price at the open or close is known only where
the stream was listening at that moment and missed nothing around it: better no baseline than a wrong one. Times are UTC
epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal, NamedTuple, Protocol

_NO_CALENDAR = (ValueError, OverflowError, OSError)
# More boundaries than in two years between two prices: begin anew rather than walk.
_MOST_BOUNDARIES = 2000
# Shorter than any session.
_INSTANT = 0.001


class MarketHours(Protocol):
    """When a market trades in its regular session."""

    def is_open(self, at: float) -> bool:
        """Whether it trades at `at`."""

    def next_change(self, at: float) -> float | None:
        """When `is_open` changes next after `at`; None: never."""


HoursOf = Callable[[str], MarketHours | None]
"""The market hours of a symbol in its configured spelling; None where nobody knows them."""


class SessionHours:
    """The hours of one symbol's market, with the stretch that was asked for last remembered."""

    __slots__ = ("_from", "_hours", "_open", "_until")

    def __init__(self, hours: MarketHours) -> None:
        self._hours = hours
        self._from, self._until, self._open = inf, -inf, False

    def are(self, hours: MarketHours) -> bool:
        """Whether these are the hours of `hours`."""
        return self._hours is hours

    def is_open(self, at: float) -> bool:
        """Whether the regular session is open. A time that no calendar knows is in no session."""
        if not self._from <= at < self._until:
            try:
                is_open = self._hours.is_open(at)
                change = self._hours.next_change(at)
            except _NO_CALENDAR:
                return False
            self._from, self._until, self._open = at, inf if change is None else change, is_open
        return self._open

    def until(self, at: float) -> float:
        """When that changes; infinity where it never does, `at` itself where no calendar knows it."""
        self.is_open(at)
        return self._until if self._from <= at < self._until else at

    def turns(self, at: float) -> bool:
        """Whether the session opens or closes at `at`."""
        return self.until(at - _INSTANT) == at

    def opens_between(self, before: float, at: float) -> bool:
        """Whether a session opened after `before` and not after `at`."""
        boundary = self.until(before)
        if not before < boundary <= at:
            return False
        return not self.is_open(before) or self.until(boundary) <= at


class Mark(NamedTuple):
    """A price that is remembered, and the time that it belongs to (of an open or close: when that was)."""

    price: float
    at: float


class SessionPrices:
    """The open and the close of one symbol's sessions.

    `open`: of the last session that has begun; `close`: of the last that has ended; None while unknown. `since`: since
    when the stream has listened; negative infinity in a replay, where what is there is all there is.
    """

    __slots__ = ("_at", "_hours", "_last", "_missed", "_opened", "_since", "_taken", "close", "open")

    def __init__(self, hours: SessionHours, since: float) -> None:
        self._hours = hours
        self._since = since
        self._at = since
        self._missed: list[tuple[float, float]] = []
        self._taken = False
        self._last: float | None = None
        # Of the running session: when it opened, while its first price is awaited.
        self._opened: float | None = None
        self.open: Mark | None = None
        self.close: Mark | None = None

    def take(self, at: float, price: float, listening_since: float) -> None:
        """A believed price. `listening_since`: of the feed that it came from."""
        self._taken = True
        self._since = max(self._since, listening_since)
        if self._at == -inf:
            self._at = at
            # The first price of a recording that begins within a session is the only open there is.
            self._opened = at if self._hours.is_open(at) else None
        self._walk(at)
        if self._hours.is_open(at):
            if self._opened is not None:
                self.open = Mark(price, self._opened)
                self._opened = None
            self._last = price
        self._missed.clear()

    def miss(self, begin: float, end: float) -> None:
        """Prices between these times may have been missed."""
        if self._at == -inf:
            return
        self._walk(min(begin, end))
        if self._hours.is_open(self._at):
            # The first price may be among them, and the last one; of later ones another may be the last.
            self._last = self._opened = None
        self._missed.append((begin, end))

    def restore(self, which: Literal["open", "close"], mark: Mark) -> None:
        """What was known before the first price. It holds until the next session boundary after it."""
        known = self.open if which == "open" else self.close
        # A mark that is of other hours means nothing.
        if self._taken or not self._hours.turns(mark.at) or (known is not None and known.at >= mark.at):
            return
        if which == "open":
            self.open = mark
        else:
            self.close = mark
        self._at = max(one.at for one in (self.open, self.close) if one is not None)

    def rebase(self, ratio: float) -> None:
        """Prices are `ratio` times as high from now on, and so are those of before."""
        self.open, self.close = _scaled(self.open, ratio), _scaled(self.close, ratio)
        self._last = self._last * ratio if self._last is not None else None

    def _walk(self, at: float) -> None:
        """Go over the openings and closings up to `at`."""
        for _ in range(_MOST_BOUNDARIES):
            was_open = self._hours.is_open(self._at)
            boundary = self._hours.until(self._at)
            if not self._at < boundary <= at:
                self._at = max(self._at, at)
                return
            if was_open:
                self._closes(boundary)
            else:
                self._opens(boundary)
            self._at = boundary
        self._at, self._last, self._opened, self.open, self.close = at, None, None, None, None

    def _opens(self, boundary: float) -> None:
        self.open = None
        if self._heard(boundary):
            self._opened = boundary
        else:
            self._opened = self._last = None

    def _closes(self, boundary: float) -> None:
        self._opened = None
        last = self._last if self._heard(boundary) else None
        self.close = None if last is None else Mark(last, boundary)

    def _heard(self, boundary: float) -> bool:
        """Whether the stream listened at a boundary."""
        return self._since < boundary and not any(begin <= boundary <= end for begin, end in self._missed)


def _scaled(mark: Mark | None, ratio: float) -> Mark | None:
    return Mark(mark.price * ratio, mark.at) if mark is not None else None
