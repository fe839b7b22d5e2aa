"""When a backup feed takes over, and when it gives back: neither at every hiccup, nor for ever.

A symbol is taken over when its own feed has not delivered it for some seconds: an ordinary reconnect is over by then.
A feed that is stale or refused has been silent for long enough: its symbols are taken over at once. They are given back
when their own feed has delivered for some time without a break, or at once when the backup is down itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

# Down for so many seconds: longer than the first attempts of a reconnect take.
PATIENCE = 5.0
# Up again for so many seconds: as long as a connection needs to prove itself.
SETTLED = 10.0


@dataclass(frozen=True, slots=True)
class Handover:
    """Symbols that changed hands: the backup has `taken` these, and has `given_back` those."""

    taken: frozenset[str] = frozenset()
    given_back: frozenset[str] = frozenset()


class Takeover:
    """Which symbols of a feed its backup serves. Times are those of one monotonic clock."""

    def __init__(self, patience: float = PATIENCE, settled: float = SETTLED) -> None:
        self._patience = patience
        self._settled = settled
        self._down_since: dict[str, float] = {}
        self._up_since: dict[str, float] = {}
        self.taken: frozenset[str] = frozenset()

    def look(
        self, symbols: Iterable[str], down: AbstractSet[str], stale: AbstractSet[str], now: float, *, backup_live: bool
    ) -> Handover:
        """Judge all `symbols` of the feed; `down` are not delivered now, `stale` among them for long."""
        symbols = frozenset(symbols)
        self._down_since = {symbol: self._down_since.get(symbol, now) for symbol in symbols & down}
        self._up_since = {symbol: self._up_since.get(symbol, now) for symbol in self.taken & symbols - down}
        taken = {
            symbol for symbol, since in self._down_since.items() if symbol in stale or now - since >= self._patience
        } - self.taken
        back = (self.taken - symbols) | {
            symbol for symbol, since in self._up_since.items() if now - since >= self._settled or not backup_live
        }
        self.taken = (self.taken | taken) - back
        return Handover(frozenset(taken), frozenset(back))
