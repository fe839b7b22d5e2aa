"""The sink `file`: whole lines only."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, to_json
from pricestreamd.sinks.file import FileSink, LineFile
from pricestreamd.sinks.settings import FileSinkSettings
from tests.unit.sinks.samples import alert, connected, custom, error, gap, update, updates


def sink_at(path: Path) -> FileSink:
    return FileSink("events", FileSinkSettings(path=path))


async def written(path: Path, *batches: list[Event]) -> list[bytes]:
    sink = sink_at(path)
    await sink.open()
    for batch in batches:
        await sink.deliver(batch)
    await sink.close()
    return path.read_bytes().splitlines()


async def test_each_event_is_the_line_that_every_wire_has(tmp_path: Path) -> None:
    events: list[Event] = [update(), alert(), error(), gap("A", "B"), connected(), custom(answer=42)]
    assert await written(tmp_path / "events.jsonl", events[:2], events[2:]) == list(map(to_json, events))


async def test_a_large_batch_keeps_its_order(tmp_path: Path) -> None:
    events = updates(5_000)
    assert await written(tmp_path / "events.jsonl", events) == list(map(to_json, events))


async def test_the_folder_is_made_and_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        await written(tmp_path / "a" / "b" / "events.jsonl", [update()])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b" / "events.jsonl").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o750


async def test_a_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    await written(path, updates(2))
    assert await written(path, updates(2, first=3)) == list(map(to_json, updates(4)))


async def test_after_a_torn_line_the_next_one_begins_on_a_new_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(to_json(update(1)) + b"\n" + to_json(update(2))[:40])
    lines = await written(path, updates(2, first=3), updates(1, first=5))
    assert lines == [to_json(update(1)), to_json(update(2))[:40], *map(to_json, updates(3, first=3))]


@pytest.mark.parametrize("what", ["moved", "deleted", "replaced"])
async def test_a_file_that_is_no_longer_there_is_begun_anew(tmp_path: Path, what: str) -> None:
    path, old = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    sink = sink_at(path)
    await sink.open()
    await sink.deliver(updates(1))
    if what == "deleted":
        path.unlink()
    else:
        path.rename(old)
    if what == "replaced":
        path.write_bytes(b"a new one")
    await sink.deliver(updates(1, first=2))
    await sink.close()
    assert path.read_bytes().splitlines() == [b"a new one"] * (what == "replaced") + [to_json(updates(1, first=2)[0])]
    if what != "deleted":
        assert old.read_bytes().splitlines() == [to_json(updates(1)[0])]


async def test_a_file_that_was_emptied_goes_on_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = sink_at(path)
    await sink.open()
    await sink.deliver(updates(3))
    path.open("wb").close()
    await sink.deliver(updates(1, first=4))
    await sink.close()
    assert path.read_bytes().splitlines() == list(map(to_json, updates(1, first=4)))


async def test_what_has_no_form_in_json_costs_no_other_event(tmp_path: Path) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    hostile = [custom("\ud800", at=1), custom(at=object()), custom(at="\ud800"), custom(at=deep)]
    lines = await written(tmp_path / "events.jsonl", [update(1), *hostile, update(2)])
    assert [lines[0], lines[-1]] == [to_json(update(1)), to_json(update(2))]
    assert [set(json.loads(line)) for line in lines[1:-1]] == [{"event", "id", "timestamp", "unwritable"}] * 4
    while deep:  # freed from the outside, or the interpreter's own recursion limit is met
        deep = deep[0]  # type: ignore[assignment]


@pytest.mark.parametrize("text", ["a\nb", 'a"b', "\u2028\u2029", "\x00", "é€𝄞", "</script>"])
async def test_strange_text_stays_on_its_line_and_comes_back(tmp_path: Path, text: str) -> None:
    (line,) = await written(tmp_path / "events.jsonl", [update(symbol=text)])
    assert json.loads(line)["symbol"] == text


async def test_an_error_names_the_file_and_is_worth_another_attempt(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("not a folder")
    sink = sink_at(tmp_path / "folder" / "events.jsonl")
    with pytest.raises(SinkError, match=r"folder/events\.jsonl") as caught:
        await sink.open()
    assert caught.value.transient
    assert caught.value.sink == "events"
    await sink.close()


async def test_a_device_is_written_like_a_file(tmp_path: Path) -> None:
    sink = sink_at(Path("/dev/null"))
    await sink.open()
    await sink.deliver(updates(3))
    await sink.close()
    full = sink_at(Path("/dev/full"))
    await full.open()
    with pytest.raises(SinkError, match="No space left"):
        await full.deliver(updates(3))
    await full.close()


async def test_a_pipe_that_nobody_reads_is_an_error_at_once_and_one_with_a_reader_gets_whole_lines(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    sink = sink_at(path)
    for _ in range(2):
        with pytest.raises(SinkError, match=r"pipe: nobody reads this pipe: start its reader") as caught:
            await sink.deliver(updates(1))
        assert caught.value.transient
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as pipe:
        await sink.open()
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.extend(pipe))
        thread.start()
        # More than a pipe holds.
        await sink.deliver(updates(2_000))
        await sink.close()
        thread.join()
    assert [line.rstrip() for line in read] == list(map(to_json, updates(2_000)))


def test_a_pipe_whose_reader_hangs_is_given_up_and_goes_on_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        file = LineFile(path, full_seconds=0.05)
        with pytest.raises(OSError, match=r"it has taken nothing for 0\.05 s"):
            file.append(b"x" * 1_000_000 + b"\n")
        first = pipe.read(1_000_000)
        file.append(b"whole\n")
        second = pipe.read(1_000_000)
        file.close()
    assert 0 < len(first) < 1_000_000
    assert second == b"\nwhole\n"


def test_what_somebody_else_has_appended_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = LineFile(path)
    file.open()
    file.append(b"one\n")
    with path.open("ab") as other:
        other.write(b"tw")
    # As after a write that broke off three bytes in, and another writer's two bytes behind it.
    file._take_back(begin=1, written=3)
    file.append(b"three\n")
    file.close()
    assert path.read_bytes() == b"one\ntw\nthree\n"
