"""Where simulated prices come from: random walks, or a recorded file. Plain code; the player asks for the next ones."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Protocol

from pricestreamd.model.tick import PRICE_LIMIT, Tick
from pricestreamd.replay.csv_ticks import FEED
from pricestreamd.replay.readers import read_ticks
from pricestreamd.simulator.market import Dice, Market, Walk

# Rows of a file looked at in one go for those that somebody wants: some 3 ms, then other work gets its turn.
_LOOK_AHEAD = 4096
# And for one that somebody asks about: a quarter of a second.
_SEEK = 100_000
# Of symbols with rates of their own the busiest are so many times as busy as the quietest.
_BUSIEST = 50.0
# A quiet walk moves when somebody asks for its price, but not for two who ask together.
_STILL_SECONDS = 0.5


class Source(Protocol):
    """Gives the ticks of the world in order. `volume` of a tick is the size of the trade."""

    @property
    def exhausted(self) -> bool:
        """Whether the last tick was given."""

    def take(self, count: int, keys: Sequence[str], wanted: Mapping[str, bool], now: float) -> list[Tick]:
        """Up to `count` next ticks of wanted symbols; fewer, even none, does not mean that it is exhausted.

        `keys`: the keys that are wanted; `wanted`: the same for the symbols of ticks; `now`: epoch seconds.
        """

    def last(self, key: str, named: Callable[[str], str | None], now: float) -> Tick | None:
        """The price of `key` as it stands; None if there is none yet. `named`: the key of a tick's symbol."""


class SyntheticSource:
    """Walks of a market, one wanted symbol after the other, made now."""

    exhausted = False

    def __init__(self, market: Market) -> None:
        self._market = market
        self._turn = 0
        self._keys: Sequence[str] = ()
        self._walks: list[tuple[str, Walk]] = []
        self._stepped: dict[str, float] = {}

    def take(self, count: int, keys: Sequence[str], wanted: Mapping[str, bool], now: float) -> list[Tick]:  # noqa: ARG002 - its symbols are keys
        """The next `count` ticks."""
        if keys is not self._keys:
            self._walks = [(key, self._market.walk(key)) for key in keys]
            self._keys = keys
            self.wish(keys)
        return [Tick(key, walk.step(), now, now, walk.size(), None, FEED) for key, walk in self.choose(count)]

    def wish(self, keys: Sequence[str]) -> None:
        """Other keys are wanted from now on."""

    def choose(self, count: int) -> Sequence[tuple[str, Walk]]:
        """Whose turn it is: everybody's, one after the other."""
        walks = self._walks
        if not walks:
            return ()
        start = self._turn % len(walks)
        self._turn = start + count
        rounds = [*walks[start:], *walks[:start]] * (count // len(walks) + 1)
        return rounds[:count]

    def last(self, key: str, named: Callable[[str], str | None], now: float) -> Tick:  # noqa: ARG002 - its symbols are keys
        """Where the walk stands. One that nobody follows goes a step."""
        walk = self._market.walk(key)
        if key not in self._keys and now - self._stepped.get(key, 0.0) > _STILL_SECONDS:
            self._stepped[key] = now
            walk.step()
        return Tick(key, walk.price, now, now, walk.size(), None, FEED)


class UnevenSource(SyntheticSource):
    """Walks that each have a rate of their own: who is next is random. `dice(symbol)`: whence its share; `die`: who.

    At the moments of a Poisson process this makes each symbol a Poisson process, independent of the others.
    """

    def __init__(self, market: Market, dice: Callable[[str], Dice], die: Dice) -> None:
        super().__init__(market)
        self._dice = dice
        self._die = die
        self._bounds: list[float] = []

    def wish(self, keys: Sequence[str]) -> None:
        """Shares are the same for the same symbol; together they are the whole rate."""
        self._bounds = list(accumulate(_BUSIEST ** self._dice(f"rate of {key}")() for key in keys))

    def choose(self, count: int) -> Sequence[tuple[str, Walk]]:
        """Anybody's, by the shares."""
        if not self._walks:
            return ()
        whole, last = self._bounds[-1], len(self._walks) - 1
        return [self._walks[min(bisect(self._bounds, self._die() * whole), last)] for _ in range(count)]


class FileSource:
    """Recorded ticks, as they are. Opening reads the first one, so that a file that cannot be used says so at once.

    Rows without a usable price are passed over and counted in `unusable`: no provider could have sent them.

    Raises:
        ReplayInputError: a file cannot be used; when opened, or later in `take`.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.unusable = 0
        self.exhausted = False
        ticks = read_ticks(paths, on_reject=self._count)
        self._ticks: Iterator[Tick] = chain(list(islice(ticks, 1)), ticks)
        self._last: dict[str, Tick] = {}
        self._sought: set[str] = set()

    def _count(self, reason: str, place: str) -> None:  # noqa: ARG002 - the shape of the hook
        self.unusable += 1

    def take(self, count: int, keys: Sequence[str], wanted: Mapping[str, bool], now: float) -> list[Tick]:  # noqa: ARG002 - the times are the file's
        """The next ticks that are wanted; those that nobody wants are passed over."""
        taken: list[Tick] = []
        tick = None
        for tick in islice(self._ticks, _LOOK_AHEAD):
            if wanted[tick.symbol]:
                if not 0.0 < tick.price < PRICE_LIMIT:
                    self.unusable += 1
                    continue
                taken.append(tick)
                if len(taken) >= count:
                    break
        self.exhausted = tick is None
        self._last.update((tick.symbol, tick) for tick in taken)
        return taken

    def last(self, key: str, named: Callable[[str], str | None], now: float) -> Tick | None:  # noqa: ARG002 - as above
        """The last tick that was taken."""
        found = (tick for symbol, tick in self._last.items() if named(symbol) == key)
        return max(found, key=lambda tick: tick.timestamp, default=None)

    def seek(self, key: str, wanted: Mapping[str, bool]) -> Tick | None:
        """The next tick of `key` without taking it; None if it is far away. Looks only once for the same key."""
        if key in self._sought:
            return None
        self._sought.add(key)
        ahead: list[Tick] = []
        for tick in islice(self._ticks, _SEEK):
            ahead.append(tick)
            if wanted[tick.symbol]:
                break
        self._ticks = chain(ahead, self._ticks)
        return ahead[-1] if ahead and wanted[ahead[-1].symbol] else None
