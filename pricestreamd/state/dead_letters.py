"""The statements for what was given up: kept with its reason, shown, tried once more, or forgotten, as a person says.

A dead letter is a row of `outbox` that is marked `dead`; of all others there is nothing here but that they can be
listed. What comes from elsewhere than the outbox (a spool) is put in beside, and is owed from then on as any other.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pricestreamd.state.outbox import IDS_AT_ONCE, forget_delivered, insert_events
from pricestreamd.state.reasons import kept_error
from pricestreamd.state.rows import Delivery, Letter
from pricestreamd.state.sqlite_file import transaction

_COLUMNS = "outbox.number, sink, event_id, event, body, created_at, attempts, due_at, last_error, dead"


def keep(connection: sqlite3.Connection, letters: Sequence[Letter]) -> None:
    """Put these in. What is owed or given up already is marked as it is said here."""
    with transaction(connection):
        insert_events(connection, [row for row, _ in letters])
        connection.executemany(
            "INSERT INTO outbox (event_id, sink, created_at, attempts, due_at, last_error, dead) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (event_id, sink) DO UPDATE "
            "SET attempts = ?4, due_at = ?5, last_error = ?6, dead = ?7",
            [
                (
                    owed.event_id,
                    owed.sink,
                    owed.created_at,
                    owed.attempts,
                    owed.due_at,
                    kept_error(owed.last_error),
                    int(owed.dead),
                )
                for _, owed in letters
            ],
        )
        connection.executemany(
            "INSERT INTO delivery_log (event_id, sink, result, attempts, at, error) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (event_id, sink, result, attempts, at) DO NOTHING",
            [
                (
                    owed.event_id,
                    owed.sink,
                    "dead" if owed.dead else "retry",
                    owed.attempts,
                    owed.created_at,
                    kept_error(owed.last_error),
                )
                for _, owed in letters
            ],
        )


def select(connection: sqlite3.Connection, sink: str | None, dead: bool | None, limit: int) -> list[Delivery]:
    """What is owed, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM outbox JOIN events USING (event_id) "  # noqa: S608 - names of columns only
        "WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR dead = ?2) ORDER BY outbox.number DESC LIMIT ?3",
        (sink, None if dead is None else int(dead), limit),
    )
    return list(map(_delivery, rows))


def select_these(connection: sqlite3.Connection, numbers: Sequence[int], event_ids: Sequence[str]) -> list[Delivery]:
    """What is owed under these numbers, and of these events, in the order of `number`."""
    found: dict[int, Delivery] = {}
    for column, values in (("outbox.number", numbers), ("event_id", event_ids)):
        for start in range(0, len(values), IDS_AT_ONCE):
            some = values[start : start + IDS_AT_ONCE]
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM outbox JOIN events USING (event_id) "  # noqa: S608 - names of columns and question marks only
                f"WHERE {column} IN ({', '.join('?' * len(some))})",
                some,
            )
            found.update((one.number, one) for one in map(_delivery, rows))
    return [found[number] for number in sorted(found)]


def revive(
    connection: sqlite3.Connection, sink: str | None, numbers: Sequence[int] | None, now: float
) -> dict[str, int]:
    """Owe these once more, as if they had been committed `now`."""
    with transaction(connection):
        return _for_each(
            connection,
            "UPDATE outbox SET dead = 0, attempts = 0, due_at = 0, created_at = ?3 "
            "WHERE dead = 1 AND (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR number = ?2) RETURNING sink, event_id",
            [(sink, number, now) for number in _each(numbers)],
        )


def discard(
    connection: sqlite3.Connection, sink: str | None, numbers: Sequence[int] | None, waiting: Sequence[str]
) -> dict[str, int]:
    """Forget these, and their events where nothing else needs them."""
    left = ", ".join("?" * len(waiting))
    with transaction(connection):
        return _for_each(
            connection,
            f"DELETE FROM outbox WHERE (dead = 1 OR sink IN ({left})) "  # noqa: S608 - question marks only
            "AND (? IS NULL OR sink = ?) AND (? IS NULL OR number = ?) RETURNING sink, event_id",
            [(*waiting, sink, sink, number, number) for number in _each(numbers)],
            forget=True,
        )


def _for_each(
    connection: sqlite3.Connection, statement: str, values: Sequence[tuple[object, ...]], *, forget: bool = False
) -> dict[str, int]:
    changed: list[tuple[str, str]] = []
    for each in values:
        changed += connection.execute(statement, each).fetchall()
    if forget:
        forget_delivered(connection, (event_id for _, event_id in changed))
    return dict(Counter(sink for sink, _ in changed))


def _delivery(row: Sequence[Any]) -> Delivery:
    return replace(Delivery(*row), dead=bool(row[-1]))


def _each(numbers: Sequence[int] | None) -> Sequence[int | None]:
    return (None,) if numbers is None else numbers
