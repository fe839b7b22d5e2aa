"""The file of a recording is readable as far as it was flushed, and is never written over by accident."""

import gzip
import stat
from pathlib import Path

import pytest

from pricestreamd.model.zstandard import zstd_module
from pricestreamd.replay.blocks import LineBlocks
from pricestreamd.replay.recording_file import RecordingFile, UnwritableRecording

NAMES = ["r.jsonl", "r.jsonl.gz", "r.jsonl.zst", "R.JSONL.GZ"]


def read(path: Path) -> bytes:
    """What is there, whole or not."""
    blocks = LineBlocks(path)
    blocks.whole = False
    return b"".join(blocks)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    file = RecordingFile(path)
    file.open()
    lines = [f"line {number}\n".encode() * 50 for number in range(1000)]
    for line in lines:
        file.write(line)
    file.close()
    file.close()
    assert b"".join(LineBlocks(path)) == b"".join(lines)
    assert file.size == path.stat().st_size
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007


@pytest.mark.parametrize("name", NAMES)
def test_what_was_flushed_is_read_though_the_writer_never_ended(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    file = RecordingFile(path)
    file.open()
    file.write(b"first\n")
    file.flush()
    size = file.size
    file.flush()
    assert file.size == size, "nothing was left to flush"
    assert read(path) == b"first\n"
    file.write(b"second\n")
    file.flush()
    assert read(path) == b"first\nsecond\n"
    file.close()


def test_packing_is_packing(tmp_path: Path) -> None:
    for name, magic in (("a.gz", b"\x1f\x8b"), ("a.zst", b"\x28\xb5\x2f\xfd")):
        file = RecordingFile(tmp_path / name)
        file.open()
        file.write(b"x" * 100_000)
        file.close()
        content = (tmp_path / name).read_bytes()
        assert content.startswith(magic)
        assert len(content) < 1000
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"x" * 100_000
    zstd = zstd_module()
    assert zstd is not None and zstd.decompress((tmp_path / "a.zst").read_bytes()) == b"x" * 100_000


def test_a_file_that_is_there_is_replaced_only_when_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"of yesterday\n")
    with pytest.raises(UnwritableRecording, match="is there already: name another file, or --force"):
        RecordingFile(path).open()
    assert path.read_bytes() == b"of yesterday\n"
    file = RecordingFile(path)
    file.open(replace=True)
    file.write(b"new\n")
    file.close()
    assert path.read_bytes() == b"new\n"


@pytest.mark.parametrize(
    ("name", "words"), [("", "Is a directory"), ("nowhere/r.jsonl", "No such file"), ("link", "is there already")]
)
def test_where_nothing_can_be_written_it_says_why(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(UnwritableRecording, match=words):
        RecordingFile(tmp_path / name).open()


def test_a_device_is_written_to_as_it_is() -> None:
    file = RecordingFile(Path("/dev/null"))
    file.open()
    assert not file.regular
    file.write(b"x")
    file.close()


def test_a_full_disk_is_told_and_the_file_let_go_of() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    file = RecordingFile(Path("/dev/full"))
    file.open()
    with pytest.raises(OSError, match="No space left"):
        file.write(b"x")
    file.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
