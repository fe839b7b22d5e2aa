"""All that the stream knows of one symbol, in one object: a tick finds it with one look-up."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from pricestreamd.model.tick import Tick
from pricestreamd.stream.alerts import AlertBook
from pricestreamd.stream.history import History
from pricestreamd.stream.settings import SuspectSettings


@dataclass(slots=True, eq=False)
class Suspicion:
    """A print that jumped too far to be believed alone. `prints`: how many near one another so far."""

    price: float
    received_at: float
    prints: int = 1


@dataclass(slots=True, eq=False)
class SymbolState:
    """`price` and `timestamp` are those of the last believed tick; `price` is None until there is one."""

    symbol: str
    history: History | None
    alerts: AlertBook
    price: float | None = None
    timestamp: float = -math.inf
    reported: float = math.nan
    change: float = 0.0
    change_percent: float = 0.0
    updates: int = 0
    tick: Tick | None = None
    suspicion: Suspicion | None = None
    window: SpikeWindow | None = None


@dataclass(slots=True, eq=False)
class SpikeWindow:
    """The lowest and the highest price of the last `seconds`, each kept as a queue of candidates in time order."""

    seconds: float
    _lows: deque[tuple[float, float]] = field(default_factory=deque)
    _highs: deque[tuple[float, float]] = field(default_factory=deque)

    def move(self, timestamp: float, price: float) -> float:
        """The signed move in per cent from the extreme that is farthest from `price`; then `price` joins the window."""
        lows, highs, oldest = self._lows, self._highs, timestamp - self.seconds
        while lows and lows[0][0] < oldest:
            lows.popleft()
        while highs and highs[0][0] < oldest:
            highs.popleft()
        up = 100.0 * (price - lows[0][1]) / lows[0][1] if lows else 0.0
        down = 100.0 * (price - highs[0][1]) / highs[0][1] if highs else 0.0
        while lows and lows[-1][1] >= price:
            lows.pop()
        while highs and highs[-1][1] <= price:
            highs.pop()
        lows.append((timestamp, price))
        highs.append((timestamp, price))
        return up if up >= -down else down

    def restart(self, timestamp: float, price: float) -> None:
        """Begin anew from `price`, so that one move is one spike."""
        for queue in (self._lows, self._highs):
            queue.clear()
            queue.append((timestamp, price))


@dataclass(frozen=True, slots=True)
class SuspicionRule:
    """When a print is not believed: a jump of `jump` per cent that no second print near it has confirmed.

    *Near* is within a quarter of the jump. The second print near it confirms within `confirm_within` seconds; later
    than that it takes a third one, so that a symbol which ticks rarely is never doubted for ever.
    """

    jump: float
    confirm_within: float

    @classmethod
    def from_settings(cls, settings: SuspectSettings | None) -> SuspicionRule | None:
        """The rule, or None where the guard is off."""
        return cls(settings.jump_percent, settings.confirm_within) if settings is not None else None

    def doubts(self, state: SymbolState, tick: Tick, percent: float) -> bool:
        """Whether `tick`, `percent` away from the last believed price, is a suspect print."""
        suspicion, last = state.suspicion, state.price
        if abs(percent) < self.jump and (suspicion is None or last is None):
            return False
        if suspicion is not None and last is not None:
            near = abs(tick.price - suspicion.price) <= abs(suspicion.price - last) / 4
            in_time = 0 <= tick.received_at - suspicion.received_at <= self.confirm_within
            if near and (in_time or suspicion.prints >= 2):
                state.suspicion = None
                return False
            if abs(percent) < self.jump:
                # Back where the market was: the print in between was a bad one.
                state.suspicion = None
                return False
            if near:
                state.suspicion = Suspicion(tick.price, tick.received_at, suspicion.prints + 1)
                return True
        state.suspicion = Suspicion(tick.price, tick.received_at)
        return True
