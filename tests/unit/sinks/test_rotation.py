"""Files that are put aside: no line is lost or torn by it, and what is put aside becomes small."""

import asyncio
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from pricestreamd.model.zstandard import zstd_module
from pricestreamd.sinks.file import FileSink
from pricestreamd.sinks.rotation import Rotation
from pricestreamd.sinks.settings import FileSinkSettings, RotateSettings
from tests.support.people import HandClock
from tests.support.waiting import eventually
from tests.unit.sinks.samples import updates

DAY = 86_400.0
# 2026-03-28 22:00 UTC
NOW = 1_774_735_200.0


def numbers(*contents: bytes) -> list[int]:
    return [json.loads(line)["sequence"] for content in contents for line in content.splitlines()]


def unpacked(path: Path) -> bytes:
    content: bytes = zstd_module().decompress(path.read_bytes())
    return content


async def test_a_file_is_put_aside_before_it_grows_beyond_its_size_and_no_line_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = FileSink("file", FileSinkSettings(path=path, rotate=RotateSettings(size=10_000)), wall=lambda: NOW)
    for first in range(1, 201, 10):
        await sink.deliver(updates(10, first=first))
    await sink.close()
    aside = sorted(tmp_path.glob("events.jsonl.*"), key=lambda found: (len(found.name), found.name))
    assert [found.name for found in aside[:2]] == [
        "events.jsonl.20260328T220000Z",
        "events.jsonl.20260328T220000Z-2",
    ]
    assert len(aside) >= 4
    assert all(5_000 < found.stat().st_size <= 10_000 for found in aside)
    assert numbers(*(found.read_bytes() for found in (*aside, path))) == list(range(1, 201))


async def test_a_batch_larger_than_the_size_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = FileSink("file", FileSinkSettings(path=path, rotate=RotateSettings(size=1024)))
    await sink.deliver(updates(100))
    await sink.deliver(updates(1, first=101))
    await sink.close()
    (aside,) = tmp_path.glob("events.jsonl.*")
    assert numbers(aside.read_bytes()) == list(range(1, 101))
    assert numbers(path.read_bytes()) == [101]


async def test_every_day_means_from_midnight_to_midnight_also_over_a_restart(tmp_path: Path) -> None:
    path, now = tmp_path / "events.jsonl", [NOW]
    settings = FileSinkSettings(path=path, rotate=RotateSettings(every=DAY))

    async def written(first: int) -> None:
        sink = FileSink("file", settings, wall=lambda: now[0])
        await sink.deliver(updates(1, first=first))
        await sink.close()
        os.utime(path, (now[0], now[0]))

    await written(1)
    now[0] += 3600
    await written(2)
    assert list(tmp_path.glob("events.jsonl.*")) == []
    now[0] += 3601
    await written(3)
    (aside,) = tmp_path.glob("events.jsonl.*")
    assert aside.name == "events.jsonl.20260329T000001Z"
    assert numbers(aside.read_bytes(), path.read_bytes()) == [1, 2, 3]


