"""What the journal writes and reads back, made of the stream's own records and of rows of the state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from pricestreamd.model.events import PriceAlert, to_json
from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.state.rows import AlertStateRow, Delivery, EventRow, Place, PriceRow, SavedState
from pricestreamd.stream.alerts.record import AlertRecord, ConditionRecord
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


def put_back(board: Board, saved: SavedState, unreadable: Callable[[str], object], *, now: float) -> list[Place]:
    """Give alerts their states and symbols their last prices; the places of alerts that are no more are returned.

    `now`, epoch seconds: since the last price of its feed nobody has watched a symbol, and what has to hold did not.
    """
    gone = [(row.alert_id, row.symbol) for row in saved.alert_states if board.rule(row.alert_id) is None]
    known = set(gone)
    rows = [row for row in saved.alert_states if (row.alert_id, row.symbol) not in known]
    watched_until = _watched_until(saved.prices)
    board.restore(
        _without_unwatched(record, watched_until.get(record.symbol, -math.inf), now)
        for record in _records(rows, unreadable)
    )
    for price in saved.prices:
        board.restore_price(
            price.symbol, price.price, price.timestamp, price.received_at, price.volume, price.currency, price.feed
        )
    return gone


def _watched_until(prices: Sequence[PriceRow]) -> Mapping[str, float]:
    """By the key of a symbol, when its feed was last heard of."""
    by_feed: dict[str, float] = {}
    for price in prices:
        by_feed[price.feed] = max(by_feed.get(price.feed, -math.inf), price.received_at)
    return {symbol_key(price.symbol): by_feed[price.feed] for price in prices}


def _without_unwatched(record: AlertRecord, until: float, now: float) -> AlertRecord:
    """`record` as if what holds had begun later, by the time in which nobody watched."""

    def later(condition: ConditionRecord) -> ConditionRecord:
        since, begun_at = condition.holds_since, condition.begun_at
        if since is None or begun_at is None:
            return condition
        lost = max(0.0, now - max(until, since))
        return replace(condition, holds_since=since + lost, begun_at=begun_at + lost)

    return replace(record, conditions=tuple(map(later, record.conditions)))


def _records(rows: Iterable[AlertStateRow], unreadable: Callable[[str], object]) -> list[AlertRecord]:
    records = []
    for row in rows:
        try:
            records.append(_record.decode(row.record))
        except msgspec.DecodeError as exc:
            unreadable(f"the state of alert {row.alert_id} on {row.symbol} cannot be read ({exc}); it begins anew")
    return records
