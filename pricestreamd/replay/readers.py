"""Ticks from recorded files, whatever they hold, merged by time."""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path

from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.replay.blocks import LineBlocks, Progress
from pricestreamd.replay.csv_texts import Columns, SymbolTexts
from pricestreamd.replay.csv_ticks import CsvTicks, RejectHook
from pricestreamd.replay.frames import LONGEST_FRAME_LINE, Descriptions, FrameFormat, FrameTally, FrameTicks
from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.replay.recording import is_recording


def read_ticks(
    paths: Iterable[str | Path],
    *,
    symbols: str | Iterable[str] | None = None,
    on_reject: RejectHook | None = None,
    progress: Callable[[int], object] | None = None,
    raw: FrameFormat | None = None,
    descriptions: Descriptions | None = None,
    tally: FrameTally | None = None,
) -> Iterator[Tick]:
    """The ticks of files (plain, gzip, zstd), merged by time; equal times keep the order of the files.

    A file is CSV or a recording, as its first line tells; with `raw`, any other file is one whose lines are frames of
    that provider. Several files are expected in time order, each by itself; a file alone is given as it is. `symbols`:
    names or globs (`BTC/*`), ignoring case; None takes all. `on_reject(reason, "file:line")` is called for every row or
    frame that ought to have been a tick and is none; without it such a row is an error, and such a frame passed over.
    `progress` is called with the bytes read so far, over all files. `descriptions` has the say over the header of a
    recording whose protocol a configuration describes. `tally` counts what files of frames hold besides ticks.

    Files are opened, and their first lines checked, at once; they are read as the ticks are taken.

    Raises:
        ReplayInputError: a file cannot be read, or a row is broken; at once or while reading.
    """
    patterns = None
    if symbols is not None:
        patterns = tuple(symbol_key(symbol) for symbol in ([symbols] if isinstance(symbols, str) else symbols))
    names = SymbolTexts(patterns)
    total = _TotalProgress(progress)
    counts = tally if tally is not None else FrameTally()
    files = []
    for path in paths:
        blocks = LineBlocks(Path(path), total.part())
        if raw is not None:
            blocks.longest = LONGEST_FRAME_LINE
        first = io.BytesIO(blocks.peek()).readline()
        frames = None if is_recording(first) else raw
        if is_recording(first) or (frames is not None and not _is_csv(blocks.path, first)):
            reader = FrameTicks(blocks, names, on_reject, counts, raw=frames, descriptions=descriptions)
            files.append(reader.ticks())
        else:
            _refuse_frames(blocks.path, first)
            files.append(CsvTicks(blocks, names, on_reject).ticks())
    return files[0] if len(files) == 1 else heapq.merge(*files, key=attrgetter("timestamp"))


def _is_csv(path: Path, line: bytes) -> bool:
    try:
        Columns.of(path, line.decode())
    except (ReplayInputError, UnicodeDecodeError):
        return False
    return True


def _refuse_frames(path: Path, line: bytes) -> None:
    """Say what to do about a file that looks like frames, instead of that its header names no columns."""
    if line.lstrip().startswith((b"{", b"[")):
        raise ReplayInputError(
            path, "neither CSV nor a recording: if its lines are frames, name their provider (--provider)", line=1
        )


class _TotalProgress:
    """Adds up what is read of several files."""

    def __init__(self, told: Callable[[int], object] | None) -> None:
        self._told = told
        self._done: list[int] = []

    def part(self) -> Progress | None:
        told, done, at = self._told, self._done, len(self._done)
        if told is None:
            return None
        done.append(0)

        def progress(count: int) -> None:
            done[at] = count
            told(sum(done))

        return progress
