"""What has fired, for those who ask over the API: with what was tried to deliver it, and what is owed of it.

The state has it. What the state could not take yet, because its disk is full or hangs, is in memory, and is told of
too: those firings were delivered from there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pricestreamd.daemon.answers.outbox import ApiOutbox
from pricestreamd.daemon.journal.keeping import Keeping
from pricestreamd.http.control import DeliveryTried, PastFiring
from pricestreamd.http.delivery_control import OwedDelivery
from pricestreamd.model.tick import symbol_key
from pricestreamd.state.rows import DeliveryReport, EventRow, Outcome
from pricestreamd.stream.board import Board


class PastFirings:
    """Of the alerts of `board`; `outbox` knows what sinks owe."""

    def __init__(self, board: Board, keeping: Keeping, outbox: ApiOutbox) -> None:
        self._board = board
        self._keeping = keeping
        self._outbox = outbox

    async def of(self, alert_id: str, symbol: str | None, limit: int) -> list[PastFiring]:
        """See `Control.firings`."""
        kept = await self._keeping.store.events_of(alert_id, symbol, limit)
        known = {row.event_id for row in kept}
        fresh = [row for row in self._fresh(alert_id, symbol) if row.event_id not in known]
        return await self._told([*fresh, *kept][:limit], {row.event_id for row in fresh})

    def unwritten(self, alert_id: str, symbol: str | None, limit: int) -> list[PastFiring]:
        """See `Control.unwritten_firings`."""
        rows = self._fresh(alert_id, symbol)[:limit]
        ids = [row.event_id for row in rows]
        return _past(rows, self._outbox.unwritten(ids), self._outbox.owed_now(ids), fresh=ids)

    async def last(self, limit: int) -> list[PastFiring]:
        """See `Control.last_firings`."""
        fired: dict[str, float] = {}
        for state in self._board.by_symbol.values():
            for alert_id, alert in state.alerts.alerts.items():
                if any(condition.firings for condition in alert.conditions):
                    # One that was let begin anew does not know when; it may have been just now.
                    at = math.inf if alert.fired_at is None else alert.fired_at
                    fired[alert_id] = max(at, fired.get(alert_id, -math.inf))
        # Whatever is among the last firings is of one of the alerts that fired last.
        newest = sorted(fired, key=fired.__getitem__, reverse=True)[:limit]
        kept = [row for alert_id in newest for row in await self._keeping.store.events_of(alert_id, None, limit)]
        known = {row.event_id for row in kept}
        fresh = [row for row in self._fresh() if row.event_id not in known]
        rows = sorted([*fresh, *kept], key=lambda row: row.timestamp, reverse=True)
        return await self._told(rows[:limit], {row.event_id for row in fresh})

    def _fresh(self, alert_id: str | None = None, symbol: str | None = None) -> list[EventRow]:
        """Those that the state does not have yet, newest first."""
        key = None if symbol is None else symbol_key(symbol)
        return [
            row
            for row in reversed(self._keeping.unwritten)
            if alert_id in (None, row.alert_id)
            and key in (None, None if row.symbol is None else symbol_key(row.symbol))
        ]

    async def _told(self, rows: Sequence[EventRow], fresh: Collection[str]) -> list[PastFiring]:
        ids = [row.event_id for row in rows]
        # What is written while we read is in one of these.
        before = self._outbox.unwritten(ids)
        reports = await self._keeping.store.deliveries_of(ids) if rows else []
        owed = await self._outbox.owed_of(ids)
        return _past(rows, [*reports, *before, *self._outbox.unwritten(ids)], owed, fresh)


def _past(
    rows: Sequence[EventRow],
    tried: Iterable[DeliveryReport | Outcome],
    owed: Mapping[str, list[OwedDelivery]],
    fresh: Collection[str],
) -> list[PastFiring]:
    attempts: dict[str, dict[tuple[str, str, int, float], DeliveryTried]] = {row.event_id: {} for row in rows}
    for one in tried:
        told: DeliveryTried = {
            "sink": one.sink,
            "result": one.result,
            "attempts": one.attempts,
            "at": one.at,
            "error": one.error,
        }
        attempts[one.event_id].setdefault((one.sink, one.result, one.attempts, one.at), told)
    return [
        {
            "firing_id": row.event_id,
            "symbol": row.symbol,
            "timestamp": row.timestamp,
            "durable": row.event_id not in fresh,
            "event": _body(row),
            "deliveries": list(attempts[row.event_id].values()),
            "owed": owed.get(row.event_id, []),
        }
        for row in rows
    ]


def _body(row: EventRow) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(row.body)
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, dict) else {}
