"""What is durable, through SIGKILL and outages of the destination: nothing that was committed is lost, all in order."""

import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.soak.outages import database_away

ROOT = Path(__file__).parents[2]
# What the documentation promises.
MOST_LOST_ROWS = 500
MOST_LOST_SECONDS = 1.0
RATE = 2000


@contextlib.contextmanager
def program(folder: Path, first: int, rate: int = RATE) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.faults.durable_programs", str(folder), str(first), str(rate)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the program ended before it said anything"
    found: dict[str, Any] = json.loads(line)
    return found


def rest_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last whole line that it has said."""
    assert process.stdout is not None
    *_, last = [line for line in process.stdout.read().splitlines() if line.endswith("}")]
    found: dict[str, Any] = json.loads(last)
    return found


@contextlib.contextmanager
def away(folder: Path) -> Iterator[None]:
    """The database is locked by somebody else, so it takes nothing."""
    with contextlib.closing(sqlite3.connect(folder / "prices.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def rows(folder: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'prices.db'}?mode=ro", uri=True)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'prices'").fetchone() is None:
            return []
        return [number for (number,) in connection.execute("SELECT sequence FROM prices ORDER BY id")]


def until_delivered(process: subprocess.Popen[str], least: int, folder: Path) -> None:
    deadline = time.monotonic() + 20
    while said(process) and max(rows(folder), default=0) < least:
        assert time.monotonic() < deadline, "not delivered in time"


def test_l1_kill_minus_nine_costs_at_most_a_second_or_five_hundred_rows_of_what_is_durable(tmp_path: Path) -> None:
    dice = random.Random(6)
    offered, safe = 0, []
    with away(tmp_path):
        for _ in range(6):
            with program(tmp_path, offered + 1) as process:
                seen = said(process)
                for _ in range(dice.randrange(5, 40)):
                    seen = said(process)
                process.kill()
            safe.append(range(offered + 1, offered + seen["offered"] - seen["at_risk"] + 1))
            assert seen["at_risk"] <= max(MOST_LOST_ROWS, MOST_LOST_SECONDS * RATE)
            offered += seen["offered"] + 10_000
    with program(tmp_path, offered + 1, rate=0) as process:
        until_delivered(process, safe[-1][-1], tmp_path)
        process.terminate()
        assert rest_of(process) == {"lost": 0, "queued": 0}
    found = rows(tmp_path)
    assert found == sorted(found)
    assert {number for some in safe for number in some} <= set(found)


async def test_s2_rows_of_an_outage_are_all_delivered_in_order_when_the_database_is_back() -> None:
    found = await database_away("down", 5.0)
    assert not found.broken, found


def test_l3_at_the_end_what_is_durable_does_not_wait_for_a_database_that_is_away(tmp_path: Path) -> None:
    with away(tmp_path), program(tmp_path, 1) as process:
        while said(process)["offered"] < RATE:
            pass
        began = time.monotonic()
        process.terminate()
        last = rest_of(process)
        assert time.monotonic() - began < 3
    assert last["lost"] == 0
    assert last["queued"] >= RATE
    with program(tmp_path, 100_000, rate=0) as process:
        until_delivered(process, last["queued"], tmp_path)
    assert rows(tmp_path) == list(range(1, last["queued"] + 1))
