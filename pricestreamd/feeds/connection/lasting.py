"""What a session keeps over its connections: the symbols, what is known of the silence, and the present adapter.

Each open connection reads it and changes it, and leaves it to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pricestreamd.feeds.connection.backoff import Dice
from pricestreamd.feeds.connection.commands import Command, SymbolsRejected
from pricestreamd.feeds.connection.requests import Requests
from pricestreamd.feeds.connection.staleness import Staleness
from pricestreamd.feeds.connection.subscriptions import Subscriptions
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.base import Adapter


@dataclass(slots=True)
class Lasting:
    """`adapter` is that of the present or the last dial. `market_open`: whether prices may be expected of any symbol.

    `missing`: prices were missed before the next connection, which was not what the user asked for.
    `last_heartbeat`: when a pong or a heartbeat was heard last, on the clock of `now`.
    """

    name: str
    settings: FeedSettings
    dice: Dice
    adapter: Adapter
    subscriptions: Subscriptions
    requests: Requests
    staleness: Staleness = field(default_factory=Staleness)
    complaints: OncePer = field(default_factory=lambda: OncePer(60.0))
    market_open: bool = True
    missing: bool = False
    last_heartbeat: float | None = None
    # The keys of the symbols that the adapter knew as it was dialled.
    _dialled: frozenset[str] = frozenset()

    # --- the symbols

    def dial_with(self, adapter: Adapter) -> None:
        """Dial with a new `adapter`, which gets to know the wanted symbols."""
        adapter.follow(self.adapter)
        self.adapter = adapter
        self.take_in(self.subscriptions.wanted)
        self._dialled = frozenset(map(symbol_key, adapter.symbols))

    def take_in(self, symbols: Iterable[str]) -> dict[str, str]:
        """Let the adapter know `symbols`; return those that cannot even be said in its protocol, and why."""
        refused = {}
        for symbol in symbols:
            # One after the other: a symbol may be refused because of one that came before it.
            if (reason := self.adapter.refusal(symbol)) is None:
                self.adapter.symbols.add(symbol)
            else:
                self.adapter.symbols.remove(symbol)
                refused[symbol] = reason
        return refused

    def refuse(self, symbols: Mapping[str, str], now: float) -> Iterator[Command]:
        """Take `symbols`, each with its reason, as refused, and tell of those that were not refused before."""
        if news := self.subscriptions.refuse(symbols, now):
            yield SymbolsRejected(news)

    def dialled(self) -> list[str]:
        """The wanted symbols that the present connection was dialled with."""
        return [symbol for symbol in self.subscriptions.wanted if symbol_key(symbol) in self._dialled]

    @property
    def has_other_symbols(self) -> bool:
        """Whether the present connection was dialled with other symbols than those that are known now."""
        return frozenset(map(symbol_key, self.adapter.symbols)) != self._dialled

    # --- silence

    def data_limit(self) -> float | None:
        """How long, in seconds, the present connection may bring no price; None: for ever."""
        limit = self.settings.stale_after.connection
        # How often a provider may be polled is its own business: only who says so expects a price by a certain time.
        rare = self.adapter.profile.transport == "poll" and not self.settings.stale_after.connection_is_written
        expected = self.market_open and not rare and self.subscriptions.confirmed_count
        if limit is None or limit == "learned" or not expected:
            return None  # whoever knows the rhythm of the symbols says when it is too long
        return self.staleness.allowed(limit)
