"""A tick: one price, as one provider told it."""

from __future__ import annotations

import math

import msgspec


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One price of one symbol.

    `symbol` has the configured spelling. `price` is in the instrument's currency. `timestamp` is when the price was
    made and `received_at` when its bytes were read, both UTC epoch seconds; they are equal where the provider gives
    no time. `volume` is what the provider reports (its profile says which kind), None if nothing.

    Field order is part of the contract: adapters build ticks by position, because that is the fastest way.
    """

    symbol: str
    price: float
    timestamp: float
    received_at: float
    volume: float | None = None
    currency: str | None = None
    feed: str = ""
    late: bool = False
    """Asked for after the fact, because the stream had a gap."""


# A price is a positive number below 2**64: whatever is larger is another field read by mistake.
PRICE_LIMIT = float(2**64)
# Below this, moves in per cent are no finite numbers any more; no instrument is so cheap.
PRICE_FLOOR = 1e-100


def price_fault(price: object) -> str | None:
    """Say why `price` cannot be a price: `missing`, `type`, `not_finite`, `not_positive`, or None if it can be."""
    if price is None:
        return "missing"
    if isinstance(price, bool) or not isinstance(price, int | float):
        return "type"
    if isinstance(price, float) and not math.isfinite(price):
        return "not_finite"
    if price < PRICE_FLOOR:
        return "not_positive"
    return "type" if price >= PRICE_LIMIT else None


def symbol_key(symbol: str) -> str:
    """The form in which symbols are compared: case and surrounding space do not matter."""
    return symbol.strip().upper()
