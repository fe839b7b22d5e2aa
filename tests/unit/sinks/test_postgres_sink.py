"""The sink `postgres`, against a real server."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.postgres.rows import binary_rows, columns_of
from pricestreamd.sinks.postgres.schema import SCHEMA_VERSION
from pricestreamd.sinks.postgres.sink import PostgresSink
from pricestreamd.sinks.settings import PostgresSinkSettings
from tests.faults.feeds import Authority
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.relay import Relay
from tests.unit.sinks.samples import BEGIN, alert, connected, custom, update, updates

_schemas = itertools.count(1)


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


class Schema:
    """A schema of its own in the database of `server`."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.name = f"s{next(_schemas)}"
        server.execute(f"CREATE SCHEMA {self.name}")
        self.url = f"{server.url}?options=-csearch_path={self.name}"

    def sink(self, url: str = "", **more: Any) -> PostgresSink:
        return PostgresSink("db", PostgresSinkSettings(url=Secret(url or self.url)), **more)

    def execute(self, sql: str) -> str:
        return self.server.execute(f"SET search_path = {self.name}; {sql}").removeprefix("SET\n")

    def rows(self, columns: str = "symbol, price, sequence") -> list[list[Any]]:
        found = self.execute(f"SELECT coalesce(json_agg(json_build_array({columns}) ORDER BY id), '[]') FROM prices")
        rows: list[list[Any]] = json.loads(found)
        return rows


@pytest.fixture
def schema(running: PostgresServer) -> Schema:
    return Schema(running)


@pytest.fixture
async def sink(schema: Schema) -> AsyncIterator[PostgresSink]:
    made = schema.sink()
    await made.open()
    yield made
    await made.close()


async def test_a_tick_is_a_row_with_types_of_the_database(sink: PostgresSink, schema: Schema) -> None:
    await sink.deliver([update(1), structs.replace(update(2), volume=None, timestamp=BEGIN + 0.123456)])
    assert schema.rows("symbol, timestamp, received_at, price, volume, feed, sequence") == [
        ["AAPL", "2023-11-14T22:13:21+00:00", "2023-11-14T22:13:21.25+00:00", 200.35, 100, "us-stocks", 1],
        ["AAPL", "2023-11-14T22:13:20.123456+00:00", "2023-11-14T22:13:22.25+00:00", 200.35, None, "us-stocks", 2],
    ]
    types = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)"
    assert schema.execute(
        f"{types} FROM information_schema.columns WHERE table_name = 'prices' AND table_schema = '{schema.name}'"
    ) == (
        "id bigint, symbol text, timestamp timestamp with time zone, received_at timestamp with time zone, "
        "price double precision, volume double precision, feed text, sequence bigint"
    )


async def test_what_has_no_tick_has_no_row_and_the_events_of_one_tick_have_one(
    sink: PostgresSink, schema: Schema
) -> None:
    await sink.deliver([update(1), alert(1), connected(), custom(symbol="X", price=1.0), update(2)])
    await sink.deliver([alert(2), alert(3)])
    assert [row[2] for row in schema.rows()] == [1, 2, 3]


async def test_a_batch_that_comes_again_adds_nothing(sink: PostgresSink, schema: Schema) -> None:
    batch = updates(3000, symbols=100)
    await sink.deliver(batch)
    await sink.deliver(batch)
    await sink.deliver([*batch[-5:], *updates(5, first=3001)])
    assert [row[2] for row in schema.rows()] == list(range(1, 3006))


