"""All that the stream knows of one symbol, in one object: a tick finds it with one look-up."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from pricestreamd.model.tick import Tick
from pricestreamd.stream.alerts.book import AlertBook
from pricestreamd.stream.history import History
from pricestreamd.stream.settings import SuspectSettings

# After so many prints in a row, each far from the last price and from one another, it is the last price that is wrong.
_MOST_DOUBTED = 8


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A print that jumped too far to be believed alone. `prints`: how many near it so far, itself among them."""

    price: float
    received_at: float
    prints: int


@dataclass(slots=True, eq=False)
class SymbolState:
    """`price` and `timestamp` are those of the last believed tick; `price` is None until there is one.

    `suspicions` hold while no further tick was believed: while `updates` is still `doubted_since`. `gap_before` is the
    number of the tick before which data was missed, `switched_at` that of the last one before another feed took over.
    """

    symbol: str
    history: History | None
    alerts: AlertBook
    price: float | None = None
    timestamp: float = -math.inf
    reported: float = math.nan
    change: float = 0.0
    change_percent: float = 0.0
    updates: int = 0
    gap_before: int = 0
    switched_at: int = 0
    tick: Tick | None = None
    suspicions: list[Suspicion] = field(default_factory=list)
    doubted_since: int = 0
    window: SpikeWindow | None = None


@dataclass(slots=True, eq=False)
class SpikeWindow:
    """The lowest and the highest price of the last `seconds`, each kept as a queue of candidates in time order.

    The last price is always among them: a symbol that ticks rarely is compared with its previous tick at least.
    """

    seconds: float
    _lows: deque[tuple[float, float]] = field(default_factory=deque)
    _highs: deque[tuple[float, float]] = field(default_factory=deque)

    def move(self, timestamp: float, price: float) -> float:
        """The signed move in per cent from the extreme that is farthest from `price`; then `price` joins the window."""
        lows, highs = self._lows, self._highs
        if not lows:
            self.restart(timestamp, price)
            return 0.0
        # Where late ticks are accepted, the clock is the largest timestamp so far.
        now = max(timestamp, lows[-1][0])
        oldest = now - self.seconds
        for queue in (lows, highs):
            while len(queue) > 1 and queue[0][0] < oldest:
                queue.popleft()
        up = 100.0 * (price - lows[0][1]) / lows[0][1]
        down = 100.0 * (price - highs[0][1]) / highs[0][1]
        while lows and lows[-1][1] >= price:
            lows.pop()
        while highs and highs[-1][1] <= price:
            highs.pop()
        lows.append((now, price))
        highs.append((now, price))
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
    than that it takes a third one. A print back near the last price clears all suspicions. No symbol is doubted for
    ever: not one that ticks rarely, nor one that jumps about.
    """

    jump: float
    confirm_within: float

    @classmethod
    def from_settings(cls, settings: SuspectSettings | None) -> SuspicionRule | None:
        """The rule, or None where the guard is off."""
        return cls(settings.jump_percent, settings.confirm_within) if settings is not None else None

    def doubts(self, state: SymbolState, last: float, tick: Tick, percent: float) -> bool:
        """Whether `tick`, `percent` away from the `last` believed price, is a suspect print; it is remembered then."""
        if state.doubted_since != state.updates:
            state.suspicions.clear()
            state.doubted_since = state.updates
        prints = 0
        for seen in state.suspicions:
            if abs(tick.price - seen.price) <= abs(seen.price - last) / 4:
                if seen.prints > 1 or 0 <= tick.received_at - seen.received_at <= self.confirm_within:
                    return False
                prints = seen.prints
        if abs(percent) < self.jump or len(state.suspicions) >= _MOST_DOUBTED:
            return False
        state.suspicions.append(Suspicion(tick.price, tick.received_at, prints + 1))
        return True
