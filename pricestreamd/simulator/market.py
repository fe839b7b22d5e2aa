"""Synthetic prices: one random walk per symbol, sensible to look at and the same for the same dice.

A price is a whole number of the symbol's smallest steps, so it never shows digits that a market would not quote. A
tick moves it by some 0.05 %, now and then by ten times that; a faint pull towards the start keeps it near for good.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

Dice = Callable[[], float]
"""Numbers evenly spread over [0, 1)."""

# Three dice together have a spread of 0.5: this makes it 0.05 % of the price.
_MOVE = 0.001
_LEAP_EVERY = 800
_LEAP = 12.0
# A walk of so many ticks forgets where it was: it stays within some 1 % of its start, most of the time.
_PULL = 1 / 1000


class Quotation(NamedTuple):
    """Where a walk begins, and how many decimals its market quotes."""

    price: float
    decimals: int


_KNOWN = {
    "AAPL": Quotation(232.5, 2),
    "AMZN": Quotation(205.0, 2),
    "BAC": Quotation(44.2, 2),
    "GOOGL": Quotation(178.0, 2),
    "IBM": Quotation(225.0, 2),
    "META": Quotation(575.0, 2),
    "MSFT": Quotation(428.0, 2),
    "NVDA": Quotation(140.0, 2),
    "SPY": Quotation(590.0, 2),
    "TSLA": Quotation(250.0, 2),
    "BTC/USD": Quotation(68_000.0, 2),
    "ETH/USD": Quotation(2_650.0, 2),
    "EUR/USD": Quotation(1.085, 5),
    "GBP/USD": Quotation(1.295, 5),
    "USD/JPY": Quotation(152.4, 3),
    "BTCUSDT": Quotation(68_000.0, 2),
    "ETHUSDT": Quotation(2_650.0, 2),
    "BNBUSDT": Quotation(600.0, 2),
    "SOLUSDT": Quotation(180.0, 2),
    "XRPUSDT": Quotation(0.52, 4),
    "ETHBTC": Quotation(0.039, 5),
    "BNBBTC": Quotation(0.0088, 6),
    "XAU/USD": Quotation(2_650.0, 2),
    "XAG/USD": Quotation(31.2, 3),
}
# Where the walk of an unknown symbol begins: anywhere in the span, evenly over its orders of magnitude.
_SHARES = (20.0, 400.0)
_PAIRS = (0.5, 2.0)


class Walk:
    """The price of one symbol, step by step. `volume` is the size of the trade that made the price."""

    __slots__ = ("_dice", "_scale", "_start", "_units")

    def __init__(self, start: Quotation, dice: Dice) -> None:
        self._dice = dice
        self._scale = float(10**start.decimals)
        self._start = self._units = max(1, round(start.price * self._scale))

    @property
    def price(self) -> float:
        """Where it stands."""
        return self._units / self._scale

    def step(self) -> float:
        """The next price: positive, with at most the quoted decimals."""
        dice, units = self._dice, self._units
        move = (dice() + dice() + dice() - 1.5) * _MOVE * units
        if dice() * _LEAP_EVERY < 1.0:
            move *= _LEAP
        units += math.floor(move + (self._start - units) * _PULL + 0.5)
        self._units = units = max(1, units)
        return units / self._scale

    def size(self) -> float:
        """The size of a trade: mostly small, seldom large, 100 shares and more one time in a hundred."""
        return float(math.floor(1.0 / (0.999 * self._dice() + 0.001)))


class Market:
    """All walks of one world. `dice(symbol)` gives each symbol its own dice, so that no walk depends on the others."""

    def __init__(self, dice: Callable[[str], Dice]) -> None:
        self._dice = dice
        self._walks: dict[str, Walk] = {}

    def walk(self, symbol: str) -> Walk:
        """The walk of `symbol`, begun when it is first asked for."""
        walk = self._walks.get(symbol)
        if walk is None:
            dice = self._dice(symbol)
            walk = self._walks[symbol] = Walk(_KNOWN.get(symbol) or _anywhere(symbol, dice), dice)
        return walk


def _anywhere(symbol: str, dice: Dice) -> Quotation:
    pair = "/" in symbol
    low, high = _PAIRS if pair else _SHARES
    if pair and symbol.endswith("/JPY"):
        return Quotation(100.0 * low * (high / low) ** dice(), 3)
    return Quotation(low * (high / low) ** dice(), 5 if pair else 2)
