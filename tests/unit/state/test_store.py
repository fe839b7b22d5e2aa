"""What must last: kept over restarts and crashes, and never in the way."""

import asyncio
import contextlib
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricestreamd.model.errors import StateError
from pricestreamd.state.store import SCHEMA_VERSION, ForeignStateError, StateStore
from tests.support.waiting import eventually


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@contextlib.contextmanager
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(path, isolation_level=None)
    try:
        yield opened
    finally:
        opened.close()


async def kept(path: Path, told: list[str] | None = None) -> dict[str, tuple[str, ...]]:
    """The watchlists, as another process finds them later."""
    store = StateStore(path, on_damage=(told if told is not None else []).append)
    try:
        return {feed: saved.symbols for feed, saved in (await store.watchlists()).items()}
    finally:
        await store.close()


async def test_a_watchlist_outlives_its_store(path: Path, told: list[str]) -> None:
    store = StateStore(path, on_damage=told.append)
    before = time.time()
    assert await store.watchlists() == {}
    await store.save_watchlist("us", ("AAPL", "MSFT"))
    await store.save_watchlist("eu", ())
    await store.save_watchlist("us", ("TSLA",))
    saved = (await store.watchlists())["us"]
    assert before <= saved.saved_at <= time.time()
    await store.close()
    assert await kept(path) == {"us": ("TSLA",), "eu": ()}
    assert told == []


async def test_a_forgotten_watchlist_is_gone(path: Path, told: list[str]) -> None:
    store = StateStore(path, on_damage=told.append)
    await store.save_watchlist("us", ("AAPL",))
    await store.save_watchlist("eu", ("SAP",))
    await store.forget_watchlist("us")
    await store.forget_watchlist("nosuch")
    await store.close()
    assert await kept(path) == {"eu": ("SAP",)}


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.lists(st.text(st.characters(codec="utf-8")))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_whatever_texts_are_saved_are_found_again(tmp_path: Path, lists: dict[str, list[str]]) -> None:
    async def round_trip() -> dict[str, tuple[str, ...]]:
        (tmp_path / "any.db").unlink(missing_ok=True)
        store = StateStore(tmp_path / "any.db", on_damage=pytest.fail)
        for feed, symbols in lists.items():
            await store.save_watchlist(feed, symbols)
        await store.close()
        return await kept(tmp_path / "any.db")

    assert asyncio.run(round_trip()) == {feed: tuple(symbols) for feed, symbols in lists.items()}


async def test_a_store_that_nobody_asks_makes_no_file(path: Path, told: list[str]) -> None:
    store = StateStore(path, on_damage=told.append)
    await store.close()
    await store.close()
    assert not path.parent.exists()


async def test_the_file_is_for_the_daemon_alone_and_written_through_to_the_disk(path: Path) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    await store.save_watchlist("us", ("AAPL",))
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o027 == 0
    with connection(path) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert other.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    (synchronous,) = await store._call(lambda own: own.execute("PRAGMA synchronous").fetchone())
    assert synchronous == 2  # FULL
    await store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["state.db", "state.db.lock"]


PROGRAM = """
import asyncio, sys
from pathlib import Path
from pricestreamd.state.store import StateStore

async def main():
    store = StateStore(Path(sys.argv[1]), on_damage=print)
    for number in range(1_000_000):
        await store.save_watchlist("us", [f"S{number}"] * 50)
        print(number, flush=True)

asyncio.run(main())
"""


async def test_what_was_saved_survives_a_kill_at_any_moment(path: Path) -> None:
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
        process.stdout.close()
        process.wait()
        last = int([line for line in said if line.endswith("\n")][-1])
        (symbols,) = (await kept(path)).values()
        # The one that was being saved may be there, too; never a half of one.
        assert symbols in ((f"S{last}",) * 50, (f"S{last + 1}",) * 50)


# --- trouble


async def test_S9_a_damaged_file_is_put_aside_and_a_new_one_begun(path: Path, told: list[str]) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 1000)
    store = StateStore(path, on_damage=told.append)
    assert await store.watchlists() == {}
    await store.save_watchlist("us", ("AAPL",))
    await store.close()
    (aside,) = path.parent.glob("state.db.corrupt-*")
    assert aside.read_bytes() == b"this is no database" * 1000
    (sentence,) = told
    assert sentence == (
        f"{path}: not a sound database (file is not a database); put aside as {aside.name}, a new one is begun"
    )
    assert await kept(path) == {"us": ("AAPL",)}


async def test_S9_damage_that_shows_in_use_is_found_and_the_call_is_done_on_the_new_file(
    path: Path, told: list[str]
) -> None:
    store = StateStore(path, on_damage=told.append)
    for number in range(40):
        await store.save_watchlist(f"feed {number}", [f"S{n}" for n in range(500)])
    await store.close()
    content = bytearray(path.read_bytes())
    store = StateStore(path, on_damage=told.append)
    assert len(await store.watchlists()) == 40
    # Somebody writes over all pages but the first, under the open file.
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)
    await store._call(lambda own: own.execute("PRAGMA shrink_memory"))  # or it would answer from memory
    await store.forget_watchlist("feed 7")
    await store.save_watchlist("us", ("AAPL",))
    await store.close()
    assert len(told) == 1
    assert await kept(path) == {"us": ("AAPL",)}


