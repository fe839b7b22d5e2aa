"""Where the conditions of one symbol lie: which of them a price may change, without looking at the others.

A condition's zone is the closed interval of prices inside which nothing about it changes. The ends of all zones are
sorted, so those that a price has left are found by bisection. A condition without a zone is *restless*, and touched by
every tick; one whose gate is closed is *asleep* until it opens.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection

from pricestreamd.stream.alerts.condition import ConditionState
from pricestreamd.stream.alerts.terms import EVERYWHERE, NOWHERE, Zone

_End = tuple[float, int, ConditionState]


class Zones:
    """The zones of the conditions of one symbol. The ends of each are kept at the condition itself, too."""

    __slots__ = ("_asleep", "_highs", "_lows", "_restless")

    def __init__(self) -> None:
        self._lows: list[_End] = []
        self._highs: list[_End] = []
        self._restless: dict[ConditionState, None] = {}
        # By the time at which they wake. Who was woken by other means is in here once more, and woken twice.
        self._asleep: list[_End] = []

    def place(self, condition: ConditionState) -> None:
        """Put `condition` where it belongs now; what is done lies nowhere."""
        low, high = EVERYWHERE if condition.done else condition.zone()
        if low > high:
            low, high = NOWHERE
        if low == condition.low and high == condition.high and (low <= high or condition in self._restless):
            return
        self.remove(condition)
        condition.low, condition.high = low, high
        if low > high:
            self._restless[condition] = None
            return
        if low > -math.inf:
            insort(self._lows, (low, condition.order, condition))
        if high < math.inf:
            insort(self._highs, (high, condition.order, condition))

    def rouse(self, condition: ConditionState) -> None:
        """Touch `condition` at the next tick, wherever it lies: something else about it has changed."""
        self.remove(condition)
        if not condition.done:
            condition.low, condition.high = NOWHERE
            self._restless[condition] = None

    def remove(self, condition: ConditionState) -> None:
        """Touch `condition` no more."""
        low, high = condition.low, condition.high
        if low > high:
            self._restless.pop(condition, None)
        else:
            if low > -math.inf:
                del self._lows[bisect_left(self._lows, (low, condition.order))]
            if high < math.inf:
                del self._highs[bisect_left(self._highs, (high, condition.order))]
        condition.low, condition.high = EVERYWHERE

    def forget(self, conditions: Collection[ConditionState]) -> None:
        """Touch these no more, not even when they would wake."""
        for condition in conditions:
            self.remove(condition)
        if any(end[2] in conditions for end in self._asleep):
            self._asleep = [end for end in self._asleep if end[2] not in conditions]
            heapq.heapify(self._asleep)

    def put_to_sleep(self, condition: ConditionState, until: float) -> None:
        """No price matters to `condition` before `until`; infinity is for good."""
        self.remove(condition)
        if until < math.inf:
            heapq.heappush(self._asleep, (until, condition.order, condition))

    def left_by(self, price: float, timestamp: float) -> list[ConditionState]:
        """The conditions that `price` may change, in the order in which they were set."""
        left = list(self._restless)
        highs, lows = self._highs, self._lows
        if highs and highs[0][0] < price:
            left += [end[2] for end in highs[: bisect_left(highs, (price,))]]
        if lows and lows[-1][0] > price:
            left += [end[2] for end in lows[bisect_right(lows, price, key=_place) :]]
        if self._asleep and self._asleep[0][0] <= timestamp:
            while self._asleep and self._asleep[0][0] <= timestamp:
                left.append(heapq.heappop(self._asleep)[2])
            left = list(dict.fromkeys(left))
        if len(left) > 1:
            left.sort(key=_order)
        return left

    def common(self) -> Zone:
        """The prices that change nothing."""
        if self._restless or self._asleep:
            return NOWHERE
        return self._lows[-1][0] if self._lows else -math.inf, self._highs[0][0] if self._highs else math.inf


def _place(end: _End) -> float:
    return end[0]


def _order(condition: ConditionState) -> int:
    return condition.order
