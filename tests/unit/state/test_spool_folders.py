"""The folders of spools: named after their sinks, found again by their names, and emptied."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.state.spool import Spool, SpoolBusy
from pricestreamd.state.spool_folders import count_waiting, drop_waiting, spool_folder, spooled_sinks

SIZE = 1024 * 1024


def fill(state: Path, sink: str, *lines: bytes, done: int = 0) -> None:
    with closing(Spool(spool_folder(state, sink), SIZE)) as spool:
        spool.open()
        spool.append(lines)
        spool.acknowledge(done)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_any_name_of_a_sink_is_one_folder_beside_the_state(name: str) -> None:
    state = Path("/states/state.db")
    assert spool_folder(state, name).parent == Path("/states/state.db.spool")


def test_sinks_are_found_by_their_folders(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    assert spooled_sinks(state) == set()
    names = {"ticks", "a/b", "..", "prices.db", "with space", "%41", "ü"}
    for name in names:
        fill(state, name, b"1")
    (tmp_path / "state.db.spool" / "not%2Fquoted as we do!").mkdir()
    (tmp_path / "state.db.spool" / "file").touch()
    assert spooled_sinks(state) == names


def test_what_waits_is_counted_and_dropped_and_what_comes_later_is_not(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    fill(state, "ticks", b"1", b"2", b"3", done=1)
    assert count_waiting(state, "ticks") == (2, [])
    assert drop_waiting(state, "ticks") == 2
    assert count_waiting(state, "ticks") == (0, [])
    fill(state, "ticks", b"4")
    with closing(Spool(spool_folder(state, "ticks"), SIZE)) as spool:
        spool.open()
        assert [block.lines for block in spool.read(spool.acknowledged, 10)] == [[b"4"]]


def test_what_is_damaged_is_told_of_and_outlasts_a_drop(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    fill(state, "ticks", b"1" * 500)
    fill(state, "ticks", b"2")
    first = min(spool_folder(state, "ticks").glob("*.spool"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 0xFF
    first.write_bytes(content)
    count, damage = count_waiting(state, "ticks")
    assert (count, len(damage)) == (1, 1)
    assert drop_waiting(state, "ticks") == 1
    assert len(list(spool_folder(state, "ticks").glob("*.corrupt-*"))) == 1


def test_a_spool_in_use_is_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    fill(state, "ticks", b"1")
    with closing(Spool(spool_folder(state, "ticks"), SIZE)) as spool:
        spool.open()
        for look in (count_waiting, drop_waiting):
            with pytest.raises(SpoolBusy):
                look(state, "ticks")
    assert count_waiting(state, "ticks") == (1, [])
