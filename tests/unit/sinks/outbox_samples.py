"""An outbox in memory, and deliveries for it."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

from pricestreamd.model.errors import StateError
from pricestreamd.model.events import to_json
from pricestreamd.state.rows import Delivery, Letter, Outcome
from tests.unit.sinks.samples import BEGIN, alert_named


class MemoryOutbox:
    """Keeps rows as the state store does. `broken`: it refuses everything. `gate`, where set, is awaited before."""

    def __init__(self) -> None:
        self.rows: dict[str, Delivery] = {}
        self.log: list[Outcome] = []
        self.settled = 0
        self.pages = 0
        self.broken = False
        self.gate: asyncio.Event | None = None
        self._numbers = itertools.count(1)

    def commit(self, *event_ids: str, **fields: object) -> list[Delivery]:
        """What a commit of alerts with these firing ids leaves for the lane: their numbers are the outbox's own."""
        made = [delivery(event_id, next(self._numbers), **fields) for event_id in event_ids]
        self.rows |= {row.event_id: row for row in made}
        return [replace(row, number=0) for row in made]

    @property
    def waiting(self) -> list[str]:
        return [row.event_id for row in self.rows.values() if not row.dead]

    async def pending(self, sink: str, *, after: int = 0, limit: int = 1000) -> list[Delivery]:
        await self._answer()
        self.pages += 1
        found = [row for row in self.rows.values() if row.number > after and not row.dead and row.sink == sink]
        return sorted(found, key=lambda row: row.number)[:limit]

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        await self._answer()
        self.settled += 1
        for outcome in outcomes:
            self.log.append(outcome)
            row = self.rows.get(outcome.event_id)
            if row is None:
                continue
            if outcome.result == "delivered":
                del self.rows[outcome.event_id]
            else:
                self.rows[outcome.event_id] = replace(
                    row,
                    attempts=outcome.attempts,
                    due_at=outcome.due_at,
                    last_error=outcome.error,
                    dead=outcome.result == "dead",
                )

    async def keep(self, letters: Sequence[Letter]) -> None:
        await self._answer()
        self.rows |= {owed.event_id: replace(owed, number=next(self._numbers)) for _, owed in letters}

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            raise StateError("the disk is full")


def delivery(event_id: str, number: int, **fields: object) -> Delivery:
    body = to_json(alert_named(event_id, max(number, 1)))
    row = Delivery(number, "memory", event_id, "price.alert", body, created_at=BEGIN)
    return replace(row, **fields)  # type: ignore[arg-type]