@given(
    seconds=st.floats(min_value=0, max_value=4e9),
    price=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    volume=st.none() | st.floats(min_value=0, allow_infinity=False),
    symbol=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
)
def test_both_ways_into_the_table_make_the_same_row(
    running: PostgresServer, seconds: float, price: float, volume: float | None, symbol: str
) -> None:
    tick = structs.replace(update(1, symbol, price), timestamp=seconds, volume=volume)
    columns = columns_of([tick])
    moment: Any = columns[1][0]
    (pieces,) = [b"".join(binary_rows([tick]))]
    # The time is the second field: its length, and microseconds since 2000.
    place = 2 + 4 + len(symbol.encode())
    assert pieces[place : place + 4] == b"\0\0\0\x08"
    since_2000 = int.from_bytes(pieces[place + 4 : place + 12], "big", signed=True)
    since_1970 = round(
        (moment - moment.replace(year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        * 1e6
    )
    assert since_2000 + 946_684_800_000_000 == since_1970


async def test_a_repeated_batch_is_found_whatever_its_times(sink: PostgresSink, schema: Schema) -> None:
    # Times whose binary form is not what it seems: the row must be the same both ways.
    ticks = [
        structs.replace(update(number), timestamp=BEGIN + number / 7, received_at=BEGIN + number / 3)
        for number in range(1, 300)
    ]
    await sink.deliver(ticks)
    await sink.deliver(ticks)
    assert len(schema.rows()) == len(ticks)


async def test_a_value_that_is_never_taken_is_refused_and_leaves_nothing(sink: PostgresSink, schema: Schema) -> None:
    schema.execute("ALTER TABLE prices ADD CHECK (price < 1000)")
    for bad in (update(2, price=1e6), update(2, "a\0b"), update(2, "\ud800"), update(2, sequence=2**63)):
        with pytest.raises(SinkError, match="refused") as caught:
            await sink.deliver([update(1), bad, update(3)])
        assert not caught.value.transient
        assert "canary" not in str(caught.value)
    assert schema.rows() == []
    await sink.deliver([update(1), update(3)])
    assert [row[2] for row in schema.rows()] == [1, 3]


_NO_MSFT = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.symbol = 'MSFT' THEN RAISE EXCEPTION 'no MSFT' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON prices FOR EACH ROW EXECUTE FUNCTION f()
"""


@pytest.mark.parametrize("state", ["P0001", "23514", "44000", "54000"])
async def test_what_a_trigger_raises_for_one_row_is_a_fault_of_that_row(
    sink: PostgresSink, schema: Schema, state: str
) -> None:
    schema.execute(_NO_MSFT.format(state=state))
    with pytest.raises(SinkError, match="refused: no MSFT") as caught:
        await sink.deliver([update(1), update(2, "MSFT")])
    assert not caught.value.transient
    await sink.deliver([update(1), update(3)])
    assert [row[2] for row in schema.rows()] == [1, 3]


async def test_a_partition_that_is_not_there_is_no_fault_of_the_row_and_told_with_the_remedy(
    sink: PostgresSink, schema: Schema
) -> None:
    schema.execute(
        "CREATE TABLE parted (LIKE prices INCLUDING ALL) PARTITION BY RANGE (timestamp); DROP TABLE prices;"
        " ALTER TABLE parted RENAME TO prices"
    )
    for _ in range(2):
        with pytest.raises(SinkError, match=r'no partition of relation "prices".*: make the partition') as caught:
            await sink.deliver(updates(3))
        assert (caught.value.transient, caught.value.retry_after) == (True, 60)
    schema.execute("CREATE TABLE p PARTITION OF prices DEFAULT")
    await sink.deliver(updates(3))
    assert len(schema.rows()) == 3


async def test_a_column_of_somebody_else_that_must_be_filled_is_no_fault_of_the_row(
    sink: PostgresSink, schema: Schema
) -> None:
    schema.execute("ALTER TABLE prices ADD COLUMN desk text NOT NULL")
    with pytest.raises(SinkError, match=r'"desk".*: give that column a default') as caught:
        await sink.deliver(updates(3))
    assert (caught.value.transient, caught.value.retry_after) == (True, 60)
    schema.execute("ALTER TABLE prices ALTER COLUMN desk SET DEFAULT 'A'; ALTER TABLE prices ALTER volume SET NOT NULL")
    with pytest.raises(SinkError, match=r'refused: .*"volume"') as caught:
        await sink.deliver([structs.replace(update(1), volume=None)])
    assert not caught.value.transient
    await sink.deliver(updates(3))
    assert len(schema.rows()) == 3


async def test_the_table_is_made_once_by_many_at_a_time(schema: Schema) -> None:
    sinks = [schema.sink() for _ in range(6)]
    await asyncio.gather(*(sink.open() for sink in sinks))
    for number, sink in enumerate(sinks):
        await sink.deliver([update(number)])
        await sink.close()
    assert len(schema.rows()) == 6
    assert schema.execute("SELECT version FROM pricestreamd_schema") == str(SCHEMA_VERSION)


async def test_a_newer_table_is_refused_each_time_and_not_touched(schema: Schema) -> None:
    sink = schema.sink()
    await sink.open()
    await sink.close()
    schema.execute("UPDATE pricestreamd_schema SET version = 7")
    for attempt in (sink.open, sink.open, lambda: sink.deliver([update()])):
        with pytest.raises(SinkError, match=r"newer pricestreamd \(schema 7; this one knows 1\)") as caught:
            await attempt()
        assert not caught.value.transient
    await sink.close()
    assert schema.rows() == []


async def test_a_table_of_somebody_else_is_refused(schema: Schema) -> None:
    schema.execute("CREATE TABLE prices (article text)")
    sink = schema.sink()
    with pytest.raises(SinkError, match="not ours: name another database, or another schema"):
        await sink.open()
    await sink.close()


async def test_a_table_that_was_put_aside_is_begun_anew(sink: PostgresSink, schema: Schema) -> None:
    await sink.deliver([update(1)])
    schema.execute("ALTER TABLE prices RENAME TO prices_of_last_year")
    with pytest.raises(SinkError, match="does not exist") as caught:
        await sink.deliver([update(2)])
    assert caught.value.transient
    await sink.deliver([update(2)])
    assert [row[2] for row in schema.rows()] == [2]


async def test_where_the_table_is_there_reading_and_inserting_is_all_it_needs(schema: Schema) -> None:
    sink = schema.sink()
    await sink.open()
    await sink.close()
    writer = f"writer_{schema.name}"
    schema.execute(f"CREATE USER {writer} PASSWORD 'secret-of-writer'; GRANT USAGE ON SCHEMA {schema.name} TO {writer}")
    url = schema.url.replace(schema.url.partition("//")[2].rpartition("@")[0], f"{writer}:secret-of-writer")
    poor = schema.sink(url)
    with pytest.raises(SinkError, match=r"permission denied.*SELECT and INSERT in prices") as caught:
        await poor.open()
    assert caught.value.retry_after == 60
    schema.execute(f"GRANT SELECT, INSERT ON prices, pricestreamd_schema TO {writer}")
    await poor.deliver([update()])
    await poor.deliver([update()])
    await poor.close()
    assert len(schema.rows()) == 1


async def test_a_wrong_password_is_told_with_the_remedy_and_without_the_password(schema: Schema) -> None:
    sink = schema.sink(f"postgresql://daemon:not-it@127.0.0.1:{schema.server.port}/postgres")
    with pytest.raises(SinkError, match="set user and password in its url") as caught:
        await sink.open()
    assert caught.value.transient
    assert caught.value.retry_after == 60
    assert "not-it" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


async def test_tls_is_spoken_and_the_certificate_is_checked(schema: Schema, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), trustme.CA()
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    tls = authority.server("127.0.0.1")
    tls.set_alpn_protocols(["postgresql"])
    # Programs of PostgreSQL without TLS serve, too: the relay speaks it, from the first byte.
    async with Relay(schema.server.port, tls) as relay:
        url = schema.url.replace(str(schema.server.port), str(relay.port))
        demand = f"{url}&sslnegotiation=direct&sslmode=verify-full&sslrootcert="
        sink = schema.sink(f"{demand}{authority.file}")
        await sink.deliver([update()])
        await sink.close()
        assert len(schema.rows()) == 1
        with pytest.raises(SinkError, match="its certificate is refused") as caught:
            await schema.sink(f"{demand}{tmp_path}/stranger.pem").open()
        assert caught.value.transient
        with pytest.raises(SinkError, match="a certificate that its url names") as caught:
            await schema.sink(f"{demand}{tmp_path}/nowhere.pem").open()
        assert caught.value.transient


async def test_an_authority_that_is_looked_for_and_not_there_is_told_with_its_place_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    url = Secret("postgresql://user:word@127.0.0.1:1/prices?sslmode=verify-full")
    with pytest.raises(SinkError) as caught:
        await PostgresSink("db", PostgresSinkSettings(url=url)).open()
    said = str(caught.value)
    assert said.startswith(
        f'127.0.0.1:1/prices: root certificate file "{tmp_path}/.postgresql/root.crt" does not exist'
    )
    assert said.endswith(": give the certificate of its authority by sslrootcert=/path/ca.pem in its url")


async def test_a_database_that_takes_no_writes_is_worth_another_attempt(sink: PostgresSink, schema: Schema) -> None:
    await sink.deliver([update(1)])
    schema.server.read_only(True)
    with pytest.raises(SinkError, match="read-only transaction") as caught:
        await sink.deliver(updates(3, first=2))
    assert caught.value.transient
    assert caught.value.retry_after is None
    schema.server.read_only(False)
    await sink.deliver(updates(3, first=2))
    assert len(schema.rows()) == 4


async def test_a_full_disk_is_worth_another_attempt_and_leaves_nothing_of_the_batch() -> None:
    megabyte = 1024 * 1024
    with PostgresServer(wal_megabytes=1) as server:
        schema = Schema(server)
        server.limit_files(megabyte)
        sink = schema.sink()
        taken = 0

        async def fill() -> None:
            nonlocal taken
            for first in range(1, 100_000, 2000):
                await sink.deliver(updates(2000, first=first))
                taken = first + 1999

        with pytest.raises(SinkError, match="could not extend file") as caught:
            await fill()
        assert caught.value.transient
        assert caught.value.retry_after is None
        assert schema.execute("SELECT count(*), max(sequence) FROM prices") == f"{taken}|{taken}"
        server.limit_files(-1)
        await sink.deliver(updates(2000, first=taken + 1))
        await sink.close()
        assert schema.execute("SELECT count(*) FROM prices") == str(taken + 2000)


@pytest.mark.parametrize("url", ["mysql://127.0.0.1/", "127.0.0.1", ""])
def test_an_address_that_cannot_be_used_is_told_of_when_the_sink_is_made(url: str) -> None:
    with pytest.raises(SinkError, match="sink db: expected postgresql://"):
        PostgresSink("db", PostgresSinkSettings(url=Secret(url)))


async def test_a_connection_that_the_server_ended_is_made_anew_at_once(sink: PostgresSink, schema: Schema) -> None:
    await sink.deliver([update(1)])
    schema.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pricestreamd'"
    )
    await sink.deliver([update(2)])
    assert len(schema.rows()) == 2


@pytest.mark.parametrize("connected_before", [True, False])
async def test_a_frozen_server_is_given_up_at_the_deadline(schema: Schema, connected_before: bool) -> None:
    sink = schema.sink(deadline=0.3)
    if connected_before:
        await sink.open()
    schema.server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(SinkError, match=r"no answer within 0\.3 s") as caught:
            await sink.deliver(updates(2000))
        assert caught.value.transient
        delivery = asyncio.create_task(sink.deliver(updates(2000)))
        await asyncio.sleep(0.05)
        delivery.cancel()
        await asyncio.wait([delivery])
        await sink.close()
        assert time.monotonic() - began < 1.5
    finally:
        schema.server.thaw()
    again = schema.sink()
    await again.deliver(updates(2000))
    await again.close()
    assert len(schema.rows()) == 2000


async def test_a_lock_of_somebody_else_ends_at_the_deadline_and_leaves_no_statement_behind(
    sink: PostgresSink, schema: Schema
) -> None:
    sink._deadline = 0.5
    holder = await asyncpg.connect(schema.url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE prices")
        with pytest.raises(SinkError, match=r"lock timeout|statement timeout|no answer") as caught:
            await sink.deliver([update(1)])
        assert caught.value.transient
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'"
        assert await holder.fetchval(waiting) == 0
    await holder.close()
    await sink.deliver([update(1)])
    assert len(schema.rows()) == 1


async def test_nothing_is_kept_on_the_server_between_batches(sink: PostgresSink, schema: Schema) -> None:
    """As poolers need it: no prepared statement, no setting of the session, no temporary table."""
    batch = updates(10)
    await sink.deliver(batch)
    await sink.deliver(batch)
    connection = sink._connection
    assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
    assert await connection.fetchval("SHOW statement_timeout") == "0"
    assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") == 0


_TIMESCALE = """
CREATE FUNCTION create_hypertable(relation regclass, time_column_name name) RETURNS text LANGUAGE {language}
"""


@pytest.mark.parametrize("refuses", [False, True])
async def test_where_timescaledb_is_it_is_asked_to_part_the_table_by_time(
    schema: Schema, refuses: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The real extension cannot run here: one of its name, with a function of that signature, stands in."""
    server = schema.server
    if not server.execute("SELECT 1 FROM pg_settings WHERE name = 'extension_control_path'"):
        pytest.skip("this PostgreSQL cannot be given an extension of a test's own")
    folder = server.folder / schema.name / "extension"
    folder.mkdir(parents=True)
    (folder / "timescaledb.control").write_text("default_version = '1'\n")
    body = (
        "AS $$ BEGIN RAISE EXCEPTION 'not licensed'; END $$"
        if refuses
        else ("AS $$ BEGIN EXECUTE format('COMMENT ON TABLE %s IS %L', relation, time_column_name); RETURN ''; END $$")
    )
    (folder / "timescaledb--1.sql").write_text(f"{_TIMESCALE.format(language='plpgsql')} {body};")
    for part in (server.folder / schema.name, folder, *folder.iterdir()):
        part.chmod(0o755 if part.is_dir() else 0o644)
    server.execute('CREATE SCHEMA "Other Place"')
    try:
        server.execute(
            f"SET extension_control_path = '{folder.parent}'; CREATE EXTENSION timescaledb SCHEMA \"Other Place\""
        )
        sink = schema.sink()
        await sink.deliver([update(1)])
        await sink.close()
    finally:
        server.execute('DROP SCHEMA "Other Place" CASCADE')
    assert len(schema.rows()) == 1
    comment = schema.execute("SELECT obj_description('prices'::regclass)")
    if refuses:
        assert comment == ""
        assert "prices is an ordinary table, as TimescaleDB refused it: not licensed" in caplog.text
    else:
        assert comment == "timestamp"
