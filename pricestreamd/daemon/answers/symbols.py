"""The symbols that were added over the API: wanted, given up, and noted to be kept.

A symbol belongs to one feed, unless one is the backup of the other. The configuration comes first: what a reload gives
to another feed, the API's feed gives up, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from pricestreamd.config.suggest import comma_missing, did_you_mean, one_of
from pricestreamd.daemon.journal.keeping import Keeping, Limits
from pricestreamd.daemon.lost_symbols import lost_symbols
from pricestreamd.daemon.tracking import follow
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.http.control import AddedSymbols
from pricestreamd.http.problem import RefusalError, field_refusal
from pricestreamd.http.query import MAX_SYMBOL
from pricestreamd.model.interface import SymbolSource
from pricestreamd.model.tick import symbol_key
from pricestreamd.state.rows import StateChange, SymbolRow
from pricestreamd.stream.alert_rule import is_glob
from pricestreamd.stream.board import Board

_log = logging.getLogger(__name__)


class ApiSymbols:
    """`warn` gets sentences."""

    def __init__(
        self, board: Board, feeds: FeedGroup, keeping: Keeping, *, warn: Callable[[str], object], limits: Limits
    ) -> None:
        self._board = board
        self._feeds = feeds
        self._keeping = keeping
        self._warn = warn
        self._most = limits.symbols
        # (feed, symbol as it is compared) to its spelling.
        self._kept: dict[tuple[str, str], str] = {}
        # The same for feeds that are not there; they may come back.
        self._waiting: dict[tuple[str, str], str] = {}

    # --- at the start, and after a reload

    def restore(self, rows: Iterable[SymbolRow]) -> None:
        """Want what an earlier run has kept. What is of a feed that is not there stays there and is told of."""
        self._kept.update(((row.feed, symbol_key(row.symbol)), row.symbol) for row in rows)
        self.reconcile()

    def reconcile(self) -> None:
        """Want what is kept at the feeds that are there, and give up what another feed has by the configuration."""
        kept, self._kept = self._kept | self._waiting, {}
        for place, symbol in kept.items():
            feed = place[0]
            if feed in self._feeds.clients:
                self._kept[place] = symbol
                self._waiting.pop(place, None)
            elif place not in self._waiting:
                self._waiting[place] = symbol
                self._warn(f"{symbol} was added over the API to feed {feed}, which is not there: it stays kept")
        self._give_up()
        for (feed, _), symbol in self._kept.items():
            self._feeds.clients[feed].want([symbol])
        follow(self._board, self._feeds)

    def _give_up(self) -> None:
        for (feed, key), symbol in list(self._kept.items()):
            client = self._feeds.clients[feed]
            for other in self._others(client, key):
                if (other.name, key) not in self._kept:
                    self._warn(f"{symbol} belongs to feed {other.name} now: what the API had added to {feed} is gone")
                    self._forget(client, symbol)
                    break

    def keep_all(self) -> None:
        """Keep them once more: the file was replaced by a new one."""
        rows = [SymbolRow(feed, symbol) for (feed, _), symbol in (self._kept | self._waiting).items()]
        self._keeping.note(StateChange(symbols=rows))

    # --- changes

    def add(self, symbols: Sequence[str], feed: str | None) -> AddedSymbols:
        """See `Control.add_symbols`. A symbol that the feed has already, from wherever, stays as it is."""
        client = self._feed(feed)
        named: dict[str, str] = {}
        for index, symbol in enumerate(symbols):
            if fault := _fault(symbol):
                raise field_refusal(f"symbols[{index}]", fault)
            for other in self._others(client, symbol):
                text = f"{symbol.strip()} is a symbol of feed {other.name}, and belongs to one feed"
                raise field_refusal(f"symbols[{index}]", text, status=409)
            named.setdefault(symbol_key(symbol), symbol.strip())
        new = [symbol for key, symbol in named.items() if not client.wants(key)]
        if len(self._kept) + len(new) > self._most:
            raise RefusalError(409, f"{self._most} symbols can be added over the API, and no more: remove some.")
        if new:
            self._keeping.note(StateChange(symbols=[SymbolRow(client.name, symbol) for symbol in new]))
            self._kept.update(((client.name, symbol_key(symbol)), symbol) for symbol in new)
            client.want(new)
            self._board.track(new)
        reports = [report for report in client.symbol_reports() if symbol_key(report["symbol"]) in named]
        warnings = [f"{symbol}: {hint}" for symbol in named.values() if (hint := comma_missing(symbol))]
        return AddedSymbols(reports, new, warnings)

    def remove(self, symbol: str) -> list[str]:
        """See `Control.remove_symbol`."""
        wanting = list(self._wanting(symbol))
        if not wanting:
            raise RefusalError(404, "No such symbol is wanted. GET /api/v1/symbols lists those that are.")
        own = [(client, spelling) for client, spelling, source in wanting if source == "api"]
        if not own:
            client, spelling, source = wanting[0]
            where = "the watchlist" if source == "watchlist" else "the configuration"
            reload = "" if source == "watchlist" else " and reload"
            text = f"{spelling} is in {where} of feed {client.name}: remove it there{reload}."
            raise RefusalError(409, text, parameter="symbol")
        before = self._feeds.get_subscriptions()
        for client, spelling in own:
            self._forget(client, spelling)
        follow(self._board, self._feeds)
        warnings = lost_symbols(self._board.alerts(), before, self._feeds.get_subscriptions())
        for warning in warnings:
            _log.warning("%s removed over the API: %s", symbol, warning)
        return warnings

    def _wanting(self, symbol: str) -> Iterator[tuple[WebSocketClient, str, SymbolSource]]:
        """The feeds that want `symbol`, their spelling of it, and why they do."""
        key = symbol_key(symbol)
        for client in self._feeds.clients.values():
            for report in client.symbol_reports() if client.wants(key) else ():
                if symbol_key(report["symbol"]) == key:
                    yield client, report["symbol"], report["source"]

    def _forget(self, client: WebSocketClient, symbol: str) -> None:
        kept = self._kept.pop((client.name, symbol_key(symbol)), symbol)
        self._keeping.note(StateChange(symbols_gone=[SymbolRow(client.name, kept)]))
        client.unwant([symbol])

    def _feed(self, name: str | None) -> WebSocketClient:
        names = list(self._feeds.clients)
        if name is None:
            if len(names) > 1:
                raise field_refusal("feed", f"there are several: name {one_of(names)}")
            return self._feeds.clients[names[0]]
        if name not in names:
            hint = did_you_mean(name[:MAX_SYMBOL], names) or f"; there are {one_of(names)}"
            raise field_refusal("feed", f"no feed {name[:MAX_SYMBOL]!r}{hint}")
        return self._feeds.clients[name]

    def _others(self, client: WebSocketClient, symbol: str) -> list[WebSocketClient]:
        """The feeds that want `symbol` and may not share it with `client`."""
        return [other for other in self._feeds.strangers(client) if other.wants(symbol)]


def _fault(symbol: str) -> str | None:
    """Why a text is no symbol that can be added."""
    if not symbol.strip() or not symbol.isprintable():
        return "expected a symbol such as AAPL"
    if len(symbol) > MAX_SYMBOL:
        return f"a symbol has at most {MAX_SYMBOL} characters"
    return "a glob names no symbol: write each one" if is_glob(symbol) else None
