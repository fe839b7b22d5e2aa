"""Every frame is in the file or counted as lost, in its place, and the feeds never wait for the disk."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pricestreamd.replay.blocks import LineBlocks
from pricestreamd.replay.recorder import Recorder
from pricestreamd.replay.recording import Frame, Header, frame_of, header_of
from pricestreamd.replay.recording_file import RecordingFile
from tests.support.waiting import eventually

HEADERS = [Header(feed="us", provider="twelvedata"), Header(feed="eu", provider="iex")]


def opened(path: Path) -> RecordingFile:
    file = RecordingFile(path)
    file.open()
    return file


def frames(path: Path) -> list[Frame]:
    blocks = LineBlocks(path)
    blocks.whole = False
    return [frame_of(line) for line in b"".join(blocks).splitlines() if header_of(line) is None]


def open_files() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.exists()}


@asynccontextmanager
async def recording(path: Path, **options: int) -> AsyncIterator[Recorder]:
    recorder = Recorder(opened(path), **options)
    await recorder.begin(HEADERS)
    yield recorder
    await recorder.finish(5.0)


async def test_frames_are_written_in_order_behind_their_headers_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    async with recording(path) as recorder:
        us, eu = recorder.listener("us", "twelvedata"), recorder.listener("eu", "iex")
        for number in range(3000):
            us(b"frame %d" % number, number + 0.5)
        eu("text", 4000.0)
    lines = b"".join(LineBlocks(path)).splitlines()
    assert list(map(header_of, lines[:2])) == HEADERS
    found = frames(path)
    assert [frame.data() for frame in found] == [*(b"frame %d" % number for number in range(3000)), b"text"]
    assert [frame.received_at for frame in found[:2]] == [0.5, 1.5]
    assert {(frame.feed, frame.provider) for frame in found} == {("us", "twelvedata"), ("eu", "iex")}
    assert recorder.frames == {"us": 3000, "eu": 1}
    assert recorder.bytes["eu"] == 4
    assert recorder.lost.total() == 0
    assert (recorder.first_at, recorder.last_at, recorder.feeds) == (0.5, 4000.0, ["us", "eu"])


async def test_a_frame_can_be_read_within_a_second_while_the_recording_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    async with recording(path) as recorder:
        listener = recorder.listener("us", "twelvedata")
        for count in (1, 2):
            listener(b"frame", 1.0)
            since = time.monotonic()
            await eventually(lambda: len(frames(path)) == count)  # noqa: B023 - called in this round
            assert time.monotonic() - since < 1.0


async def offered(recorder: Recorder, offer: Callable[[], object]) -> int:
    """Offer a frame until it is taken; how many were lost until then."""
    while True:
        lost = recorder.lost["us"]
        offer()
        if recorder.lost["us"] == lost:
            return lost
        await asyncio.sleep(0)


async def test_what_comes_faster_than_the_disk_is_lost_counted_and_marked_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    async with recording(path, limit=3000) as recorder:
        listener = recorder.listener("us", "twelvedata")
        for number in range(100):
            listener(b"%d" % number, float(number))
        kept = 100 - recorder.lost["us"]
        assert 5 < kept < 20
        await eventually(lambda: len(frames(path)) == kept)
        # What is in the file may count as waiting for another moment.
        lost = await offered(recorder, lambda: listener(b"again", 200.0))
    found = frames(path)
    assert [frame.text for frame in found[:kept]] == [str(number) for number in range(kept)]
    assert (found[kept].lost, found[kept].received_at) == (lost, float(kept))
    assert found[kept + 1].text == "again"
    assert len(found) == kept + 2


async def test_frames_lost_last_are_marked_too(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    async with recording(path, limit=100) as recorder:
        recorder.listener("us", "twelvedata")(b"frame", 1.0)
    assert recorder.lost == {"us": 1}
    assert [frame.lost for frame in frames(path)] == [1]


async def test_a_full_disk_ends_the_writing_and_what_waited_is_lost(tmp_path: Path) -> None:
    recorder = Recorder(opened(Path("/dev/full")))
    with pytest.raises(OSError, match="No space left"):
        await recorder.begin(HEADERS)
    await recorder.finish(5.0)


async def test_a_disk_that_fails_later_ends_the_task(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    before = open_files()
    recorder = Recorder(opened(fifo))
    listener = recorder.listener("us", "twelvedata")
    writing = await recorder.begin(HEADERS)
    os.close(reader)
    listener(b"frame", 1.0)
    await asyncio.wait({writing}, timeout=5)
    assert isinstance(writing.exception(), BrokenPipeError)
    listener(b"frame", 2.0)
    with pytest.raises(BrokenPipeError):
        await recorder.finish(5.0)
    assert recorder.lost == {"us": 2}
    assert open_files() == before - {str(reader)}


async def test_a_disk_that_does_not_answer_keeps_nobody_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    recorder = Recorder(opened(fifo), limit=1 << 20)
    listener = recorder.listener("us", "twelvedata")
    await recorder.begin(HEADERS)
    # More than a pipe holds.
    for _ in range(5):
        listener(b"x" * 100_000, 1.0)
    since = time.monotonic()
    await recorder.finish(0.2)
    assert time.monotonic() - since < 1.0
    assert recorder.lost == {"us": 5}
    os.close(reader)
