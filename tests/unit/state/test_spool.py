"""The spool: what is committed comes back, in order, whatever the disk and the process suffer."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pricestreamd.state.spool import LEAST_SEGMENT_BYTES, Spool, SpoolBusy

MUCH = 64 * 1024 * 1024
NOISE = random.Random(7)


def line(number: int, size: int = 0) -> bytes:
    """A line that does not compress well where it is long."""
    return b"%d:" % number + NOISE.randbytes(size // 2).hex().encode()


def lines(first: int, count: int, size: int = 0) -> list[bytes]:
    return [line(number, size) for number in range(first, first + count)]


def numbers(found: list[bytes]) -> list[int]:
    return [int(each.partition(b":")[0]) for each in found]


def all_from(spool: Spool, position: int, most: int = 10_000) -> list[int]:
    return [number for block in spool.read(position, most) for number in numbers(block.lines)]


@contextlib.contextmanager
def opened(folder: Path, size: int = MUCH, **fields: int) -> Iterator[Spool]:
    spool = Spool(folder, size, reserve=fields.get("reserve", 0))
    spool.open()
    yield spool
    spool.close()


def test_what_was_appended_comes_back_in_order_also_from_the_middle_of_a_record(tmp_path: Path) -> None:
    with opened(tmp_path / "made" / "spool") as spool:
        assert spool.append(lines(0, 500)) == (0, [])
        assert spool.append(lines(500, 7)) == (500, [])
        assert all_from(spool, 0) == list(range(507))
        assert all_from(spool, 499) == list(range(499, 507))
        assert all_from(spool, 507) == []
        assert [len(block.lines) for block in spool.read(0, 1)] == [500]


def test_what_is_not_acknowledged_is_there_after_a_restart_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(lines(0, 100))
        spool.append(lines(100, 100))
        spool.acknowledge(150)
    with opened(tmp_path) as spool:
        assert spool.acknowledged == 150
        assert spool.waiting_from(150) == 50
        assert all_from(spool, 150) == list(range(150, 200))
        assert spool.append(lines(200, 1)) == (200, [])
        assert all_from(spool, 150) == list(range(150, 201))


def test_segments_that_are_done_with_are_deleted(tmp_path: Path) -> None:
    with opened(tmp_path, LEAST_SEGMENT_BYTES * 16) as spool:
        for first in range(0, 1000, 10):
            spool.append(lines(first, 10, 500))
            spool.acknowledge(first + 10)
        assert len(list(tmp_path.glob("*.spool"))) == 1
    with opened(tmp_path) as spool:
        assert spool.waiting_from(0) == 0
        assert list(tmp_path.glob("*.spool")) == []


def test_s10_a_full_spool_drops_its_oldest_and_says_what(tmp_path: Path) -> None:
    size = LEAST_SEGMENT_BYTES * 16
    with opened(tmp_path, size) as spool:
        gone = 0
        for first in range(0, 3000, 10):
            _, dropped = spool.append(lines(first, 10, 500))
            for one in dropped:
                assert one.first == gone
                gone = one.end
            assert spool.used <= size
        assert gone > 0
        assert all_from(spool, 0) == list(range(gone, 3000))


def test_s10_a_short_disk_is_left_to_others(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(lines(0, 10))
    with opened(tmp_path, reserve=2**60) as spool:
        with pytest.raises(OSError, match="the disk is full but for what alerts need"):
            spool.append(lines(10, 10))
        assert all_from(spool, 0) == list(range(10))


def test_a_second_spool_in_the_folder_is_refused_until_the_first_has_let_go(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(SpoolBusy):
        Spool(tmp_path, MUCH).open()
    with opened(tmp_path):
        pass


@pytest.mark.parametrize("cut", [1, 5, 23, 24, 40])
def test_what_a_crash_left_unfinished_is_cut_off_and_nobody_is_told(tmp_path: Path, cut: int) -> None:
    with opened(tmp_path) as spool:
        spool.append(lines(0, 10))
        spool.append(lines(10, 10))
    (path,) = tmp_path.glob("*.spool")
    os.truncate(path, path.stat().st_size - cut)
    with opened(tmp_path) as spool:
        assert all_from(spool, 0) == list(range(10))
        assert spool.damage == []
        spool.append(lines(20, 1))
        assert all_from(spool, 0) == [*range(10), 20]


@pytest.mark.parametrize("again", [False, True], ids=["found in use", "found at the start"])
@pytest.mark.parametrize("place", [2, 30, -30])
def test_a_damaged_segment_is_put_aside_what_is_sound_stays_and_it_is_told(
    tmp_path: Path, place: int, again: bool
) -> None:
    spool = Spool(tmp_path, LEAST_SEGMENT_BYTES * 16, reserve=0)
    spool.open()
    for first in range(0, 200, 10):
        spool.append(lines(first, 10, 500))
    paths = sorted(tmp_path.glob("*.spool"))
    assert len(paths) > 3
    victim = paths[1]
    begin, end = int(victim.stem), int(paths[2].stem)
    content = bytearray(victim.read_bytes())
    content[place] ^= 0x10
    victim.write_bytes(content)
    if again:
        spool.close()
        spool = Spool(tmp_path, LEAST_SEGMENT_BYTES * 16, reserve=0)
        spool.open()
    found = all_from(spool, 0)
    lost = [number for number in range(200) if number not in found]
    assert found == sorted(found)
    assert lost == list(range(lost[0], end))
    assert lost[0] == begin if place > 0 else lost[0] == end - 10
    (told,) = spool.damage
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.name in told
    assert f"{len(lost)} events of it are lost" in told
    assert aside.read_bytes() == content
    assert spool.waiting_from(0) == 200 - len(lost)
    spool.close()


def test_a_segment_that_somebody_deleted_is_passed_over_and_told_of(tmp_path: Path) -> None:
    with opened(tmp_path, LEAST_SEGMENT_BYTES * 16) as spool:
        for first in range(0, 200, 10):
            spool.append(lines(first, 10, 500))
        oldest, second = sorted(tmp_path.glob("*.spool"))[:2]
        oldest.unlink()
        assert all_from(spool, 0) == list(range(int(second.stem), 200))
        assert "deleted" in spool.damage[0]


def test_without_a_readable_cursor_everything_comes_again(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(lines(0, 10))
        spool.acknowledge(4)
        spool.acknowledge(5)
    cursor = tmp_path / "cursor"
    content = bytearray(cursor.read_bytes())
    content[3] ^= 1
    cursor.write_bytes(content)
    with opened(tmp_path) as spool:
        assert spool.acknowledged in (4, 5)  # the other slot
    cursor.write_bytes(b"")
    with opened(tmp_path) as spool:
        assert all_from(spool, spool.acknowledged) == list(range(10))


class SpoolModel(RuleBasedStateMachine):
    """Beside a plain list; the disk breaks off, the process ends, the cursor moves."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.spool = self.made()
        self.committed: dict[int, int] = {}
        self.next = 0
        self.acknowledged = 0

    def made(self) -> Spool:
        spool = Spool(self.folder, LEAST_SEGMENT_BYTES * 8, reserve=0)
        spool.open()
        return spool

    @rule(count=st.integers(1, 40), size=st.sampled_from([0, 300]))
    def append(self, count: int, size: int) -> None:
        first, dropped = self.spool.append(lines(self.next, count, size))
        self.committed |= {first + index: self.next + index for index in range(count)}
        for one in dropped:
            for position in range(one.first, one.end):
                self.committed.pop(position, None)
        self.next += count

    @precondition(lambda self: self.committed)
    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        first, last = min(self.committed), max(self.committed) + 1
        self.acknowledged = max(self.acknowledged, round(first + (last - first) * share))
        self.spool.acknowledge(self.acknowledged)
        self.committed = {key: value for key, value in self.committed.items() if key >= self.acknowledged}

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = self.made()
        assert self.spool.acknowledged == self.acknowledged

    @rule(cut=st.integers(1, 200))
    def crash_in_the_middle_of_a_write(self, cut: int) -> None:
        self.spool.append(lines(self.next, 5, 300))
        self.spool.close()
        path = max(self.folder.glob("*.spool"))
        os.truncate(path, path.stat().st_size - cut)
        self.spool = self.made()
        held = self.spool.waiting_from(self.acknowledged)
        # What gave way for it is gone all the same.
        self.committed = dict(sorted(self.committed.items())[len(self.committed) - held :]) if held else {}

    @rule(share=st.floats(0, 1), most=st.integers(1, 100))
    def read(self, share: float, most: int) -> None:
        position = round(self.acknowledged + (self.next - self.acknowledged) * share)
        found = {
            block.first + index: int(each.partition(b":")[0])
            for block in self.spool.read(position, most)
            for index, each in enumerate(block.lines)
        }
        wanted = {key: value for key, value in self.committed.items() if key >= position}
        assert len(found) >= min(most, len(wanted))
        assert found == dict(sorted(wanted.items())[: len(found)])

    @invariant()
    def it_knows_how_much_waits_and_keeps_to_its_size(self) -> None:
        assert self.spool.waiting_from(self.acknowledged) == len(self.committed)
        assert self.spool.damage == []
        assert self.spool.used <= LEAST_SEGMENT_BYTES * 8

    def teardown(self) -> None:
        self.spool.close()


TestSpoolModel = SpoolModel.TestCase
TestSpoolModel.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
