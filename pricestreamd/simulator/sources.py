"""Where simulated prices come from: random walks, or a recorded file. Plain code; the server asks for the next ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from pricestreamd.model.tick import PRICE_LIMIT, Tick
from pricestreamd.replay.csv_ticks import FEED
from pricestreamd.replay.readers import read_ticks
from pricestreamd.simulator.market import Market

# Rows of a file looked at in one go for those that somebody wants: some 3 ms, then other work gets its turn.
_LOOK_AHEAD = 4096


class Source(Protocol):
    """Gives the ticks of the world in order. `volume` of a tick is the size of the trade."""

    @property
    def exhausted(self) -> bool:
        """Whether the last tick was given."""

    def take(self, count: int, keys: Sequence[str], wanted: Mapping[str, bool], now: float) -> list[Tick]:
        """Up to `count` next ticks of wanted symbols; fewer, even none, does not mean that it is exhausted.

        `keys`: the keys that are wanted; `wanted`: the same for the symbols of ticks; `now`: epoch seconds.
        """


class SyntheticSource:
    """Walks of a market, one wanted symbol after the other, made now."""

    exhausted = False

    def __init__(self, market: Market) -> None:
        self._market = market
        self._turn = 0

    def take(self, count: int, keys: Sequence[str], wanted: Mapping[str, bool], now: float) -> list[Tick]:  # noqa: ARG002 - its symbols are keys
        """The next `count` ticks."""
        walks = [(key, self._market.walk(key)) for key in keys]
        if not walks:
            return []
        start = self._turn % len(walks)
        self._turn = start + count
        rounds = [*walks[start:], *walks[:start]] * (count // len(walks) + 1)
        return [Tick(key, walk.step(), now, now, walk.size(), None, FEED) for key, walk in rounds[:count]]


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
        return taken
