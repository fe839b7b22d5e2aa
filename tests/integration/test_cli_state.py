"""`pricestreamd state backup`: a copy beside a store that is in use, and one line for all that can be wrong."""

import asyncio
import contextlib
import json
import os
import sqlite3
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.state.file import StateFile
from pricestreamd.state.migrations import SCHEMA_VERSION
from pricestreamd.state.store import StateStore
from tests.unit.state.model import firing, read_all


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def path(tmp_path: Path) -> Path:
    # Of the rest of the configuration nothing is needed, be it that its keys are nowhere.
    (tmp_path / "c.yaml").write_text(
        "feeds: {us: {provider: twelvedata, api_key: '${NOWHERE}', symbols: [AAPL]}}\nstate: {path: kept.db}\n"
    )
    return tmp_path / "state" / "kept.db"


async def backup(folder: Path, *arguments: str | Path, config: str | None = "c.yaml") -> Ran:
    """`pricestreamd state backup` with these arguments, as a process in `folder`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pricestreamd", "state", "backup", *map(str, arguments)),
        *(() if config is None else ("--config", config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "STATE_DIRECTORY": str(folder / "state")},
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def contents(path: Path) -> dict[str, Any]:
    file = StateFile(path)
    try:
        return file.run(read_all)
    finally:
        file.close()


async def test_copies_beside_a_store_that_writes_are_of_one_moment(path: Path, tmp_path: Path) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    await store.commit(firing(0, "hook", "phone"))
    copying = asyncio.create_task(backup(tmp_path, "copy.db"))
    number = 1
    while not copying.done():
        await store.commit(firing(number, "hook", "phone"))
        number += 1
    ran = await copying
    await store.close()
    target = tmp_path / "copy.db"
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"copy.db: a copy of {path}, {target.stat().st_size / 1024:.0f} KiB\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    found = contents(target)
    numbers = [int(row[0].removeprefix("firing-")) for row in found["events"]]
    assert numbers == list(range(len(numbers)))
    assert 1 <= len(numbers) <= number
    assert found["backlogs"] == {"hook": (len(numbers), 0), "phone": (len(numbers), 0)}
    assert found["alert_states"] == {("high", "AAPL"): b'{"fired":%d}' % numbers[-1]}


async def test_a_copy_that_is_put_in_the_place_of_the_state_is_the_state(path: Path, tmp_path: Path) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    await store.commit(firing(1, "hook"))
    ran = await backup(tmp_path, tmp_path / "copy.db", "--json")
    assert json.loads(ran.out) == {
        "state": str(path),
        "backup": str(tmp_path / "copy.db"),
        "size_bytes": (tmp_path / "copy.db").stat().st_size,
    }
    kept = await store._call(read_all)
    await store.commit(firing(2, "hook"))
    await store.close()
    (tmp_path / "copy.db").rename(path)
    store = StateStore(path, on_damage=pytest.fail)
    assert await store._call(read_all) == kept
    await store.commit(firing(3, "hook"))
    await store.close()


async def test_without_a_state_there_is_nothing_to_copy(path: Path, tmp_path: Path) -> None:
    ran = await backup(tmp_path, "copy.db")
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == (
        f"pricestreamd state: {path}: there is no state: c.yaml names this file, and no daemon has kept anything in it\n"
    )


async def test_without_a_configuration_the_state_is_where_a_daemon_would_have_it(tmp_path: Path) -> None:
    state = tmp_path / "state" / "state.db"
    ran = await backup(tmp_path, "copy.db", config=None)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == (
        f"pricestreamd state: {state}: there is no state: without a configuration it would be there, and no daemon has "
        "kept anything in it; name its configuration with --config\n"
    )
    contents(state)
    ran = await backup(tmp_path, "copy.db", config=None)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"copy.db: a copy of {state}, ")


async def test_the_state_is_not_written_over(path: Path, tmp_path: Path) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    await store.commit(firing(1, "hook"))
    for target in (path, Path(f"{path}-wal")):
        ran = await backup(tmp_path, target)
        assert (ran.code, ran.out) == (64, "")
        assert ran.err.startswith(f"pricestreamd state: {target} is ")
        assert ran.err.endswith(" of the state: name another file\n" if target != path else " name another file\n")
    assert len(await store.pending("hook")) == 1
    await store.close()


@pytest.mark.parametrize("target", ["nosuch/copy.db", "c.yaml/copy.db", "state"])
async def test_a_place_that_cannot_be_written_is_one_line_and_64(path: Path, tmp_path: Path, target: str) -> None:
    contents(path)
    ran = await backup(tmp_path, target)
    assert (ran.code, ran.out) == (64, "")
    (line,) = ran.err.splitlines()
    assert line.startswith(f"pricestreamd state: {tmp_path / target}")


@pytest.mark.parametrize("content", [b"this is no database" * 1000, None], ids=["no database", "a page of zeros"])
async def test_a_damaged_state_is_one_line_and_71(path: Path, tmp_path: Path, content: bytes | None) -> None:
    contents(path)
    whole = path.read_bytes()
    path.write_bytes(content or whole[:8192] + bytes(4096) + whole[12288:])
    ran = await backup(tmp_path, "copy.db")
    assert (ran.code, ran.out) == (71, "")
    (line,) = ran.err.splitlines()
    assert line.startswith(f"pricestreamd state: {path}: not a sound database (")
    assert not (tmp_path / "copy.db").exists()


async def test_a_newer_state_is_copied_and_that_of_another_program_is_not(path: Path, tmp_path: Path) -> None:
    contents(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert (await backup(tmp_path, "copy.db")).code == 0
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    ran = await backup(tmp_path, "copy.db")
    assert (ran.code, ran.out) == (78, "")
    assert ran.err.startswith(f"pricestreamd state: {path} is the database of another program: ")