async def test_S9_damage_inside_of_a_file_is_found_when_it_is_opened(path: Path, told: list[str]) -> None:
    store = StateStore(path, on_damage=told.append)
    for number in range(40):
        await store.save_watchlist(f"feed {number}", [f"S{n}" for n in range(500)])
    await store.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 4 * 4096] = bytes(4096)
    path.write_bytes(content)
    assert await kept(path, told) == {}
    assert len(told) == 1
    assert len(list(path.parent.glob("state.db.corrupt-*"))) == 1


async def test_S9_two_damaged_files_in_one_second_are_both_kept(path: Path, told: list[str]) -> None:
    path.parent.mkdir()
    for number in range(3):
        path.write_bytes(b"damage %d " % number * 1000)
        assert await kept(path, told) == {}
    asides = sorted(file.read_bytes()[:8] for file in path.parent.glob("state.db.corrupt-*"))
    assert asides == [b"damage 0", b"damage 1", b"damage 2"]
    assert len(told) == 3


async def test_L11_a_newer_file_is_refused_and_left_as_it_is(path: Path, told: list[str]) -> None:
    await kept(path)
    with connection(path) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    store = StateStore(path, on_damage=told.append)
    for _ in range(2):
        with pytest.raises(ForeignStateError) as refused:
            await store.watchlists()
        assert str(refused.value) == (
            f"{path} is made by a newer pricestreamd (schema {SCHEMA_VERSION + 1}; this one knows {SCHEMA_VERSION}): "
            "update pricestreamd, or name another file"
        )
    await store.close()
    assert path.read_bytes() == before
    assert told == []


async def test_the_database_of_another_program_is_refused_and_left_as_it_is(path: Path, told: list[str]) -> None:
    path.parent.mkdir()
    with connection(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    store = StateStore(path, on_damage=told.append)
    with pytest.raises(
        ForeignStateError, match="is the database of another program: move it away, or name another file"
    ):
        await store.save_watchlist("us", ("AAPL",))
    await store.close()
    assert path.read_bytes() == before


async def test_a_place_that_cannot_be_written_is_an_error_until_it_can(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "state.db"
    store = StateStore(path, on_damage=told.append)
    for _ in range(2):
        with pytest.raises(StateError, match=r"file/state\.db: "):
            await store.watchlists()
    (tmp_path / "file").unlink()
    await store.save_watchlist("us", ("AAPL",))
    await store.close()
    assert await kept(path) == {"us": ("AAPL",)}


async def test_a_folder_in_the_place_of_the_file_is_an_error_that_says_so(path: Path) -> None:
    path.mkdir(parents=True)
    store = StateStore(path, on_damage=pytest.fail)
    with pytest.raises(StateError, match=r"state\.db: Is a directory: name a file in it as state\.path"):
        await store.open()
    await store.close()


async def test_a_table_that_somebody_has_dropped_is_an_error_and_no_damage(path: Path, told: list[str]) -> None:
    await kept(path)
    with connection(path) as other:
        other.execute("DROP TABLE watchlists")
    with pytest.raises(StateError, match=r"state\.db: no such table: watchlists"):
        await kept(path, told)
    assert told == []


async def test_a_disk_that_does_not_answer_is_given_up_and_calls_do_not_pile_up(path: Path, told: list[str]) -> None:
    store = StateStore(path, on_damage=told.append, timeout=0.2)
    await store.save_watchlist("us", ("AAPL",))
    with connection(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with pytest.raises(StateError, match=r"state\.db: no answer within 0\.2 s"):
            await store.save_watchlist("us", ("MSFT",))
        with pytest.raises(StateError, match="the disk does not answer"):
            await store.save_watchlist("us", ("TSLA",))
        assert time.monotonic() - began < 1
    await eventually(lambda: not store._thread.busy, 10)
    await store.save_watchlist("us", ("AMZN",))
    await store.close()
    assert await kept(path) == {"us": ("AMZN",)}


async def test_closing_does_not_wait_for_a_disk_that_does_not_answer(path: Path, told: list[str]) -> None:
    store = StateStore(path, on_damage=told.append, timeout=0.2)
    await store.save_watchlist("us", ("AAPL",))
    with connection(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateError):
            await store.save_watchlist("us", ("MSFT",))
        began = time.monotonic()
        await store.close()
        assert time.monotonic() - began < 1


async def test_calls_at_the_same_time_are_done_one_after_the_other(path: Path, told: list[str]) -> None:
    store = StateStore(path, on_damage=told.append)
    await asyncio.gather(*(store.save_watchlist(f"feed {n}", (f"S{n}",)) for n in range(20)))
    await store.close()
    assert await kept(path) == {f"feed {n}": (f"S{n}",) for n in range(20)}


async def test_a_row_that_cannot_be_read_costs_only_itself(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    for feed in ("a", "b", "c", "d"):
        await store.save_watchlist(feed, ("AAPL",))
    await store.close()
    with connection(path) as other:
        other.execute("UPDATE watchlists SET symbols = '[\"AAPL\"' WHERE feed = 'a'")
        other.execute("UPDATE watchlists SET symbols = '[1]' WHERE feed = 'b'")
        other.execute("UPDATE watchlists SET symbols = x'00' WHERE feed = 'c'")
    assert await kept(path) == {"d": ("AAPL",)}
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == ["a", "b", "c"]


async def test_the_state_may_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    store = StateStore(tmp_path / "state" / "state.db", on_damage=pytest.fail)
    await store.save_watchlist("us", ("AAPL",))
    await store.close()
    assert (tmp_path / "disk" / "state.db").exists()
