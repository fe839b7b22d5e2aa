"""Two connections that carry the same symbols for a moment: every price once.

While a connection is replaced, old and new deliver the same prices, each in its own order and time. A price is told by
its symbol, time, price and volume; two equal ones may be two trades, so they are counted: the n-th of a kind passes
when it comes from whichever side is first to have n of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from pricestreamd.model.interface import MessageCallback
from pricestreamd.model.tick import Tick

_Kind = tuple[str, float, float, float | None]
# At this many kinds the memory begins anew. An overlap lasts some seconds; where the new side cannot connect it lasts
# long, and has nothing to compare with.
_MAX_KINDS = 50_000


class Overlap:
    """Passes ticks on to `deliver`. `known`: prices that were delivered just before, by the old side.

    It begins before the new side can have heard anything.
    """

    def __init__(self, deliver: Callable[[Tick], object], known: Iterable[Tick] = ()) -> None:
        self._deliver = deliver
        self._passed: Counter[_Kind] = Counter(_kind(tick) for tick in known)
        self._old = Counter(self._passed)
        self._new: Counter[_Kind] = Counter()
        self.duplicates = 0

    @property
    def old(self) -> MessageCallback:
        """The callback of the connection that is going."""
        return lambda tick: self._take(tick, self._old)

    @property
    def new(self) -> MessageCallback:
        """The callback of the one that is coming."""
        return lambda tick: self._take(tick, self._new)

    def _take(self, tick: Tick, mine: Counter[_Kind]) -> None:
        kind = _kind(tick)
        mine[kind] += 1
        if mine[kind] <= self._passed[kind]:
            self.duplicates += 1
            return
        if len(self._passed) >= _MAX_KINDS:
            for counts in (self._passed, self._old, self._new):
                counts.clear()
        self._passed[kind] = mine[kind]
        self._deliver(tick)


def _kind(tick: Tick) -> _Kind:
    return tick.symbol, tick.timestamp, tick.price, tick.volume
