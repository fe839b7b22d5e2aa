"""A bounded queue of ticks for one `async for`: it never holds up the feed, and a slow reader loses the oldest."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar, Self

from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.model.tick import Tick


class TickQueue:
    """Ticks in their order. `put` is a callback of the feed; the iteration ends after `end`, when all is read."""

    LIMIT: ClassVar[int] = 10_000

    def __init__(self, counters: FeedCounters) -> None:
        self._counters = counters
        self._ticks: deque[Tick] = deque()
        self._filled = asyncio.Event()
        self._ended = False

    def put(self, tick: Tick) -> None:
        """Queue `tick`; the oldest gives way where there is no room."""
        if len(self._ticks) >= self.LIMIT:
            self._ticks.popleft()
            self._counters.dropped += 1
        self._ticks.append(tick)
        self._filled.set()

    def end(self) -> None:
        """No more ticks will come."""
        self._ended = True
        self._filled.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Tick:
        while not self._ticks:
            if self._ended:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        return self._ticks.popleft()
