"""The state as plain dicts: what the store must hold after the same changes and outcomes, and how to read a store."""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from pricestreamd.state.facts import read_facts
from pricestreamd.state.outbox import read_backlogs, read_events, read_pending, read_reports
from pricestreamd.state.rows import AlertStateRow, EventRow, Outcome, StateChange

ALL = 1_000_000
# A folder that no disk has to write, where there is one: for what is no matter of the disk, but of what is in files.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass
class Model:
    """Everything that was committed and settled, in order."""

    alert_states: dict[tuple[str, str], bytes] = field(default_factory=dict)
    alerts: dict[str, bytes] = field(default_factory=dict)
    symbols: dict[tuple[str, str], None] = field(default_factory=dict)
    prices: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    events: dict[str, EventRow] = field(default_factory=dict)
    owed: dict[tuple[str, str], tuple[int, float, str | None, bool]] = field(default_factory=dict)
    reports: dict[tuple[str, str, str, int, float], str | None] = field(default_factory=dict)

    def commit(self, change: StateChange) -> None:
        for place in change.alert_states_gone:
            self.alert_states.pop(place, None)
        self.alert_states |= {(row.alert_id, row.symbol): row.record for row in change.alert_states}
        for alert_id in change.alerts_gone:
            self.alerts.pop(alert_id, None)
        self.alerts |= {row.alert_id: row.definition for row in change.alerts}
        for gone in change.symbols_gone:
            self.symbols.pop((gone.feed, gone.symbol), None)
        self.symbols |= {(row.feed, row.symbol): None for row in change.symbols}
        self.prices |= {row.symbol: astuple(row) for row in change.prices}
        for event in change.events:
            self.events.setdefault(event.event_id, event)
        delivered = {key[:2] for key in self.reports if key[2] == "delivered"}
        for delivery in change.owed:
            assert delivery[0] in self.events
            if delivery not in delivered:
                self.owed.setdefault(delivery, (0, 0.0, None, False))
        self._forget_delivered({event.event_id for event in change.events})

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        for each in outcomes:
            self.reports.setdefault((each.event_id, each.sink, each.result, each.attempts, each.at), each.error)
        for kind in ("retry", "dead", "delivered"):
            for each in (outcome for outcome in outcomes if outcome.result == kind):
                delivery = (each.event_id, each.sink)
                if delivery not in self.owed or (kind == "retry" and self.owed[delivery][3]):
                    continue
                if kind == "delivered":
                    del self.owed[delivery]
                else:
                    self.owed[delivery] = (
                        each.attempts,
                        each.due_at if kind == "retry" else 0.0,
                        each.error,
                        kind == "dead",
                    )
        self._forget_delivered({each.event_id for each in outcomes if each.result == "delivered"})

    def _forget_delivered(self, event_ids: set[str]) -> None:
        owing = {event_id for event_id, _ in self.owed}
        for event_id in event_ids - owing:
            if event_id in self.events and self.events[event_id].alert_id is None:
                del self.events[event_id]

    def contents(self) -> dict[str, Any]:
        """In the form of `read_all`."""
        waiting = [(key, *told) for key, told in self.owed.items() if not told[3]]
        sinks = sorted({sink for _, sink in self.owed})
        return {
            "alert_states": dict(self.alert_states),
            "alerts": list(self.alerts.items()),
            "symbols": list(self.symbols),
            "prices": dict(self.prices),
            "events": [astuple(event) for event in self.events.values()],
            "pending": {
                sink: [
                    (key[0], self.events[key[0]].event, self.events[key[0]].body, attempts, due_at, error)
                    for key, attempts, due_at, error, _ in waiting
                    if key[1] == sink
                ]
                for sink in sinks
            },
            "backlogs": {
                sink: (
                    sum(1 for key, told in self.owed.items() if key[1] == sink and not told[3]),
                    sum(1 for key, told in self.owed.items() if key[1] == sink and told[3]),
                )
                for sink in sinks
            },
            "past": {
                alert_id: [
                    event.event_id for event in reversed(list(self.events.values())) if event.alert_id == alert_id
                ]
                for alert_id in sorted({event.alert_id for event in self.events.values() if event.alert_id})
            },
            "reports": [(*key, error) for key, error in self.reports.items()],
        }


def read_all(connection: sqlite3.Connection) -> dict[str, Any]:
    """Everything that a store offers, read as its callers read it."""
    saved = read_facts(connection)
    backlogs = read_backlogs(connection)
    events = connection.execute("SELECT event_id, event, symbol, alert_id, timestamp, body FROM events ORDER BY number")
    rows = events.fetchall()
    logged = [row[0] for row in connection.execute("SELECT DISTINCT event_id FROM delivery_log ORDER BY number")]
    return {
        "alert_states": {(row.alert_id, row.symbol): row.record for row in saved.alert_states},
        "alerts": [(row.alert_id, row.definition) for row in saved.alerts],
        "symbols": [(row.feed, row.symbol) for row in saved.symbols],
        "prices": {row.symbol: astuple(row) for row in saved.prices},
        "events": rows,
        "pending": {
            sink: [
                (each.event_id, each.event, each.body, each.attempts, each.due_at, each.last_error)
                for each in read_pending(connection, sink, 0, ALL)
            ]
            for sink in sorted(backlogs)
        },
        "backlogs": {sink: (backlog.pending, backlog.dead) for sink, backlog in sorted(backlogs.items())},
        "past": {
            alert_id: [row.event_id for row in read_events(connection, alert_id, None, ALL)]
            for alert_id in sorted({row[3] for row in rows if row[3] is not None})
        },
        "reports": [
            (row.event_id, row.sink, row.result, row.attempts, row.at, row.error)
            for row in read_reports(connection, logged)
        ],
    }


def firing(number: int, *sinks: str, alert_id: str = "high", symbol: str = "AAPL", size: int = 300) -> StateChange:
    """What one firing changes: where its alert stands, its event, and what `sinks` owe."""
    event_id = f"firing-{number}"
    body = b'{"event":"price.alert","firing_id":"%s","text":"%s"}' % (event_id.encode(), b"x" * size)
    return StateChange(
        alert_states=[AlertStateRow(alert_id, symbol, b'{"fired":%d}' % number)],
        events=[EventRow(event_id, "price.alert", symbol, alert_id, 1_700_000_000.0 + number, body)],
        owed=[(event_id, sink) for sink in sinks],
    )


def outcome(event_id: str, sink: str = "hook", result: str = "delivered", attempts: int = 1, **more: Any) -> Outcome:
    """What came of an attempt."""
    return Outcome(event_id, sink, result, attempts, 1_700_000_000.0 + attempts, **more)  # type: ignore[arg-type]  # one of the three words
