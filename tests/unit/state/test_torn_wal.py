"""What a loss of power may leave of the WAL: cut off, zeros, rubbish. Whole transactions are there, and nothing else.

A database with a running WAL is recorded. Its frames (sqlite.org/fileformat2.html#walformat) tell which transactions
are complete in a torn copy; the store must find exactly these.
"""

import random
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.state.file import StateFile
from pricestreamd.state.rows import AlertRow, EventRow, PriceRow, StateChange, SymbolRow
from pricestreamd.state.store import StateStore
from tests.unit.state.model import MEMORY, Model, firing, outcome, read_all

HEADER = 32
FRAME = 24 + 4096


@dataclass(frozen=True)
class Recorded:
    """A database that was killed. `ends` are the WAL's sizes after which one more transaction is complete."""

    path: Path
    wal: bytes
    ends: list[int]
    contents: list[dict[str, Any]]
    """After so many transactions of the WAL as the index says."""

    def complete(self, size: int) -> dict[str, Any]:
        """What must be there when only `size` bytes of the WAL are."""
        return self.contents[sum(end <= size for end in self.ends)]


def transactions(wal: bytes) -> list[int]:
    """Where each transaction of this generation of the WAL ends."""
    salts = wal[16:24]
    ends = []
    for start in range(HEADER, len(wal) - FRAME + 1, FRAME):
        if wal[start + 8 : start + 16] != salts:
            break  # from before the WAL was begun anew
        if struct.unpack(">I", wal[start + 4 : start + 8])[0]:
            ends.append(start + FRAME)
    return ends


def changes(count: int) -> Iterator[StateChange | list[Any]]:
    """Firings, alone and grouped, facts, and what came of deliveries."""
    dice = random.Random(6)
    for number in range(count):
        kind = dice.randrange(5)
        if kind == 4 and number:
            yield [outcome(f"firing-{10 * dice.randrange(number)}", dice.choice(("hook", "phone")), attempts=number)]
            continue
        change = firing(10 * number, "hook", "phone", size=dice.choice((100, 900)))
        if kind == 1:
            for more in range(1, 8):
                other = firing(10 * number + more, "hook", "phone", alert_id=f"alert {more}")
                change.alert_states += other.alert_states
                change.events += other.events
                change.owed += other.owed
        if kind == 2:
            change.alerts.append(AlertRow(f"made {number}", b"{}"))
            change.symbols.append(SymbolRow("us", f"S{number}"))
            change.prices.append(PriceRow("AAPL", float(number), 1.0, 1.0, None, None, "us"))
        if kind == 3:
            change.events.append(EventRow(f"run-{number}", "price.error", None, None, 1.0, b"x" * 5000))
            change.owed.append((f"run-{number}", "hook"))
        yield change


async def record(folder: Path, *, earlier: int) -> Recorded:
    """Kill a database in the middle of its work; `earlier` changes are in a generation of the WAL that has ended.

    Without any, the schema itself is in the WAL.
    """
    store = StateStore(folder / "state.db", on_damage=pytest.fail)
    store._untrimmed = 0  # trimming would end the generation
    model = Model()
    wal = Path(f"{store.path}-wal")
    await store.open()
    after = dict.fromkeys(range(len(transactions(wal.read_bytes())) + 1), model.contents())
    for number, change in enumerate(changes(earlier + 40)):
        if earlier and number == earlier:
            # Everything is in the main file from here on, and the next transaction begins the WAL anew.
            await store._call(lambda own: own.execute("PRAGMA wal_checkpoint(RESTART)").fetchall())
            after = {0: model.contents()}
        if isinstance(change, StateChange):
            await store.commit(change)
            model.commit(change)
        else:
            await store.settle(change)
            model.settle(change)
        if number >= earlier:
            after[len(transactions(wal.read_bytes()))] = model.contents()
    assert await store._call(read_all) == model.contents()
    killed = folder / "killed"
    killed.mkdir()
    for suffix in ("", "-wal", "-shm"):
        shutil.copyfile(f"{store.path}{suffix}", killed / f"state.db{suffix}")
    await store.close()
    content = (killed / "state.db-wal").read_bytes()
    ends = transactions(content)
    # Each call was one transaction, or (a delivery that was settled before) none.
    assert sorted(after) == list(range(len(ends) + 1))
    assert len(ends) >= 30
    return Recorded(killed / "state.db", content, ends, [after[number] for number in range(len(ends) + 1)])


def found(recorded: Recorded, folder: Path, wal: bytes, *, with_shm: bool) -> dict[str, Any]:
    """What a store finds that is started on the main file and this `wal`."""
    path = folder / "state.db"
    shutil.copyfile(recorded.path, path)
    Path(f"{path}-wal").write_bytes(wal)
    if with_shm:  # as after kill -9; a loss of power leaves none
        shutil.copyfile(f"{recorded.path}-shm", f"{path}-shm")
    file = StateFile(path)
    contents = file.run(read_all)
    assert file.run(lambda own: own.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]
    assert file.run(lambda own: own.execute("PRAGMA foreign_key_check").fetchall()) == []
    # What is found can be gone on with.
    file.run(lambda own: own.execute("DELETE FROM prices"))
    file.close()
    assert file.damage == []
    return contents


@pytest.fixture(params=[0, 40], ids=["first-WAL", "WAL-begun-anew"])
async def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Recorded:
    return await record(tmp_path, earlier=request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="torn-wal-", dir=MEMORY) as made:
        yield Path(made)


def test_cut_at_every_frame_all_complete_transactions_are_there_and_no_others(recorded: Recorded, folder: Path) -> None:
    sizes = [0, *range(HEADER, recorded.ends[-1] + 1, FRAME)]
    assert len(sizes) > 200
    for number, size in enumerate(sizes):
        contents = found(recorded, folder, recorded.wal[:size], with_shm=bool(number % 2))
        assert contents == recorded.complete(size), f"cut at byte {size}"


@pytest.mark.parametrize("rest", ["missing", "zeros", "rubbish", "old"])
def test_torn_at_any_byte_all_complete_transactions_are_there_and_no_others(
    recorded: Recorded, folder: Path, rest: str
) -> None:
    dice = random.Random(rest)
    for number in range(75):
        size = dice.randrange(recorded.ends[-1])
        left = len(recorded.wal) - size
        after = {
            "missing": b"",
            "zeros": bytes(left),
            "rubbish": dice.randbytes(left),
            # A frame that was never written, and those after it that were: a disk may write in any order.
            "old": bytes(min(left, FRAME)) + recorded.wal[size + FRAME :],
        }[rest]
        contents = found(recorded, folder, recorded.wal[:size] + after, with_shm=bool(number % 2))
        assert contents == recorded.complete(size), f"torn at byte {size}"


def test_a_byte_that_is_wrong_costs_its_transaction_and_what_came_after_it(recorded: Recorded, folder: Path) -> None:
    dice = random.Random(2)
    for number in range(150):
        place = dice.randrange(HEADER) if number < 10 else dice.randrange(recorded.ends[-1])
        wal = bytearray(recorded.wal)
        wal[place] ^= 1 << dice.randrange(8)
        contents = found(recorded, folder, bytes(wal), with_shm=bool(number % 2))
        assert contents == recorded.complete(place), f"damaged at byte {place}"


def test_the_model_sees_a_transaction_that_is_half_there(recorded: Recorded, folder: Path) -> None:
    """The tests above can fail: a WAL whose last transaction is missing is not taken for the whole."""
    contents = found(recorded, folder, recorded.wal[: recorded.ends[-2]], with_shm=False)
    assert contents != recorded.contents[-1]
    assert contents == recorded.contents[-2]
