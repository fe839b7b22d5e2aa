"""Faults of the state: killed writers, a second daemon, other versions, damage, locks, a disk that is full or read-only."""

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from pricestreamd.model.errors import StateError
from pricestreamd.simulator.server import Simulator
from pricestreamd.state.file import StateFile
from pricestreamd.state.rows import StateChange
from pricestreamd.state.store import SCHEMA_VERSION, ForeignStateError, StateLocked, StateStore
from tests.faults.state_programs import step
from tests.support.daemon import DaemonProcess
from tests.support.own_disk import own_disk
from tests.support.waiting import eventually
from tests.unit.state.model import Model, firing, read_all

ROOT = Path(__file__).parents[2]
KILLS = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@contextlib.contextmanager
def program(name: str, path: Path, *before: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "tests.faults.state_programs", name, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = out(process).readline()
    assert line, "the program ended before it said anything"
    found: dict[str, Any] = json.loads(line)
    return found


def contents(path: Path) -> dict[str, Any]:
    file = StateFile(path)
    try:
        found = file.run(read_all)
        assert file.damage == []
        return found
    finally:
        file.close()


def done(model: Model, number: int) -> None:
    doing = step(number)
    if isinstance(doing, StateChange):
        model.commit(doing)
    else:
        model.settle(doing)


# --- L1


def test_l1_what_was_acknowledged_survives_a_kill_at_any_instant(path: Path) -> None:
    dice, model = random.Random(1), Model()
    number = in_progress = 0  # number is that of the transaction that comes next
    with contextlib.ExitStack() as stack:
        waiting = stack.enter_context(program("write", path))
        for _ in range(KILLS):
            process = waiting
            tell(process, str(number))
            waiting = stack.enter_context(program("write", path))  # starts up while the other writes
            lines = [out(process).readline() for _ in range(dice.randrange(1, 60))]
            time.sleep(dice.random() * 0.004)  # not a wait: any instant of a transaction
            process.kill()
            lines += out(process).readlines()
            acknowledged = int([line for line in lines if line.endswith("\n")][-1])
            while number <= acknowledged:
                done(model, number)
                number += 1
            found = contents(path)
            if found != model.contents():
                # The one that was in progress is there, too: all of it.
                done(model, number)
                number += 1
                in_progress += 1
            assert found == model.contents()
    assert number > 10 * KILLS
    assert in_progress < KILLS


# --- L6


def test_l6_a_second_holder_is_refused_naming_the_pid_until_the_first_is_killed(path: Path) -> None:
    with program("hold", path) as process:
        assert out(process).readline() == "held\n"
        file = StateFile(path)
        for _ in range(2):
            with pytest.raises(StateLocked) as refused:
                file.run(read_all)
            assert refused.value.pid == process.pid
            assert str(refused.value).startswith(f"{path} is used by another pricestreamd (pid {process.pid}): ")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert file.run(read_all) == Model().contents()
        file.close()


async def test_l6_a_second_daemon_ends_with_73_and_names_the_first(path: Path, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    async with Simulator("twelvedata", rate=100) as simulator:
        text = config(simulator)
        async with DaemonProcess(tmp_path, text, KEY="any-key") as first:
            await eventually(lambda: simulator.connects == 1)
            second = DaemonProcess(tmp_path / "second", text, ready=False, KEY="any-key", STATE_DIRECTORY=str(tmp_path))
            async with second:
                assert await second.ended() == 73
            assert f"{path} is used by another pricestreamd (pid {first.process.pid})" in "".join(second.log)
            assert "Traceback" not in "".join(second.log)
            assert simulator.connects == 1
            first.send(signal.SIGKILL)
            await first.ended()
        async with DaemonProcess(tmp_path / "second", text, KEY="any-key", STATE_DIRECTORY=str(tmp_path)) as third:
            await third.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            assert await third.stop() == 0


def config(simulator: Simulator) -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {simulator.url}
    symbols: [AAPL]
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
alerts: [{{name: high, symbol: AAPL, above: 0.01}}]
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


def troubles(daemon: DaemonProcess) -> list[str]:
    return [record["message"] for record in daemon.records if record.get("error.code") == "state"]


# --- L11


def make_version_1(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE watchlists (feed TEXT PRIMARY KEY, symbols TEXT NOT NULL, saved_at REAL NOT NULL)"
        )
        connection.execute("INSERT INTO watchlists VALUES ('us', '[\"AAPL\",\"MSFT\"]', 1700000000.5)")
        connection.execute("PRAGMA user_version = 1")


async def test_l11_an_older_state_is_brought_to_the_present_version_with_its_rows(path: Path) -> None:
    make_version_1(path)
    store = StateStore(path, on_damage=pytest.fail)
    await store.open()
    await store.commit(firing(1, "hook"))
    assert {feed: saved.symbols for feed, saved in (await store.watchlists()).items()} == {"us": ("AAPL", "MSFT")}
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


async def test_l11_a_newer_state_is_refused_and_left_as_it_is(path: Path) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    await store.commit(firing(1, "hook"))
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        # As a newer version may have it: a table that this one knows is no more.
        connection.execute("DROP TABLE alert_states")
    before = path.read_bytes()
    store = StateStore(path, on_damage=pytest.fail)
    for call in (store.open, store.load, store.backlogs):
        with pytest.raises(ForeignStateError, match=r"made by a newer pricestreamd .* update pricestreamd"):
            await call()
    await store.close()
    assert path.read_bytes() == before


async def test_l11_a_daemon_on_a_newer_state_ends_with_78_before_it_connects(path: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    async with Simulator("twelvedata") as simulator:
        async with DaemonProcess(tmp_path, config(simulator), ready=False, KEY="any-key") as daemon:
            assert await daemon.ended() == 78
        assert simulator.connects == 0
    told = "".join(daemon.log)
    assert f"state.path: {path} is made by a newer pricestreamd (schema {SCHEMA_VERSION + 1};" in told
    assert "Traceback" not in told


async def test_l11_a_daemon_goes_on_with_an_older_state(path: Path, tmp_path: Path) -> None:
    make_version_1(path)
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator), KEY="any-key") as daemon:
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            assert await daemon.stop() == 0
    assert troubles(daemon) == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


# --- S9


@pytest.mark.parametrize("damage", ["no database", "a page of zeros", "cut off"])
async def test_s9_a_corrupt_state_is_put_aside_and_a_new_one_takes_everything(
    path: Path, tmp_path: Path, damage: str
) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    for number in range(200):
        await store.commit(firing(number, "hook"))
    await store.close()
    content = path.read_bytes()
    path.write_bytes(
        {
            "no database": b"this is no database" * 1000,
            "a page of zeros": content[:8192] + bytes(4096) + content[12288:],
            "cut off": content[: len(content) // 2],
        }[damage]
    )
    broken = path.read_bytes()
    told: list[str] = []
    store = StateStore(path, on_damage=told.append)
    await store.open()
    assert (await store.load()).alert_states == ()
    await store.commit(firing(1, "hook"))
    assert [each.event_id for each in await store.pending("hook")] == ["firing-1"]
    await store.close()
    (aside,) = (file for file in tmp_path.iterdir() if ".corrupt-" in file.name)
    assert aside.read_bytes() == broken
    (sentence,) = told
    assert sentence.endswith(f"put aside as {aside.name}, a new one is begun")


async def test_s9_a_state_that_another_program_has_locked_is_an_error_until_it_lets_go(path: Path) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    await store.commit(firing(1, "hook"))
    await store.close()
    with locked(path):
        with pytest.raises(
            StateError, match=r"state\.db: database is locked: another program holds it: end that program"
        ):
            await store.open()
    await store.commit(firing(2, "hook"))
    assert len(await store.pending("hook")) == 2
    await store.close()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE theirs (x)")
        yield
        other.execute("ROLLBACK")


async def test_s9_a_daemon_streams_and_alerts_on_a_corrupt_state(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator), KEY="any-key") as daemon:
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            await daemon.said("price_above_0.01")
            assert await daemon.stop() == 0
    (trouble,) = troubles(daemon)
    (aside,) = tmp_path.glob("state.db.corrupt-*")
    assert f"put aside as {aside.name}" in trouble
    assert len(contents(path)["past"]["high"]) == 1


async def test_s9_a_daemon_streams_and_alerts_on_a_locked_state(path: Path, tmp_path: Path) -> None:
    store = StateStore(path, on_damage=pytest.fail)
    await store.open()
    await store.close()
    async with Simulator("twelvedata", rate=100) as simulator:
        with locked(path):
            async with DaemonProcess(tmp_path, config(simulator), KEY="any-key") as daemon:
                await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
                await daemon.said("price_above_0.01")
                assert await daemon.stop() == 0
    assert "another program holds it" in troubles(daemon)[0]
    assert not list(tmp_path.glob("state.db.corrupt-*"))


# --- S8 and a disk that cannot be written


@pytest.mark.parametrize("kind", ["limited", "limited_main", "full"])
def test_s8_no_space_is_an_error_that_loses_nothing_and_all_goes_on_when_there_is_space(
    tmp_path: Path, kind: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    path = disk / "state.db"
    with program(kind, path, *(own_disk(disk, 8) if kind == "full" else [])) as process:
        found = said(process)
        assert process.wait(20) == 0
    assert len(found["errors"]) == 5
    what = {"full": "database or disk is full: make space on that disk"}.get(kind, "disk I/O error: look at the disk")
    assert all(error.startswith(f"{path}: {what}") for error in found["errors"]), found["errors"]
    assert found["same_when_full"], "reading must go on, and nothing of what failed may be there"
    assert found["committed"] == found["waiting"] + 20
    assert found["same"], "what was committed before and after must be there after a restart"
    assert (found["sound"], found["damage"], found["wal"]) == (True, [], False)


def test_a_disk_that_is_read_only_is_an_error_with_its_remedy_until_it_can_be_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    path = disk / "state.db"
    with program("read_only", path, *own_disk(disk, 8)) as process:
        found = said(process)
        assert process.wait(20) == 0
    assert len(found["errors"]) == 3
    for error in found["errors"]:
        assert error == (
            f"{path}: Read-only file system: let the user who runs pricestreamd write in {disk}, "
            "or name another file as state.path"
        )
    assert found["pending"] == ["firing-1", "firing-2"]


FULL_AT_THE_START = """
import asyncio, os, sys
from pathlib import Path
from pricestreamd.state.rows import AlertRow, StateChange
from pricestreamd.state.store import StateStore

path = Path(sys.argv[1])

async def main():
    store = StateStore(path, on_damage=sys.exit)
    await store.commit(StateChange(alerts=[AlertRow("stop", b"{}")]))
    await store.close()
    try:
        with open(path.with_name("filler"), "wb") as filler:
            while True:
                filler.write(os.urandom(4096)); filler.flush()
    except OSError:
        pass
    store = StateStore(path, on_damage=sys.exit)
    print((await store.load()).alerts[0].alert_id)

asyncio.run(main())
"""


def test_s8_what_is_kept_can_be_read_although_the_disk_is_full_at_the_start(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*own_disk(disk, 2), sys.executable, "-c", FULL_AT_THE_START, str(disk / "state.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("stop\n", "")
