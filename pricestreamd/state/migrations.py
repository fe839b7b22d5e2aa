"""The schema of the state, as the steps that lead to it: each turns one version into the next, in one transaction.

`PRAGMA user_version` is the version; `PRAGMA application_id` says, from version 2 on, that the file is ours. A file of
version n has been through the first n steps. A step, once released, is never changed: a new version is a new step.

    1   watchlists
    2   alert_states, alerts, symbols, prices      what is restored after a restart
        events --< outbox                          what sinks owe; a delivery that is settled leaves the outbox
        delivery_log                               each attempt that was made
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from pricestreamd.model.errors import StateError
from pricestreamd.state.sqlite_file import transaction, version

# "PSD" and a nul.
APPLICATION_ID = 0x50534400
_MARKED_SINCE = 2

STEPS: Sequence[Sequence[str]] = (
    (
        """
        CREATE TABLE watchlists (
            feed TEXT PRIMARY KEY,
            symbols TEXT NOT NULL, -- a JSON list of texts
            saved_at REAL NOT NULL -- epoch seconds
        )
        """,
    ),
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """
        CREATE TABLE alert_states (
            alert_id TEXT NOT NULL,
            symbol TEXT NOT NULL, -- in the form in which symbols are compared
            record BLOB NOT NULL, -- JSON
            PRIMARY KEY (alert_id, symbol)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE alerts (
            number INTEGER PRIMARY KEY, -- the order in which they were made
            alert_id TEXT NOT NULL UNIQUE,
            definition BLOB NOT NULL -- JSON
        )
        """,
        """
        CREATE TABLE symbols (
            number INTEGER PRIMARY KEY, -- the order in which they were added
            feed TEXT NOT NULL,
            symbol TEXT NOT NULL,
            UNIQUE (feed, symbol)
        )
        """,
        """
        CREATE TABLE prices (
            symbol TEXT PRIMARY KEY,
            price REAL NOT NULL,
            timestamp REAL NOT NULL, -- epoch seconds, as all times here
            received_at REAL NOT NULL,
            volume REAL,
            currency TEXT,
            feed TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE events (
            number INTEGER PRIMARY KEY, -- the order of commits
            event_id TEXT NOT NULL UNIQUE,
            event TEXT NOT NULL,
            symbol TEXT, -- in its configured spelling
            symbol_key TEXT, -- in the form in which symbols are compared
            alert_id TEXT, -- NULL: no alert, kept until it is delivered
            timestamp REAL NOT NULL,
            body BLOB NOT NULL -- one flat JSON object
        )
        """,
        "CREATE INDEX events_of_alerts ON events (alert_id, number) WHERE alert_id IS NOT NULL",
        """
        CREATE TABLE outbox (
            number INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: readers go on after the last they saw
            event_id TEXT NOT NULL REFERENCES events (event_id),
            sink TEXT NOT NULL,
            created_at REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            due_at REAL NOT NULL DEFAULT 0,
            last_error TEXT,
            dead INTEGER NOT NULL DEFAULT 0, -- 1: given up, kept for a person
            UNIQUE (event_id, sink)
        )
        """,
        "CREATE INDEX outbox_waiting ON outbox (sink, number) WHERE dead = 0",
        "CREATE INDEX outbox_dead ON outbox (number) WHERE dead = 1",
        """
        CREATE TABLE delivery_log (
            number INTEGER PRIMARY KEY, -- the order in which attempts were told of
            event_id TEXT NOT NULL,
            sink TEXT NOT NULL,
            result TEXT NOT NULL, -- delivered, retry, dead
            attempts INTEGER NOT NULL,
            at REAL NOT NULL,
            error TEXT,
            UNIQUE (event_id, sink, result, attempts, at) -- told twice, it is one attempt
        )
        """,
    ),
)
SCHEMA_VERSION = len(STEPS)


class ForeignStateError(StateError):
    """The file was made by a newer version or by another program: only a person can say what to do."""


def check_ours(connection: sqlite3.Connection, path: Path, *, newer: bool = False) -> int:
    """The version of a file that is ours, 0 for an empty one.

    Raises:
        ForeignStateError: it belongs to another program, or, unless `newer` ones are welcome, to a newer version.
    """
    found = version(connection)
    if found > SCHEMA_VERSION and not newer:
        raise ForeignStateError(
            f"{path} is made by a newer pricestreamd (schema {found}; this one knows {SCHEMA_VERSION}): "
            "update pricestreamd, or name another file"
        )
    if not _ours(connection, found):
        raise ForeignStateError(f"{path} is the database of another program: move it away, or name another file")
    return found


def _ours(connection: sqlite3.Connection, found: int) -> bool:
    if not found:
        return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
    if found < _MARKED_SINCE:
        return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'watchlists'").fetchone() is not None
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(mark == APPLICATION_ID)


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Take the steps that the file has not been through. One that fails leaves the version before it."""
    for number, step in enumerate(steps[version(connection) :], version(connection) + 1):
        with transaction(connection):
            for statement in step:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
