"""What the journal writes and reads back, made of the stream's own records and of rows of the state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from pricestreamd.model.events import PriceAlert, to_json
from pricestreamd.model.tick import Tick
from pricestreamd.state.rows import AlertStateRow, Delivery, EventRow, Place, PriceRow, SavedState
from pricestreamd.stream.alerts.record import AlertRecord
from pricestreamd.stream.board import Board

_record = msgspec.json.Decoder(AlertRecord)


def event_row(alert: PriceAlert) -> EventRow:
    """A firing as the state keeps it."""
    return EventRow(alert.firing_id, alert.event, alert.symbol, alert.alert_id, alert.timestamp, to_json(alert))


def delivery_of(row: EventRow, sink: str, number: int) -> Delivery:
    """What `sink` owes of it, from now on; `number` 0: the outbox does not have it yet."""
    return Delivery(number, sink, row.event_id, row.event, row.body, created_at=time.time())


def price_row(symbol: str, tick: Tick) -> PriceRow:
    """The last price of `symbol`."""
    return PriceRow(symbol, tick.price, tick.timestamp, tick.received_at, tick.volume, tick.currency, tick.feed)


def put_back(board: Board, saved: SavedState, unreadable: Callable[[str], object]) -> list[Place]:
    """Give alerts their states and symbols their last prices; the places of alerts that are no more are returned."""
    gone = [(row.alert_id, row.symbol) for row in saved.alert_states if board.rule(row.alert_id) is None]
    known = set(gone)
    rows = [row for row in saved.alert_states if (row.alert_id, row.symbol) not in known]
    board.restore(_records(rows, unreadable))
    for price in saved.prices:
        board.restore_price(
            price.symbol, price.price, price.timestamp, price.received_at, price.volume, price.currency, price.feed
        )
    return gone


def _records(rows: Iterable[AlertStateRow], unreadable: Callable[[str], object]) -> list[AlertRecord]:
    records = []
    for row in rows:
        try:
            records.append(_record.decode(row.record))
        except msgspec.DecodeError as exc:
            unreadable(f"the state of alert {row.alert_id} on {row.symbol} cannot be read ({exc}); it begins anew")
    return records
