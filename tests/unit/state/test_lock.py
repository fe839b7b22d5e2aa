"""One daemon at a time: the lock, whom it names, and that it ends with its holder."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pricestreamd.model.errors import StateError
from pricestreamd.state.lock import StateLock, StateLocked
from pricestreamd.state.store import StateStore
from tests.unit.state.model import firing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def lock(path: Path) -> Iterator[StateLock]:
    made = StateLock(path)
    made.take()
    yield made
    made.release()


def test_a_second_holder_is_refused_and_told_the_pid(lock: StateLock, path: Path) -> None:
    other = StateLock(path)
    with pytest.raises(StateLocked) as refused:
        other.take()
    assert refused.value.pid == os.getpid()
    assert str(refused.value) == (
        f"{path} is used by another pricestreamd (pid {os.getpid()}): stop that one, or name another file as state.path"
    )
    assert isinstance(refused.value, StateError)
    assert (lock.held, other.held) == (True, False)


def test_a_lock_that_is_given_back_is_free(lock: StateLock, path: Path) -> None:
    lock.take()  # it is held: nothing happens
    lock.release()
    lock.release()
    assert not lock.held
    other = StateLock(path)
    other.take()
    assert other.held
    other.release()


def test_the_file_of_the_lock_is_nobodys_business(lock: StateLock, path: Path) -> None:
    file = Path(f"{path}.lock")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{os.getpid()}\n"


def test_what_an_earlier_holder_has_left_is_no_lock(path: Path) -> None:
    path.parent.mkdir()
    Path(f"{path}.lock").write_text("4194304123\nand more\n")
    lock = StateLock(path)
    lock.take()
    assert Path(f"{path}.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


@pytest.mark.parametrize("content", ["", "12", "what\n"])
def test_a_pid_that_cannot_be_read_is_not_invented(lock: StateLock, path: Path, content: str) -> None:
    Path(f"{path}.lock").write_text(content)
    with pytest.raises(StateLocked, match="its pid is not known") as refused:
        StateLock(path).take()
    assert refused.value.pid is None


def test_two_names_of_one_state_are_one_lock(lock: StateLock, path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(path.parent)
    (tmp_path / "other.db").symlink_to(path)
    for name in (tmp_path / "elsewhere" / "state.db", tmp_path / "other.db"):
        with pytest.raises(StateLocked):
            StateLock(name).take()


async def test_a_store_that_is_refused_leaves_the_file_alone_and_may_try_again(path: Path) -> None:
    first = StateStore(path, on_damage=pytest.fail)
    await first.commit(firing(1, "hook"))
    before = path.read_bytes()
    second = StateStore(path, on_damage=pytest.fail)
    for call in (second.open, second.load, second.watchlists):
        with pytest.raises(StateLocked):
            await call()
    assert path.read_bytes() == before
    await first.close()
    await second.open()
    assert len(await second.pending("hook")) == 1
    await second.close()