async def test_what_is_put_aside_is_compressed_beside_the_writing_and_has_the_same_rights(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    settings = FileSinkSettings(path=path, rotate=RotateSettings(size=20_000), compress="zstd")
    sink = FileSink("file", settings)
    for first in range(1, 401, 10):
        await sink.deliver(updates(10, first=first))
    await eventually(lambda: {found.suffix for found in tmp_path.glob("events.jsonl.*")} == {".zst"})
    await sink.close()
    packed = sorted(tmp_path.glob("*.zst"), key=lambda found: (len(found.name), found.name))
    assert numbers(*map(unpacked, packed), path.read_bytes()) == list(range(1, 401))
    assert all(found.stat().st_size < 5_000 for found in packed)
    assert {stat.S_IMODE(found.stat().st_mode) for found in packed} == {stat.S_IMODE(path.stat().st_mode)}


async def test_what_a_crash_left_uncompressed_is_compressed_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    (tmp_path / "events.jsonl.20260101T000000Z").write_bytes(b"one\n")
    (tmp_path / "events.jsonl.20260101T000000Z-2").write_bytes(b"two\n")
    (tmp_path / "events.jsonl.20260101T000000Z-2.part").write_bytes(b"half")
    (tmp_path / "events.jsonl.bak").write_bytes(b"not ours\n")
    settings = FileSinkSettings(path=path, rotate=RotateSettings(size=20_000), compress="zstd")
    sink = FileSink("file", settings)
    await sink.open()
    await eventually(lambda: len(list(tmp_path.glob("*.zst"))) == 2)
    await eventually(lambda: len(list(tmp_path.glob("*"))) == 4)
    await sink.close()
    assert unpacked(tmp_path / "events.jsonl.20260101T000000Z.zst") == b"one\n"
    assert unpacked(tmp_path / "events.jsonl.20260101T000000Z-2.zst") == b"two\n"
    assert (tmp_path / "events.jsonl.bak").read_bytes() == b"not ours\n"


async def test_the_loop_goes_on_while_a_large_file_is_compressed_and_close_does_not_wait_for_it(tmp_path: Path) -> None:
    path, large = tmp_path / "events.jsonl", tmp_path / "events.jsonl.20260101T000000Z"
    large.write_bytes(os.urandom(200 * 1024 * 1024))
    settings = FileSinkSettings(path=path, rotate=RotateSettings(size=20_000), compress="zstd")
    before = set(threading.enumerate())
    sink = FileSink("file", settings)
    loop = asyncio.get_running_loop()
    await sink.open()
    await eventually(lambda: list(tmp_path.glob("*.part")))
    began = loop.time()
    await sink.deliver(updates(10))
    await sink.close()
    assert loop.time() - began < 1
    assert large.exists()
    await eventually(lambda: set(threading.enumerate()) <= before)
    assert list(tmp_path.glob("*.part")) == []


async def test_where_it_cannot_be_put_aside_the_file_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    path = folder / "events.jsonl"
    sink = FileSink("file", FileSinkSettings(path=path, rotate=RotateSettings(size=1024)), wall=lambda: NOW)
    await sink.deliver(updates(10))
    # A folder of that name, and no end of them, cannot be made by hand: a path that is too long can.
    await sink.close()
    long = folder / ("e" * 250)
    sink = FileSink("file", FileSinkSettings(path=long, rotate=RotateSettings(size=1024)), wall=lambda: NOW)
    for first in (1, 11, 21):
        await sink.deliver(updates(10, first=first))
    await sink.close()
    assert numbers(long.read_bytes()) == list(range(1, 31))


def test_what_cannot_be_put_aside_is_tried_again_after_a_minute(tmp_path: Path) -> None:
    path, clock = tmp_path / ("e" * 250), HandClock(0.0)
    path.write_bytes(b"x" * 2000)
    rotation = Rotation(path, RotateSettings(size=1024), clock=clock)
    assert rotation.due(2000, 1, NOW)
    with pytest.raises(OSError, match="File name too long"):
        rotation.put_aside()
    clock.now = 59.9
    assert not rotation.due(2000, 1, NOW)
    clock.now = 60.0
    assert rotation.due(2000, 1, NOW)


def test_names_with_marks_of_a_glob_find_only_their_own(tmp_path: Path) -> None:
    (tmp_path / "a[1].jsonl.20260101T000000Z").write_bytes(b"x")
    (tmp_path / "a1.jsonl.20260101T000000Z").write_bytes(b"x")
    (tmp_path / "a[1].jsonl.20260101T000000Z.gz").write_bytes(b"somebody else was quicker")
    rotation = Rotation(tmp_path / "a[1].jsonl", RotateSettings(size=1024))
    assert [found.name for found in rotation.left_over()] == ["a[1].jsonl.20260101T000000Z"]
