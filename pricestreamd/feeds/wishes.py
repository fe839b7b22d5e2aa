"""Who wants which symbol: a symbol is wanted while anybody wants it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pricestreamd.model.interface import SymbolSource
from pricestreamd.model.tick import symbol_key

Wisher = Literal["yaml", "watchlist", "api", "backup"]
"""The configuration, a watchlist, a program, or another feed that this one stands in for."""


class Wishes:
    """The symbols that each wisher of one feed wants."""

    def __init__(self) -> None:
        self._wanted: dict[Wisher, dict[str, str]] = {"yaml": {}, "watchlist": {}, "api": {}, "backup": {}}

    def replace(self, wisher: Wisher, symbols: Iterable[str]) -> tuple[list[str], list[str]]:
        """`wisher` wants these now instead of those before: what it wants that is new, and what nobody wants any more.

        What it wanted before and was given up meanwhile does not come back by being named again.
        """
        before = self._wanted[wisher]
        self._wanted[wisher] = after = {symbol_key(symbol): symbol for symbol in symbols}
        kept = {key for wanted in self._wanted.values() for key in wanted}
        new = [symbol for key, symbol in after.items() if key not in before]
        return new, [symbol for key, symbol in before.items() if key not in kept]

    def add(self, wisher: Wisher, symbols: Iterable[str]) -> None:
        """`wisher` wants these, too."""
        self._wanted[wisher].update((symbol_key(symbol), symbol) for symbol in symbols)

    def withdraw(self, wisher: Wisher, symbols: Iterable[str]) -> None:
        """`wisher` wants these no longer."""
        for symbol in symbols:
            self._wanted[wisher].pop(symbol_key(symbol), None)

    def source(self, symbol: str) -> SymbolSource:
        """Where `symbol` comes from, for those who ask; a backup's come from the other feed's configuration."""
        key = symbol_key(symbol)
        if key in self._wanted["watchlist"] and key not in self._wanted["yaml"]:
            return "watchlist"
        return "yaml" if key in self._wanted["yaml"] or key in self._wanted["backup"] else "api"
