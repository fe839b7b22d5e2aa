"""Ticks as rows of the table `prices` of a PostgreSQL database: in the binary form of COPY, and as arrays.

    a signature, then flags and extension: 8 zero bytes
    a row:   int16 fields, then of each field int32 length and its bytes; length -1: null
    int16 -1 at the end

A time is microseconds since 2000-01-01 UTC; both forms round to the same microsecond, so that a row is the same row in
both. Source: https://www.postgresql.org/docs/current/sql-copy.html, Binary Format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct

from pricestreamd.model.events import PriceUpdate

COLUMNS = ("symbol", "timestamp", "received_at", "price", "volume", "feed", "sequence")

COPY_BEGIN = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_END = b"\xff\xff"

_FIELDS = len(COLUMNS).to_bytes(2, "big")
_TIMES_AND_PRICE = Struct(">iqiqid").pack
_VOLUME = Struct(">id").pack
_SEQUENCE = Struct(">iq").pack
_NULL = b"\xff\xff\xff\xff"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FROM_1970_TO_2000 = 946_684_800_000_000


def binary_rows(ticks: Iterable[PriceUpdate]) -> list[bytes]:
    """The pieces of the rows of `ticks`, to be joined.

    Raises:
        ValueError, OverflowError, struct.error: a value has no form in PostgreSQL.
    """
    pieces: list[bytes] = []
    for tick in ticks:
        volume = tick.volume
        pieces += (
            _text(tick.symbol),
            _TIMES_AND_PRICE(
                8,
                _microseconds(tick.timestamp) - _FROM_1970_TO_2000,
                8,
                _microseconds(tick.received_at) - _FROM_1970_TO_2000,
                8,
                tick.price,
            ),
            _NULL if volume is None else _VOLUME(8, volume),
            _field(tick.feed),
            _SEQUENCE(8, tick.sequence),
        )
    return pieces


def columns_of(ticks: Sequence[PriceUpdate]) -> list[list[object]]:
    """One list a column, in the order of `COLUMNS`; raises as `binary_rows`."""
    rows = (
        (tick.symbol, _time(tick.timestamp), _time(tick.received_at), tick.price, tick.volume, tick.feed, tick.sequence)
        for tick in ticks
    )
    return [list(column) for column in zip(*rows, strict=True)]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


def _time(seconds: float) -> datetime:
    return _EPOCH + timedelta(microseconds=_microseconds(seconds))


# More than the symbols of a large market.
@lru_cache(maxsize=65_536)
def _text(symbol: str) -> bytes:
    return _FIELDS + _field(symbol)


@lru_cache(maxsize=256)
def _field(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded
