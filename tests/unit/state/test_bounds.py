"""How much of the past is kept, and that the WAL stays small."""

import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pricestreamd.state.bounds import TRIM_EVERY, Bounds, tidy, trim
from pricestreamd.state.file import WAL_BYTES
from pricestreamd.state.rows import EventRow, PriceRow, StateChange
from pricestreamd.state.sqlite_file import transaction
from pricestreamd.state.store import StateStore
from tests.unit.state.model import firing, outcome

SMALL = Bounds(events=20, attempts=30, dead=5, prices=10, held_bytes=WAL_BYTES)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StateStore]:
    made = StateStore(tmp_path / "state.db", on_damage=pytest.fail, bounds=SMALL)
    yield made
    await made.close()


def firings(first: int, count: int, *sinks: str) -> StateChange:
    change = StateChange()
    for number in range(first, first + count):
        one = firing(number, *sinks)
        change.events += one.events
        change.owed += one.owed
    return change


async def trimmed(store: StateStore, bounds: Bounds = SMALL) -> int:
    return await store._call(trim, bounds)


async def count(store: StateStore, table: str) -> int:
    found: tuple[int] = await store._call(lambda own: own.execute(f"SELECT count(*) FROM {table}").fetchone())
    return found[0]


async def test_the_newest_firings_stay(store: StateStore) -> None:
    await store.commit(firings(0, 50))
    await trimmed(store)
    found = await store.events_of("high", limit=100)
    assert [row.event_id for row in found] == [f"firing-{number}" for number in range(49, 29, -1)]


async def test_what_is_still_owed_is_never_trimmed(store: StateStore) -> None:
    await store.commit(firings(0, 50, "hook"))
    await store.settle([outcome(f"firing-{number}") for number in range(10, 50)])
    await trimmed(store)
    assert [each.event_id for each in await store.pending("hook")] == [f"firing-{number}" for number in range(10)]
    assert await count(store, "events") == 30


async def test_the_newest_attempts_stay(store: StateStore) -> None:
    await store.settle([outcome(f"firing-{number}") for number in range(100)])
    await trimmed(store)
    found = await store.deliveries_of([f"firing-{number}" for number in range(100)])
    assert [report.event_id for report in found] == [f"firing-{number}" for number in range(70, 100)]


async def test_of_what_was_given_up_the_newest_of_alerts_and_of_others_stay_and_the_loss_is_told(
    store: StateStore,
) -> None:
    errors = [EventRow(f"run-{number}", "price.error", None, None, 1.0, b"{}") for number in range(9)]
    await store.commit(StateChange(events=errors, owed=[(row.event_id, "hook") for row in errors]))
    await store.commit(firings(0, 9, "hook"))
    gone = [f"run-{number}" for number in range(9)] + [f"firing-{number}" for number in range(7)]
    await store.settle([outcome(event_id, result="dead") for event_id in gone])
    assert await trimmed(store) == 4 + 2
    assert (await store.backlogs())["hook"].dead == 5 + 5
    # The events of the four are gone with them, those of alerts stay.
    assert await count(store, "events") == 5 + 9
    assert await trimmed(store) == 0


async def test_symbols_of_long_ago_go(store: StateStore) -> None:
    price = PriceRow("", 1.0, 1.0, 1.0, None, None, "us")
    prices = [replace(price, symbol=f"S{number:02}", received_at=float(number)) for number in range(30)]
    await store.commit(StateChange(prices=prices))
    await trimmed(store)
    assert {row.symbol for row in (await store.load()).prices} == {f"S{number}" for number in range(20, 30)}


async def test_trimming_within_the_bounds_deletes_nothing(store: StateStore) -> None:
    await store.commit(firings(0, 20, "hook"))
    await store.settle([outcome(f"firing-{number}", result="dead") for number in range(5)])
    before = await store._call(lambda own: "\n".join(own.iterdump()))
    await trimmed(store)
    assert await store._call(lambda own: "\n".join(own.iterdump())) == before


async def test_a_store_trims_by_itself_once_in_many_commits(store: StateStore) -> None:
    # The first change trims what an earlier run has left.
    await store.commit(firings(0, 50))
    assert await count(store, "events") == 20
    for start in range(100, 100 + TRIM_EVERY - 50, 50):
        await store.commit(firings(start, 50))
    assert await count(store, "events") == 20 + TRIM_EVERY - 50
    await store.settle([outcome(f"firing-{number}") for number in range(50)])
    assert await count(store, "events") == 20
    assert await count(store, "delivery_log") == 30


async def test_a_store_says_what_it_forgets(store: StateStore, caplog: pytest.LogCaptureFixture) -> None:
    await store.commit(firings(0, TRIM_EVERY, "hook"))
    await store.settle([outcome(f"firing-{number}", result="dead") for number in range(TRIM_EVERY)])
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{store.path}: {TRIM_EVERY - 5} deliveries that were given up are forgotten: more than 5 are not kept"
    ]


async def test_trimming_that_fails_is_no_failure_of_what_was_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # SQLite refuses this number of rows, after the commit.
    store = StateStore(tmp_path / "state.db", on_damage=pytest.fail, bounds=Bounds(prices="many"))  # type: ignore[arg-type]  # on purpose
    await store.commit(firings(0, 3, "hook"))
    assert len(await store.pending("hook")) == 3
    (told,) = caplog.messages
    assert told == f"{store.path}: datatype mismatch; what is older than needed is not deleted yet"
    await store.close()


# --- the WAL


def wal(store: StateStore) -> int:
    return Path(f"{store.path}-wal").stat().st_size


async def test_the_wal_stays_small_over_many_commits(store: StateStore) -> None:
    largest = 0
    for start in range(0, 6_000, 20):
        await store.commit(firings(start, 20, "hook", "phone"))
        await store.settle(
            [outcome(f"firing-{start + number}", sink) for number in range(20) for sink in ("hook", "phone")]
        )
        largest = max(largest, wal(store))
    assert largest < 2 * WAL_BYTES


async def test_a_wal_that_a_reader_holds_is_told_of_and_is_small_again_afterwards(
    store: StateStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.commit(firings(0, 20))
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        for start in range(20, 10_000, 500):
            await store.commit(firings(start, 500))
        assert wal(store) > WAL_BYTES
        assert (await store._call(tidy, SMALL)).held_bytes > WAL_BYTES
        assert "a program that reads it for long keeps" in caplog.messages[-1]
        reader.execute("COMMIT")
    assert (await store._call(tidy, SMALL)).held_bytes == 0
    await store.commit(firings(99_999, 1))
    assert wal(store) <= WAL_BYTES


async def test_a_transaction_larger_than_the_wal_is_cut_back_later(store: StateStore) -> None:
    def write(connection: sqlite3.Connection) -> None:
        with transaction(connection):
            connection.execute("CREATE TABLE large (x)")
            connection.execute("INSERT INTO large VALUES (zeroblob(20000000))")

    await store._call(write)
    assert wal(store) > WAL_BYTES
    await store.commit(firings(0, 1))
    assert wal(store) <= WAL_BYTES
