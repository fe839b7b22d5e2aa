"""When to ask a provider that is polled, and about whom: in fair turn, and within what the plan allows.

Who was never asked comes first, then those who were asked longest ago. A *paid* plan is asked about each symbol every
`PERIOD` seconds, or as often as one request a second goes round. A *free* one has `FREE_PER_DAY` requests in 24 hours:
each symbol is asked about once at once, and what is left is spread over the rest of the day.

The 24 hours are counted from each request, not from midnight, so that no provider's day holds more of them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

GAP = 1.0
"""Seconds between two requests, on every plan: 60 a minute is less than the smallest paid plan has."""
PERIOD = 5.0
FREE_PER_DAY = 25
DAY = 86_400.0
LOOK_AGAIN = 1.0
"""Symbols come and go unannounced, so no wait is longer than so many seconds."""


class Turns:
    """Times are those of one monotonic clock; symbols are in configured spelling. `batch`: symbols in one request."""

    def __init__(self, batch: int, *, paid: bool) -> None:
        self.batch = batch
        self.paid = paid
        self.alone: set[str] = set()
        """Symbols that are asked about one at a time."""
        self._asked: dict[str, float] = {}
        self._sent: deque[float] = deque(maxlen=FREE_PER_DAY)
        self._pause = 0.0
        self._closed_until = -math.inf

    def next(self, symbols: Sequence[str], now: float) -> tuple[str, ...] | float:
        """The symbols to ask about now, which then count as asked; or how many seconds to wait."""
        self._forget_all_but(symbols)
        while self._sent and self._sent[0] <= now - DAY:
            self._sent.popleft()
        if self._pause:
            self._closed_until, self._pause = now + self._pause, 0.0
        order = sorted(symbols, key=lambda symbol: self._asked.get(symbol, -math.inf))
        if not order:
            return LOOK_AGAIN
        due = self._due(order[0])
        if now < due:
            return min(due - now, LOOK_AGAIN)
        turn = order[:1] if order[0] in self.alone else [each for each in order if each not in self.alone][: self.batch]
        self._asked.update(dict.fromkeys(turn, now))
        self._sent.append(now)
        return tuple(turn)

    def follow(self, before: Turns) -> None:
        """Keep to the pause that `before` had to make."""
        self._pause, self._closed_until = before._pause, before._closed_until

    def put_back(self, symbols: Iterable[str], pause: float = 0.0) -> None:
        """There was no answer about `symbols`: they are asked about first, when `pause` seconds are over."""
        for symbol in symbols:
            self._asked.pop(symbol, None)
        self._pause = max(self._pause, pause)

    def _due(self, symbol: str) -> float:
        """When `symbol`, which comes next, may be asked about."""
        if not self._sent:
            return self._closed_until
        due = max(self._closed_until, self._sent[-1] + GAP)
        asked = self._asked.get(symbol)
        if self.paid:
            return due if asked is None else max(due, asked + PERIOD)
        left = FREE_PER_DAY - len(self._sent)
        rest = self._sent[0] + DAY - self._sent[-1]  # until there is room for one more
        if asked is None and left:
            return due
        return max(due, self._sent[-1] + rest / (left + 1))

    def _forget_all_but(self, symbols: Iterable[str]) -> None:
        wanted = set(symbols)
        self.alone &= wanted
        for gone in self._asked.keys() - wanted:
            del self._asked[gone]
