"""What a scenario does to ticks before they are told: loses, delays and repeats them, bends price and time.

Plain code. Times are epoch seconds. Spoilt copies stand *beside* good ticks, so that nothing is missing whose loss
would have to be explained; they have the volume 0 and no number in the ledger.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.market import Dice
from pricestreamd.simulator.scenario import Scenario

SPOILT_EVERY = 10
"""So many good ticks for one spoilt copy."""

_LOST_EVERY = 40
_JUMP_EVERY = 40
_LATE_EVERY, _LATE_BY = 5, 3
_LAG_CYCLE, _LAG_SECONDS, _CATCH_UP_SECONDS = 60.0, 20.0, 10.0
_BURST_CYCLE, _BURST_SECONDS = 10.0, 1.0
_WEEK = 7 * 86_400.0


class Told(NamedTuple):
    """A tick on its way. `number`: in the ledger, 0 for none. One that is repeated is the same object again."""

    tick: Tick
    id: int
    number: int


class Distortion:
    """What `scene` does to the ticks of one simulator. `die`: numbers evenly spread over [0, 1)."""

    def __init__(self, scene: Scenario, die: Dice) -> None:
        self._scene = scene
        self._die = die
        self._count = 0
        self._since_jump: defaultdict[str, int] = defaultdict(int)
        self._late: deque[tuple[int, Told]] = deque()
        self._began: float | None = None

    @staticmethod
    def needed(scene: Scenario) -> bool:
        """Whether the scenario does anything to ticks at all."""
        return bool(
            scene.repeats > 1
            or scene.shuffle
            or scene.equal_times
            or scene.lag
            or scene.odd_times
            or scene.jump_percent
            or scene.lose
        )

    def apply(self, told: Sequence[Told], now: float) -> list[Told]:
        """What is told instead of these ticks."""
        if self._began is None:
            self._began = now
        return list(self._each(told, now - self._began))

    def _each(self, told: Sequence[Told], elapsed: float) -> Iterator[Told]:
        scene = self._scene
        losing = 0
        for good in told:
            self._count += 1
            if scene.lose and self._count % _LOST_EVERY == 0:
                losing = 1 + math.floor(3 * self._die())
            if losing:
                losing -= 1
                continue
            one = good._replace(tick=self._changed(good.tick, elapsed))
            yield from self._released()
            if scene.shuffle and self._count % _LATE_EVERY == 0:
                self._late.append((self._count + _LATE_BY, one))
                continue
            for _ in range(scene.repeats):
                yield one
            if scene.odd_times and self._count % SPOILT_EVERY == 0:
                yield self._at_odd_time(one)

    def _released(self) -> Iterator[Told]:
        while self._late and self._late[0][0] <= self._count:
            yield self._late.popleft()[1]

    def _changed(self, tick: Tick, elapsed: float) -> Tick:
        scene = self._scene
        price, time = tick.price, tick.timestamp - lag(scene.lag, elapsed)
        if scene.equal_times:
            time -= time % scene.equal_times
        if scene.jump_percent:
            self._since_jump[tick.symbol] += 1
            if self._since_jump[tick.symbol] % _JUMP_EVERY == 0:
                way = 1 if self._die() < 0.5 else -1
                price = round(price * max(0.01, 1 + way * scene.jump_percent / 100), 5)
        if price == tick.price and time == tick.timestamp:
            return tick
        return Tick(tick.symbol, price, time, tick.received_at, tick.volume, tick.currency, tick.feed)

    def _at_odd_time(self, one: Told) -> Told:
        """A copy of next week, of 1970, or in another unit."""
        tick, turn = one.tick, self._count // SPOILT_EVERY
        time = (tick.timestamp + _WEEK, 0.0, tick.timestamp * 1000)[turn % 3]
        return one._replace(tick=Tick(tick.symbol, tick.price, time, tick.received_at, 0.0, None, tick.feed), number=0)


def lag(seconds: float, elapsed: float) -> float:
    """How far behind times are, `elapsed` seconds after the first tick: all of it, then less and less, then nothing."""
    if not seconds:
        return 0.0
    at = elapsed % _LAG_CYCLE
    if at < _LAG_SECONDS:
        return seconds
    return seconds * max(0.0, 1 - (at - _LAG_SECONDS) / _CATCH_UP_SECONDS)


def bursting(elapsed: float) -> bool:
    """Whether this second, `elapsed` since the first tick, is one of those with many ticks."""
    return elapsed % _BURST_CYCLE < _BURST_SECONDS
