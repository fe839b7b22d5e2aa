"""What is kept of the past, and no more: the newest events of alerts, attempts, deliveries given up, and prices.

Trimming reads far more than a commit, so it is done once in many commits, and tables may exceed their bounds by as
much as comes in between. What is deleted leaves room in the file for what comes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pricestreamd.state.sqlite_file import transaction

# So many events and outcomes are written between two trimmings: by so many the tables may exceed their bounds.
TRIM_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many rows stay, the newest of each kind. What a sink still owes is never trimmed."""

    events: int = 10_000
    """Events of alerts."""
    attempts: int = 50_000
    """Some attempts for each of the events, over several sinks."""
    dead: int = 10_000
    """Deliveries that were given up: so many of alerts, and as many of other events, so that those never push out
    these."""
    prices: int = 100_000
    """More symbols than any feed has: those of long ago go."""
    held_bytes: int = 64 * 1024 * 1024
    """Usually the WAL has 4 MiB. Of more than this that somebody holds who reads for long, the operator is told."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What `tidy` has found."""

    lost: int
    """Deliveries given up that were among what was trimmed."""
    held_bytes: int
    """So much of the WAL cannot be brought into the main file, because somebody still reads what was before."""


_TRIM_DEAD = """
    DELETE FROM outbox WHERE number IN (
        SELECT outbox.number FROM outbox JOIN events USING (event_id)
        WHERE dead = 1 AND alert_id {kind} ORDER BY outbox.number DESC LIMIT -1 OFFSET ?
    )
"""


def tidy(connection: sqlite3.Connection, bounds: Bounds) -> Tidied:
    """Trim, and bring as much of the WAL into the main file as can be."""
    lost = trim(connection, bounds)
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, in_wal, brought = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return Tidied(lost, (in_wal - brought) * page_size)


def trim(connection: sqlite3.Connection, bounds: Bounds) -> int:
    """Delete what is beyond the bounds, in one transaction; returns how many deliveries given up were among it."""
    run = connection.execute
    with transaction(connection):
        run(
            "DELETE FROM delivery_log WHERE number <= "
            "(SELECT number FROM delivery_log ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (bounds.attempts,),
        )
        lost = sum(run(_TRIM_DEAD.format(kind=kind), (bounds.dead,)).rowcount for kind in ("IS NULL", "IS NOT NULL"))
        if lost:
            run(
                "DELETE FROM events WHERE alert_id IS NULL "
                "AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.event_id = events.event_id)"
            )
        run(
            "DELETE FROM events WHERE alert_id IS NOT NULL AND number <= "
            "(SELECT number FROM events WHERE alert_id IS NOT NULL ORDER BY number DESC LIMIT 1 OFFSET ?) "
            "AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.event_id = events.event_id)",
            (bounds.events,),
        )
        run(
            "DELETE FROM prices WHERE symbol IN "
            "(SELECT symbol FROM prices ORDER BY received_at DESC LIMIT -1 OFFSET ?)",
            (bounds.prices,),
        )
    return lost
