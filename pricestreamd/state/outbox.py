"""The statements for events that must not be lost, what sinks owe of them, and what became of it.

An event is kept once; each sink that owes it has a row in `outbox`. Each attempt that is told of is one row of
`delivery_log`. A delivery that is made leaves the outbox, and its event goes with the last of them, unless it is an
alert's; one that is given up stays, marked `dead`.

(event id, sink) identifies a delivery for good: what the log says was delivered is not owed again, so a change whose
commit had no answer may be committed once more. Each function works on an open connection; those that write begin no
transaction of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import starmap

from pricestreamd.model.tick import symbol_key
from pricestreamd.state.reasons import kept_error
from pricestreamd.state.rows import Backlog, Delivery, DeliveryReport, EventRow, Outcome, StateChange

# SQLite takes 32,766 parameters; a statement of so many is still compiled at once.
IDS_AT_ONCE = 500

Numbers = dict[tuple[str, str], int]
"""(event id, sink) to the number of the delivery."""

_DELETE_DELIVERED = """
DELETE FROM events WHERE event_id = ?1 AND alert_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM outbox WHERE outbox.event_id = ?1
)
"""


def write_events(connection: sqlite3.Connection, change: StateChange, now: float) -> Numbers:
    """Keep the events of `change`, and what is owed of them. What is known already stays as it is, and has no number.

    Raises:
        sqlite3.IntegrityError: something is owed of an event that is not there.
    """
    insert_events(connection, change.events)
    numbers: Numbers = {}
    if change.owed:
        (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM outbox").fetchone()
        connection.executemany(
            "INSERT INTO outbox (event_id, sink, created_at) SELECT ?1, ?2, ?3 WHERE NOT EXISTS ("
            "  SELECT 1 FROM delivery_log WHERE event_id = ?1 AND sink = ?2 AND result = 'delivered'"
            ") ON CONFLICT (event_id, sink) DO NOTHING",
            [(event_id, sink, now) for event_id, sink in change.owed],
        )
        added = connection.execute("SELECT event_id, sink, number FROM outbox WHERE number > ?", (last,))
        numbers = {(event_id, sink): number for event_id, sink, number in added}
    # Of these, everything may have been delivered before.
    forget_delivered(connection, (row.event_id for row in change.events if row.alert_id is None))
    return numbers


def insert_events(connection: sqlite3.Connection, rows: Sequence[EventRow]) -> None:
    """Keep these events; what is known already stays as it is."""
    if rows:
        connection.executemany(
            "INSERT INTO events (event_id, event, symbol, symbol_key, alert_id, timestamp, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING",
            [
                (
                    row.event_id,
                    row.event,
                    row.symbol,
                    None if row.symbol is None else symbol_key(row.symbol),
                    row.alert_id,
                    row.timestamp,
                    row.body,
                )
                for row in rows
            ],
        )


def write_outcomes(connection: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
    """Keep what came of attempts. Of several for one delivery, made beats given up, and that beats tried again."""
    rows = [(each, kept_error(each.error)) for each in outcomes]
    connection.executemany(
        "INSERT INTO delivery_log (event_id, sink, result, attempts, at, error) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (event_id, sink, result, attempts, at) DO NOTHING",
        [(each.event_id, each.sink, each.result, each.attempts, each.at, error) for each, error in rows],
    )
    connection.executemany(
        "UPDATE outbox SET attempts = ?, due_at = ?, last_error = ? WHERE event_id = ? AND sink = ? AND dead = 0",
        [
            (each.attempts, each.due_at, error, each.event_id, each.sink)
            for each, error in rows
            if each.result == "retry"
        ],
    )
    connection.executemany(
        "UPDATE outbox SET dead = 1, attempts = ?, due_at = 0, last_error = ? WHERE event_id = ? AND sink = ?",
        [(each.attempts, error, each.event_id, each.sink) for each, error in rows if each.result == "dead"],
    )
    made = [(each.event_id, each.sink) for each in outcomes if each.result == "delivered"]
    connection.executemany("DELETE FROM outbox WHERE event_id = ? AND sink = ?", made)
    forget_delivered(connection, (event_id for event_id, _ in made))


def forget_delivered(connection: sqlite3.Connection, event_ids: Iterable[str]) -> None:
    """Delete those that nobody owes any more, but for alerts'."""
    connection.executemany(_DELETE_DELIVERED, [(event_id,) for event_id in event_ids])


def read_pending(connection: sqlite3.Connection, sink: str, after: int, limit: int) -> list[Delivery]:
    """What `sink` owes and has not given up, in the order of `number`, beyond `after`."""
    rows = connection.execute(
        "SELECT outbox.number, sink, event_id, event, body, created_at, attempts, due_at, last_error "
        "FROM outbox JOIN events USING (event_id) WHERE sink = ? AND dead = 0 AND outbox.number > ? "
        "ORDER BY outbox.number LIMIT ?",
        (sink, after, limit),
    )
    return list(starmap(Delivery, rows))


def read_backlogs(connection: sqlite3.Connection) -> dict[str, Backlog]:
    """What each sink owes; sinks that owe nothing are not named."""
    backlogs = {
        sink: Backlog(pending, 0, oldest_at)
        for sink, pending, oldest_at in connection.execute(
            "SELECT waiting.sink, pending, created_at FROM ("
            "  SELECT sink, count(*) AS pending, min(number) AS oldest FROM outbox WHERE dead = 0 GROUP BY sink"
            ") AS waiting JOIN outbox ON outbox.number = oldest"
        )
    }
    for sink, dead in connection.execute("SELECT sink, count(*) FROM outbox WHERE dead = 1 GROUP BY sink"):
        backlogs[sink] = replace(backlogs.get(sink, Backlog(0, 0, None)), dead=dead)
    return backlogs


def read_events(connection: sqlite3.Connection, alert_id: str, symbol: str | None, limit: int) -> list[EventRow]:
    """The events of an alert, on one symbol or on all, newest first."""
    rows = connection.execute(
        "SELECT event_id, event, symbol, alert_id, timestamp, body FROM events "
        "WHERE alert_id = ?1 AND (?2 IS NULL OR symbol_key = ?2) ORDER BY number DESC LIMIT ?3",
        (alert_id, None if symbol is None else symbol_key(symbol), limit),
    )
    return list(starmap(EventRow, rows))


def read_reports(connection: sqlite3.Connection, event_ids: Sequence[str]) -> list[DeliveryReport]:
    """The attempts to deliver these events, in the order in which they were told of."""
    found = []
    for start in range(0, len(event_ids), IDS_AT_ONCE):
        some = event_ids[start : start + IDS_AT_ONCE]
        found += connection.execute(
            "SELECT number, event_id, sink, result, attempts, at, error FROM delivery_log "  # noqa: S608 - question marks only; every value is a parameter
            f"WHERE event_id IN ({', '.join('?' * len(some))})",
            some,
        ).fetchall()
    return [DeliveryReport(*row) for _, *row in sorted(found)]
