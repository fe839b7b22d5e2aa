"""Versions of the schema: older ones become the present one with their rows, step by step."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pricestreamd.state.migrations import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    STEPS,
    ForeignStateError,
    check_ours,
    migrate,
)
from pricestreamd.state.sqlite_file import version

# As version 1 wrote it.
VERSION_1 = """
CREATE TABLE watchlists (
    feed TEXT PRIMARY KEY,
    symbols TEXT NOT NULL, -- a JSON list of texts
    saved_at REAL NOT NULL -- epoch seconds
)
"""
ROWS = [("us", '["AAPL","MSFT"]', 1_700_000_000.5), ("eu", "[]", 1.0)]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as opened:
        yield opened


def schema(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(name, " ".join(sql.split())) for name, sql in found}


def make_version_1(connection: sqlite3.Connection) -> None:
    connection.execute(VERSION_1)
    connection.execute("PRAGMA user_version = 1")
    connection.executemany("INSERT INTO watchlists VALUES (?, ?, ?)", ROWS)


def test_a_new_file_goes_through_all_steps(connection: sqlite3.Connection) -> None:
    migrate(connection)
    assert version(connection) == SCHEMA_VERSION == len(STEPS)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    names = {name for name, _ in schema(connection)}
    assert names >= {"watchlists", "alert_states", "alerts", "symbols", "prices", "events", "outbox", "delivery_log"}


def test_L11_version_1_keeps_its_rows_and_gets_the_present_schema(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    make_version_1(connection)
    migrate(connection)
    assert connection.execute("SELECT * FROM watchlists").fetchall() == ROWS
    with contextlib.closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as new:
        migrate(new)
        assert schema(connection) == schema(new)
    assert version(connection) == SCHEMA_VERSION


def test_a_file_of_the_present_version_is_left_as_it_is(connection: sqlite3.Connection, tmp_path: Path) -> None:
    migrate(connection)
    before = (tmp_path / "state.db").read_bytes()
    migrate(connection)
    assert (tmp_path / "state.db").read_bytes() == before


def test_a_step_that_fails_leaves_the_version_before_it_and_is_taken_later(connection: sqlite3.Connection) -> None:
    make_version_1(connection)
    before = schema(connection)
    good = ("CREATE TABLE more (x)", "INSERT INTO more VALUES (1)")
    bad = ("CREATE TABLE last (x)", "DELETE FROM watchlists", "INSERT INTO nosuch VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="no such table: nosuch"):
        migrate(connection, (STEPS[0], good, bad))
    assert version(connection) == 2
    assert {name for name, _ in schema(connection) - before} == {"more"}
    assert connection.execute("SELECT * FROM watchlists").fetchall() == ROWS
    migrate(connection, (STEPS[0], good, bad[:2]))
    assert version(connection) == 3
    assert connection.execute("SELECT * FROM watchlists").fetchall() == []
    assert connection.execute("SELECT * FROM more").fetchall() == [(1,)]


@pytest.mark.parametrize("number", range(1, SCHEMA_VERSION + 1))
def test_the_database_of_another_program_is_known_whatever_its_version(
    connection: sqlite3.Connection, tmp_path: Path, number: int
) -> None:
    # Such as the file of a sqlite sink, named as state.path by mistake.
    connection.execute("CREATE TABLE prices (x)")
    connection.execute(f"PRAGMA user_version = {number}")
    with pytest.raises(ForeignStateError, match="is the database of another program: move it away"):
        check_ours(connection, tmp_path / "state.db")


def test_a_newer_file_is_refused_but_may_be_copied(connection: sqlite3.Connection, tmp_path: Path) -> None:
    migrate(connection)
    assert check_ours(connection, tmp_path) == SCHEMA_VERSION
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(ForeignStateError, match="is made by a newer pricestreamd"):
        check_ours(connection, tmp_path)
    assert check_ours(connection, tmp_path, newer=True) == SCHEMA_VERSION + 1


def test_an_empty_file_is_ours(connection: sqlite3.Connection, tmp_path: Path) -> None:
    assert check_ours(connection, tmp_path) == 0
