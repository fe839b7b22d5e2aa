"""The text of a file comes in blocks of whole lines, whatever it is packed in, and damage is named."""

import gzip
from pathlib import Path

import pytest

from pricestreamd.model.zstandard import zstd_module
from pricestreamd.replay.blocks import LineBlocks, text_blocks
from pricestreamd.replay.input_error import ReplayInputError

LINES = "".join(f"{number},some text\n" for number in range(50_000))


def read(path: Path) -> str:
    return "".join(text_blocks(LineBlocks(path)))


@pytest.mark.parametrize(
    "data",
    [
        LINES.encode(),
        gzip.compress(LINES.encode()),
        b"\xef\xbb\xbf" + LINES.encode(),
        LINES.replace("\n", "\r\n").encode(),
        gzip.compress(LINES[:1000].encode()) + gzip.compress(LINES[1000:].encode()),
        gzip.compress(LINES.encode()) + b"\0" * 512,
    ],
    ids=["plain", "gzip", "byte order mark", "crlf", "two gzip members", "gzip padded with zeros"],
)
def test_the_text_is_the_same_however_it_is_packed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert read(path) == LINES


def test_every_block_but_the_last_ends_with_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(LINES.encode() + b"the last line has none"))
    blocks = list(text_blocks(LineBlocks(path)))
    assert len(blocks) > 2
    assert all(block.endswith("\n") for block in blocks[:-1])
    assert blocks[-1] == "the last line has none"


def test_an_empty_file_has_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert read(path) == ""


def test_progress_counts_the_bytes_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(LINES.encode(), compresslevel=0))
    told: list[int] = []
    for _ in text_blocks(LineBlocks(path, told.append)):
        pass
    assert told == sorted(told)
    assert len(told) > 5
    assert told[-1] == path.stat().st_size


def test_a_small_file_that_unpacks_to_much_comes_in_small_blocks(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"0123456,\n" * 4_000_000))
    assert max(map(len, text_blocks(LineBlocks(path)))) < 3 << 20


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(LINES.encode())[:-200], "ends too early"),
        (gzip.compress(LINES.encode())[:-8] + b"\0\0\0\0\0\0\0\0", "damaged gzip data"),
        (b"\x1f\x8b not gzip at all", "damaged gzip data"),
        (gzip.compress(LINES.encode()) + b"trailing rubbish", "damaged gzip data"),
        (b"0,a\n1,b\n2,\xff\n3,d\n", "file:3: not UTF-8 text"),
        (b"x" * 3_000_000, "file:1: this line is longer than 1 MiB"),
    ],
    ids=["cut short", "wrong checksum", "no gzip", "rubbish after it", "not UTF-8", "one endless line"],
)
def test_damage_is_an_error_that_names_the_file_and_the_remedy(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ReplayInputError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReplayInputError, match=r"nowhere\.csv: cannot be read: No such file"):
        read(tmp_path / "nowhere.csv")


def test_a_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReplayInputError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_zstd_is_read_where_python_can_and_else_names_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "file.zst"
    module = zstd_module()
    if module is None:
        path.write_bytes(b"\x28\xb5\x2f\xfd and more")
        with pytest.raises(ReplayInputError, match=r"zstd -d .*file\.zst.*pip install pricestreamd\[zstd\]"):
            read(path)
        return
    data = module.compress(LINES.encode())
    path.write_bytes(data + module.compress(LINES.encode()))
    assert read(path) == LINES + LINES
    path.write_bytes(data[:-3])
    with pytest.raises(ReplayInputError, match="ends too early"):
        read(path)
