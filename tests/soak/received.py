"""How often each tick has come: a table of bytes, made whole at the start so that it never grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pricestreamd.model.tick import Tick
from tests.soak.world import World

# A byte counts no further. So many equal ticks are too many anyway.
_MOST = 255


class Received:
    """A callback for ticks. `names`: the symbols of `world`, as they are configured, in its order."""

    def __init__(self, world: World, names: Sequence[str]) -> None:
        self._starts: Mapping[str, int] = dict(zip(names, world.starts, strict=False))
        # Ones first: pages that were never written take no memory, and would look like a leak when they do.
        self.table = bytearray(b"\x01") * world.starts[-1]
        self.table[:] = bytes(len(self.table))
        self.count = 0
        self.absent: set[str] = set()
        """Symbols that are not wanted now."""
        self.unwanted = 0
        """Ticks of such symbols."""
        self.late = 0
        """Prices that were asked for after the fact; they may be any."""

    def __call__(self, tick: Tick) -> None:
        if tick.symbol in self.absent:
            self.unwanted += 1
        if tick.late:
            self.late += 1
            return
        place = self._starts[tick.symbol] + int(tick.price) - 1
        self.count += 1
        if self.table[place] < _MOST:
            self.table[place] += 1
