"""What sinks owe, for those who ask over the API: listed, tried now, or forgotten for good.

Tried again and forgotten is by the number of a delivery, which is never used twice: what was selected is what is
changed, whatever happens meanwhile.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from pricestreamd.daemon.outlets import Outlets
from pricestreamd.http.delivery_control import DroppedOutbox, OwedDelivery, RetriedOutbox
from pricestreamd.http.problem import RefusalError
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.state.rows import Delivery, Outcome
from pricestreamd.state.store import StateStore

# Of what one request drops: more than the state keeps of what was given up.
MOST_DROPPED = 100_000
# Of what was dropped, so many are told one by one.
MOST_TOLD = 100

_log = logging.getLogger(__name__)


class ApiOutbox:
    """Of the sinks of `outlets`, and of those that are none any more; `store` has it all."""

    def __init__(self, outlets: Outlets, store: StateStore) -> None:
        self._outlets = outlets
        self._store = store

    async def owed(self, sink: str | None, *, dead: bool | None, limit: int) -> list[OwedDelivery]:
        """See `DeliveryControl.outbox`."""
        found = await self._store.owed(sink, dead=dead, limit=limit)
        if not found and sink is not None:
            await self._refuse_unknown(sink)
        return list(map(self.told, found))

    async def owed_of(self, event_ids: Sequence[str]) -> dict[str, list[OwedDelivery]]:
        """Event id to what is owed of it, as the outbox has it and as it is in memory."""
        return self.owed_now(event_ids, await self._store.owed_these(event_ids=event_ids) if event_ids else ())

    def owed_now(self, event_ids: Sequence[str], rows: Iterable[Delivery] = ()) -> dict[str, list[OwedDelivery]]:
        """Event id to what is owed of it: the `rows` of the outbox, and what it does not know yet."""
        owed = {(row.event_id, row.sink): row for row in rows}
        for name, lane in self._outlets.lanes.items():
            for event_id in event_ids:
                if (known := lane.as_known(event_id)) is not None:
                    kept = owed.get((event_id, name), known)
                    owed[event_id, name] = replace(known, number=kept.number, last_error=kept.last_error)
        for one in self.unwritten(event_ids):
            key = one.event_id, one.sink
            row = owed.pop(key, None)
            if one.result == "dead" and row is None:
                row = Delivery(0, one.sink, one.event_id, "", b"", created_at=one.at)
            if row is not None and one.result != "delivered":
                dead = one.result == "dead"
                owed[key] = replace(row, attempts=one.attempts, last_error=one.error, dead=dead)
        found: dict[str, list[OwedDelivery]] = {}
        for row in owed.values():
            found.setdefault(row.event_id, []).append(self.told(row))
        return found

    def unwritten(self, event_ids: Collection[str]) -> list[Outcome]:
        """What came of attempts at these events, as far as the outbox does not know it yet."""
        return [one for lane in self._outlets.lanes.values() for one in lane.unwritten(event_ids)]

    async def retry(self, sink: str | None, ids: Sequence[int] | None) -> RetriedOutbox:
        """See `DeliveryControl.retry_outbox`."""
        lanes = self._outlets.lanes
        counts, unknown = await self._meant(sink, ids)
        ours = {name: count for name, count in counts.items() if name in lanes}
        unclaimed = {name: count for name, count in counts.items() if name not in lanes and count}
        if unclaimed and not ours:
            raise RefusalError(409, f"No sink {', '.join(unclaimed)} is configured, so nobody can try it.")
        if sink is not None and not ours:
            raise RefusalError(409, f"The sink {sink} has no outbox: what it gets, it gets once.")
        revived: dict[str, int] = {}
        for name in ours:
            revived |= await self._store.revive(name, ids)
        started = [name for name in ours if self._stopped(name)]
        failing = self._failing()
        for name in ours:
            # A reload may have taken it away meanwhile.
            if name in self._outlets.lanes:
                self._outlets.lanes[name].rescan()
        events = {name: worker.queued for name, worker in failing.items() if name in ours and worker.queued}
        _log.info("outbox: tried now, as asked: %s", _counted(ours), extra={"action": "outbox_retried"})
        return {
            "retried": ours,
            "revived": revived,
            "started": started,
            "events": events,
            "unclaimed": unclaimed,
            "unknown": unknown,
        }

    async def _meant(self, sink: str | None, ids: Sequence[int] | None) -> tuple[dict[str, int], list[int]]:
        """Sink to how many deliveries are meant, and those of `ids` that are not there; refuses what is nothing."""
        if ids is not None:
            rows = await self._store.owed_these(ids)
            if not rows:
                raise _NONE_OF_THESE
            return Counter(row.sink for row in rows), _unknown(ids, rows)
        backlogs = await self._store.backlogs()
        counts = {name: log.pending + log.dead for name, log in backlogs.items() if sink in (None, name)}
        if sink is not None and sink not in counts:
            if sink not in self._outlets.workers:
                raise _no_sink(sink)
            counts[sink] = 0
        if sink is None:
            # Of these, other events may wait.
            counts = dict.fromkeys(self._failing(), 0) | counts
        return counts, []

    def _failing(self) -> dict[str, SinkWorker]:
        """The sinks with an outbox whose last attempts have failed."""
        workers = self._outlets.workers
        return {name: workers[name] for name in self._outlets.lanes if workers[name].door.failing}

    async def drop(self, sink: str | None, ids: Sequence[int] | None, *, dead: bool) -> DroppedOutbox:
        """See `DeliveryControl.drop_outbox`."""
        lanes, spooled = self._outlets.lanes, 0
        if ids is not None:
            rows = await self._store.owed_these(ids)
            if not rows:
                raise _NONE_OF_THESE
            _refuse_waiting(row for row in rows if not row.dead and row.sink in lanes)
        elif sink is None:
            raise RefusalError(400, "Name a sink, or deliveries by id.")
        else:
            left = not dead and sink in self._outlets.left_spools.waiting
            at_work = not dead and sink in self._outlets.workers
            if at_work and not left:
                text = f"The sink {sink} is at work, and delivers what waits: dead=true drops what was given up."
                raise RefusalError(409, text, parameter="dead")
            # What waits for a sink at work stays, but for what is in a spool that it does not use any more.
            rows = [] if at_work else await self._store.owed(sink, dead=True if dead else None, limit=MOST_DROPPED)
            if left:
                spooled = await self._outlets.left_spools.drop(sink)
            elif not rows:
                await self._refuse_unknown(sink)
        unclaimed = sorted({row.sink for row in rows} - lanes.keys())
        numbers = [row.number for row in rows]
        dropped = await self._store.discard(None, numbers, waiting=unclaimed) if numbers else {}
        for row in rows[:MOST_TOLD]:
            text = "outbox: dropped, as asked: %s of sink %s, tried %d times (%s)"
            _log.warning(text, row.event_id, row.sink, row.attempts, row.last_error or "no error")
        if sink is not None and spooled:
            dropped = {sink: dropped.get(sink, 0) + spooled}
        if rows or spooled:
            _log.warning("outbox: dropped, as asked: %s", _counted(dropped), extra={"action": "outbox_dropped"})
        told = list(map(self.told, rows[:MOST_TOLD]))
        return {"dropped": dropped, "deliveries": told, "unknown": _unknown(ids or (), rows)}

    def told(self, row: Delivery) -> OwedDelivery:
        """A delivery as people see it."""
        body = _body(row)
        waits: OwedDelivery = {
            "id": row.number,
            "sink": row.sink,
            "event_id": row.event_id,
            "event": row.event,
            "symbol": _text(body.get("symbol")),
            "alert_id": _text(body.get("alert_id")),
            "text": _text(body.get("alert_text") or body.get("message")),
            "state": "waiting",
            "attempts": row.attempts,
            "created_at": row.created_at,
            "next_attempt_at": None,
            "last_error": row.last_error,
        }
        if row.dead:
            waits["state"] = "dead"
        elif row.sink not in self._outlets.lanes:
            waits["state"] = "unclaimed"
        elif self._stopped(row.sink):
            waits["state"] = "stopped"
        elif (until := self._outlets.lanes[row.sink].put_off_until(row.event_id)) is not None:
            waits["state"], waits["next_attempt_at"] = "put_off", until
        else:
            waits["next_attempt_at"] = row.due_at or row.created_at
        return waits

    async def _refuse_unknown(self, sink: str) -> None:
        known = self._outlets.workers.keys() | self._outlets.left_spools.waiting.keys()
        if sink not in known and sink not in await self._store.backlogs():
            raise _no_sink(sink)

    def _stopped(self, sink: str) -> bool:
        worker = self._outlets.workers.get(sink)
        return worker is not None and worker.door.gone is not None


def _refuse_waiting(rows: Iterable[Delivery]) -> None:
    found = [str(row.number) for row in rows]
    if found:
        text = f"Still waiting for their next attempt, so nothing was dropped: {', '.join(found[:20])}. {_DROPPABLE}"
        raise RefusalError(409, text)


_NONE_OF_THESE = RefusalError(404, "None of these is in the outbox (any more). GET /api/v1/outbox lists what is.")
_DROPPABLE = "What was given up can be dropped, and what waits for a sink that is not configured."


def _no_sink(sink: str) -> RefusalError:
    return RefusalError(404, f"There is no sink {sink!r}, and nothing waits for one.", parameter="sink")


def _unknown(ids: Sequence[int], rows: Iterable[Delivery]) -> list[int]:
    known = {row.number for row in rows}
    return [one for one in dict.fromkeys(ids) if one not in known]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} of sink {name}" for name, count in counts.items()) or "nothing"


def _body(row: Delivery) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(row.body)
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _text(value: Any) -> str | None:
    return value[:500] if isinstance(value, str) else None
