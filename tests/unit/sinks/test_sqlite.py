"""The sink `sqlite`: a row a tick."""

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, PriceChange
from pricestreamd.sinks.settings import SqliteSinkSettings
from pricestreamd.sinks.sqlite import COLUMNS, ROWS, SCHEMA_VERSION, SqliteSink
from tests.unit.sinks.samples import BEGIN, alert, custom, update, updates


def sink_at(path: Path) -> SqliteSink:
    return SqliteSink("ticks", SqliteSinkSettings(path=path))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def rows(path: Path) -> list[tuple[Any, ...]]:
    with reading(path) as connection:
        return connection.execute(f"SELECT {', '.join(COLUMNS)} FROM prices ORDER BY id").fetchall()


def row(event: Event) -> tuple[Any, ...]:
    return tuple(event[column] for column in COLUMNS)


async def inserted(path: Path, *batches: list[Event]) -> list[tuple[Any, ...]]:
    sink = sink_at(path)
    await sink.open()
    for batch in batches:
        await sink.deliver(batch)
    await sink.close()
    return rows(path)


async def test_each_tick_is_a_row_in_the_order_of_its_coming(tmp_path: Path) -> None:
    events = [*updates(7), update(8, volume=None)]
    assert await inserted(tmp_path / "prices.db", events[:3], events[3:]) == list(map(row, events))


@pytest.mark.parametrize("count", [1, *(n + d for n in ROWS[:3] for d in (-1, 0, 1)), 2_345])
async def test_batches_of_every_size_are_whole(tmp_path: Path, count: int) -> None:
    events = updates(count)
    assert await inserted(tmp_path / "prices.db", events) == list(map(row, events))


async def test_a_batch_that_comes_again_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    assert await inserted(path, updates(5), updates(5)) == list(map(row, updates(5)))
    assert await inserted(path, updates(6)) == list(map(row, updates(6)))


async def test_a_tick_is_one_row_however_many_events_it_made(tmp_path: Path) -> None:
    tick = update(1)
    change = PriceChange(**{name: getattr(tick, name) for name in tick.__struct_fields__}, reported_change_percent=1.0)
    assert await inserted(tmp_path / "prices.db", [tick, change, alert(1)]) == [row(tick)]


async def test_ticks_that_differ_in_sequence_feed_symbol_or_time_are_different_ticks(tmp_path: Path) -> None:
    events: list[Event] = [
        update(1),
        update(1, "MSFT"),
        update(1, feed="other"),
        update(1, sequence=2),
        update(2, sequence=1),
    ]
    assert len(await inserted(tmp_path / "prices.db", events)) == 5


async def test_an_event_of_ones_own_under_a_price_events_name_makes_no_row(tmp_path: Path) -> None:
    assert await inserted(tmp_path / "prices.db", [custom("price.update", price=1), update(1)]) == [row(update(1))]


