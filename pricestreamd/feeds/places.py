"""The places of a feed's symbols: each wanted one has a slot, as far as there is room, and the rest wait for some.

A further slot is begun when the symbols need it, and given up when it has none left. What a connection is told of its
share is told to the one that will take its place, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping

from pricestreamd.feeds.allowance import Allowance
from pricestreamd.feeds.announcer import Announcer
from pricestreamd.feeds.connection.connection import Connection
from pricestreamd.feeds.placement import Room, place
from pricestreamd.feeds.slots import Slots
from pricestreamd.model.tick import symbol_key

_now = time.monotonic


class Places:
    """Where the symbols of the feed that `announcer` speaks for are, within the `allowance`.

    `leave(slot)` gives a slot up; `arranged` is called whenever the shares may have changed.
    """

    def __init__(
        self,
        slots: Slots,
        allowance: Allowance,
        announcer: Announcer,
        *,
        leave: Callable[[int], object],
        arranged: Callable[[], object],
    ) -> None:
        self._slots = slots
        self._allowance = allowance
        self._announcer = announcer
        self._leave = leave
        self._arranged = arranged
        self._wanted: dict[str, str] = {}
        self._placed: dict[str, int] = {}
        self._asked: set[str] = set()
        self._arranging = self._arrange_again = False
        self.named: list[str] = []
        """The symbols without a place that the operator was told of last."""

    @property
    def wanted(self) -> list[str]:
        """The wanted symbols, in the order in which they were asked for."""
        return list(self._wanted.values())

    def __contains__(self, symbol: str) -> bool:
        return symbol_key(symbol) in self._wanted

    def want(self, symbols: Iterable[str]) -> None:
        """Want `symbols`; one that was refused is asked for again."""
        asked = {symbol_key(symbol): symbol.strip() for symbol in symbols}
        for key, symbol in asked.items():
            self._wanted.setdefault(key, symbol)
        self.arrange(asked.keys())

    def unwant(self, symbols: Iterable[str]) -> list[str]:
        """Want `symbols` no longer; those that were wanted are returned as they were spelled."""
        spelled = (self._wanted.pop(symbol_key(symbol), None) for symbol in symbols)
        gone = [symbol for symbol in spelled if symbol is not None]
        self.arrange()
        return gone

    def connection_of(self, symbol: str) -> Connection | None:
        """The connection that `symbol` has a place on; None if it has none."""
        slot = self._placed.get(symbol_key(symbol))
        return None if slot is None else self._slots.connections.get(slot)

    @property
    def unplaced(self) -> list[str]:
        """The wanted symbols that have no place on any connection."""
        return [symbol for key, symbol in self._wanted.items() if key not in self._placed]

    def settled(self, symbols: Iterable[str]) -> bool:
        """Whether there is nothing to wait for: each is confirmed, refused, without a place, or wanted no longer."""
        placed = ((self.connection_of(symbol), symbol) for symbol in symbols)
        return all(place is None or place.session.subscriptions.settled([symbol]) for place, symbol in placed)

    @property
    def room(self) -> Room:
        """What the symbols have room on now."""
        return self._allowance.room(self._slots.connections)

    def arrange(self, asked: Collection[str] = ()) -> None:
        """Give every wanted symbol its place, and tell the connections whose share has changed.

        `asked`: keys to ask for again. What a connection says to its new share may ask for another arrangement.
        """
        self._asked.update(asked)
        if self._arranging:
            self._arrange_again = True
            return
        self._arranging = True
        try:
            while True:
                self._arrange_again = False
                asked, self._asked = self._asked, set()
                self._arrange_once(asked)
                if not self._arrange_again:
                    break
        finally:
            self._arranging = False
        self._name_unplaced()
        self._arranged()

    def _name_unplaced(self) -> None:
        unplaced = self.unplaced
        if unplaced != self.named:
            self.named = unplaced
            if unplaced:
                self._announcer.unplaced(unplaced, len(self._wanted), self._allowance.in_words())

    def _arrange_once(self, asked: Collection[str]) -> None:
        slots = self._slots
        refused = {key for one in slots.connections.values() for key in one.session.subscriptions.rejected}
        before, after = self._placed, place(self._wanted, self._placed, refused.difference(asked), self.room)
        self._placed = after
        now = _now()
        for slot, keys in _by_slot(before, lambda key, slot: after.get(key) != slot).items():
            for one in slots.heard_of(slot):
                one.perform(one.session.unwant(keys, now))
        for slot, keys in _by_slot(after, lambda key, slot: before.get(key) != slot or key in asked).items():
            if slot not in slots.connections:
                slots.fill(slot)
            for one in slots.of(slot):
                one.perform(one.session.want([self._wanted[key] for key in keys], now))
        used = set(after.values()) or {min(slots.connections, default=0)}
        for slot in [slot for slot in slots.connections if slot not in used]:
            self._leave(slot)


def _by_slot(placed: Mapping[str, int], which: Callable[[str, int], bool]) -> dict[int, list[str]]:
    """The keys for which `which` is true, slot by slot."""
    found: dict[int, list[str]] = {}
    for key, slot in placed.items():
        if which(key, slot):
            found.setdefault(slot, []).append(key)
    return found
