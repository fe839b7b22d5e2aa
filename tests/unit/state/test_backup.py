"""A copy of the state while it is in use: whole, checked, private, and never in the place of the state."""

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.model.errors import StateError
from pricestreamd.state.backup import TargetError, back_up
from pricestreamd.state.file import StateFile
from pricestreamd.state.migrations import SCHEMA_VERSION, ForeignStateError
from pricestreamd.state.store import StateStore
from tests.support.waiting import eventually
from tests.unit.state.model import firing, read_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[StateStore]:
    made = StateStore(path, on_damage=pytest.fail)
    for number in range(30):
        await made.commit(firing(number, "hook", "phone"))
    yield made
    await made.close()


def contents(path: Path) -> dict[str, Any]:
    file = StateFile(path)
    try:
        assert file.damage == []
        return file.run(read_all)
    finally:
        file.close()


async def test_a_copy_holds_everything_and_can_take_the_place_of_the_state(store: StateStore, target: Path) -> None:
    await store.backup(target)
    assert contents(target) == await store._call(read_all)
    # Not a word of it is in files beside it.
    assert sorted(file.name for file in target.parent.iterdir()) == ["copy.db", "copy.db.lock", "state"]


async def test_a_copy_is_private_and_needs_no_writing_to_be_read(store: StateStore, target: Path) -> None:
    await store.backup(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(f"file:{target}?mode=ro&immutable=1", uri=True)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert copy.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert copy.execute("SELECT count(*) FROM events").fetchone() == (30,)


async def test_a_copy_replaces_the_one_before_also_behind_a_link(store: StateStore, target: Path) -> None:
    link = target.with_name("newest.db")
    link.symlink_to(target)
    await store.backup(target)
    await store.commit(firing(99, "hook"))
    await store.backup(link)
    assert link.is_symlink()
    assert "firing-99" in contents(target)["past"]["high"]


async def test_copies_are_of_one_moment_while_the_store_writes(store: StateStore, target: Path) -> None:
    copied = 0

    async def copy() -> None:
        nonlocal copied
        for _ in range(10):
            await store.backup(target)
            found = await asyncio.to_thread(contents, target)
            # Commit n has written the event and both deliveries, and everything before it.
            numbers = [int(event[0].removeprefix("firing-")) for event in found["events"]]
            assert numbers == list(range(len(numbers)))
            assert found["backlogs"] == {"hook": (len(numbers), 0), "phone": (len(numbers), 0)}
            assert found["alert_states"] == {("high", "AAPL"): b'{"fired":%d}' % numbers[-1]}
            copied += 1

    work = asyncio.create_task(copy())
    number = 30
    while not work.done():
        await store.commit(firing(number, "hook", "phone"))
        number += 1
    await work
    assert copied == 10
    assert number > 60, "the store was held up"


def test_a_state_that_nobody_uses_can_be_copied_and_stays_as_it_is(path: Path, target: Path) -> None:
    file = StateFile(path)
    file.run(read_all)
    file.close()
    before = path.read_bytes()
    back_up(path, target)
    assert path.read_bytes() == before
    assert contents(target) == contents(path)


def test_a_state_whose_daemon_was_killed_is_copied_with_its_wal(path: Path, target: Path) -> None:
    program = (
        "import asyncio, os\nfrom pathlib import Path\n"
        "from pricestreamd.state.store import StateStore\nfrom tests.unit.state.model import firing\n"
        "async def main():\n"
        f"    store = StateStore(Path({str(path)!r}), on_damage=print)\n"
        "    for number in range(5): await store.commit(firing(number, 'hook'))\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=False).returncode == -9
    assert Path(f"{path}-wal").stat().st_size > 0
    assert back_up(path, target) == target.stat().st_size
    assert len(contents(target)["events"]) == 5
    assert len(contents(path)["events"]) == 5


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock"])
async def test_the_state_itself_is_never_the_target(store: StateStore, path: Path, suffix: str) -> None:
    before = await store._call(read_all)
    with pytest.raises(TargetError, match="name another file"):
        await store.backup(Path(f"{path}{suffix}"))
    assert await store._call(read_all) == before


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
async def test_the_state_is_known_by_other_names_too(store: StateStore, path: Path, target: Path, kind: str) -> None:
    if kind == "symbolic":
        target.symlink_to(path)
    else:
        os.link(path, target)
    with pytest.raises(TargetError, match="is the state itself"):
        await store.backup(target)


async def test_what_cannot_be_written_leaves_nothing_behind(store: StateStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "copy.db", tmp_path / "nosuch" / "copy.db", tmp_path, Path("/dev/null")):
        with pytest.raises(TargetError, match=str(target)):
            await store.backup(target)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "state"]


def test_without_a_state_there_is_no_copy(path: Path, target: Path) -> None:
    with pytest.raises(StateError, match=r"state\.db: there is no state yet"):
        back_up(path, target)
    assert not path.exists()
    assert not target.exists()


def test_a_damaged_state_is_not_copied_over_a_good_copy(path: Path, target: Path) -> None:
    file = StateFile(path)
    file.run(lambda own: own.execute("CREATE TABLE large AS SELECT zeroblob(100000)"))
    file.close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\x5a" * 4096
    path.write_bytes(content)
    target.write_text("the copy of yesterday")
    with pytest.raises(StateError, match="not a sound database"):
        back_up(path, target)
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StateError, match="not a sound database"):
        back_up(path, target)
    assert target.read_text() == "the copy of yesterday"
    assert sorted(file.name for file in target.parent.iterdir()) == ["copy.db", "state"]


def test_the_database_of_another_program_is_not_taken_for_the_state(tmp_path: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "prices.db")) as other:
        other.execute("CREATE TABLE prices (x)")
    with pytest.raises(ForeignStateError):
        back_up(tmp_path / "prices.db", target)
    assert not target.exists()


async def test_a_copy_waits_for_another_program_but_not_for_ever(store: StateStore, path: Path, target: Path) -> None:
    await store.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with pytest.raises(StateError, match="another program holds it"):
            back_up(path, target, wait_seconds=0.1)
        assert time.monotonic() - began < 15
        assert not target.exists()
    back_up(path, target)


async def test_a_copy_that_nobody_waits_for_any_more_disturbs_nobody(store: StateStore, target: Path) -> None:
    waiting = asyncio.create_task(store.backup(target))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await store.commit(firing(99, "hook"))
    await eventually(target.exists)
    await store.backup(target)
    assert "firing-99" in contents(target)["past"]["high"]