async def test_the_database_is_as_promised(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "prices.db"
    sink = sink_at(path)
    await sink.open()
    await sink.deliver(updates(1))
    with reading(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(prices)")]
    assert columns == ["id", *COLUMNS]
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    await sink.close()
    assert [file.name for file in path.parent.iterdir()] == ["prices.db"]


async def test_readers_see_each_batch_whole_while_the_sink_is_open(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    sink = sink_at(path)
    await sink.open()
    with reading(path) as connection:
        for turn in range(1, 4):
            await sink.deliver(updates(10, first=turn * 10))
            assert connection.execute("SELECT count(*) FROM prices").fetchone() == (turn * 10,)
    await sink.close()


async def test_a_refused_row_leaves_nothing_of_its_batch(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    sink = sink_at(path)
    await sink.open()
    for poison in (update(3, feed=None), update(3, sequence=2**70), update(3, "\ud800")):
        with pytest.raises(SinkError, match="refused") as caught:
            await sink.deliver([*updates(2), poison])
        assert not caught.value.transient
    assert rows(path) == []
    await sink.deliver(updates(2))
    await sink.close()
    assert rows(path) == list(map(row, updates(2)))


async def test_a_newer_database_is_a_clear_error_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    sink = sink_at(path)
    with pytest.raises(
        SinkError, match=r"prices\.db: made by a newer pricestreamd \(schema 2; this one knows 1\)"
    ) as e:
        await sink.open()
    await sink.close()
    assert not e.value.transient
    assert path.read_bytes() == before
    with reading(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)


async def test_a_table_of_somebody_else_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE prices (what TEXT)")
        connection.commit()
    sink = sink_at(path)
    with pytest.raises(SinkError, match="not ours") as caught:
        await sink.open()
    await sink.close()
    assert not caught.value.transient


async def test_an_index_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "prices.db"
    await inserted(path, updates(2))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX by_symbol ON prices (symbol, timestamp)")
        connection.commit()
    await inserted(path, updates(2, first=3))
    with reading(path) as connection:
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT price FROM prices WHERE symbol = 'A'").fetchone()
    assert "by_symbol" in plan[3]


finite = st.floats(min_value=1e-300, max_value=1e300)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), finite, st.none() | finite
        ),
        min_size=1,
        max_size=8,
    )
)
async def test_every_number_and_text_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, float, float | None]]
) -> None:
    events: list[Event] = [update(n, symbol, price, volume=volume) for n, (symbol, price, volume) in enumerate(values)]
    assert await inserted(tmp_path_factory.mktemp("db") / "prices.db", events) == list(map(row, events))


# --- retention


async def test_rows_older_than_the_retention_go_some_at_a_time_and_the_others_stay(tmp_path: Path) -> None:
    path, wall, clock = tmp_path / "prices.db", [BEGIN + 1000.0], [0.0]
    settings = SqliteSinkSettings(path=path, retention=5000.0)
    sink = SqliteSink("ticks", settings, wall=lambda: wall[0], clock=lambda: clock[0])
    await sink.open()
    await sink.deliver(updates(5000))
    assert len(rows(path)) == 5000
    wall[0] = BEGIN + 10_000.5
    await sink.deliver(updates(1, first=9000))
    assert len(rows(path)) == 5001, "not looked at again within a minute"
    clock[0] += 61
    left = []
    for first in (9001, 9002, 9003):
        await sink.deliver(updates(1, first=first))
        left.append(len(rows(path)))
    assert left == [5002 - 2000, 5003 - 4000, 4], "so many at a time that no batch waits long"
    assert [row[1] - BEGIN for row in rows(path)] == [9000.0, 9001.0, 9002.0, 9003.0]
    await sink.close()


async def test_by_a_clock_far_ahead_of_the_rows_none_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, wall, clock = tmp_path / "prices.db", [BEGIN], [0.0]
    settings = SqliteSinkSettings(path=path, retention=86_400.0)
    for ahead in (0.0, 1e9):
        sink = SqliteSink("ticks", settings, wall=lambda: wall[0], clock=lambda: clock[0])
        wall[0] = BEGIN + ahead
        await sink.open()
        for number in range(3):
            clock[0] += 61
            await sink.deliver(updates(1, first=1 + number))
        await sink.close()
    assert len(rows(path)) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: the clock is more than a day ahead of the rows: none is deleted"
    ]


async def test_without_a_retention_nothing_goes(tmp_path: Path) -> None:
    assert len(await inserted(tmp_path / "prices.db", updates(50), updates(50, first=51))) == 100


async def test_that_old_rows_cannot_be_deleted_is_no_failure_of_the_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "prices.db"
    sink = SqliteSink("ticks", SqliteSinkSettings(path=path, retention=1.0))
    await sink.open()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER kept BEFORE DELETE ON prices BEGIN SELECT RAISE(ABORT, 'kept'); END")
        other.commit()
    await sink.deliver(updates(3))
    await sink.close()
    assert len(rows(path)) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: rows that are too old are not deleted yet: kept"
    ]
