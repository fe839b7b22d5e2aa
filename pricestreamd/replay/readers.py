"""Ticks from recorded files, merged by time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path

from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.replay.blocks import Progress
from pricestreamd.replay.csv_texts import SymbolTexts
from pricestreamd.replay.csv_ticks import CsvTicks, RejectHook


def read_ticks(
    paths: Iterable[str | Path],
    *,
    symbols: str | Iterable[str] | None = None,
    on_reject: RejectHook | None = None,
    progress: Callable[[int], object] | None = None,
) -> Iterator[Tick]:
    """The ticks of CSV files (plain, gzip, zstd), merged by time; equal times keep the order of the files.

    Several files are expected in time order, each by itself; a file alone is given as it is. `symbols`: names or
    globs (`BTC/*`), ignoring case; None takes all. `on_reject(reason, "file:line")` is called for every row whose
    symbol or price cannot be read; without it such a row is an error. `progress` is called with the bytes read so
    far, over all files. Files are opened, and their headers checked, at once; they are read as the ticks are taken.

    Raises:
        ReplayInputError: a file cannot be read, or a row is broken; at once or while reading.
    """
    patterns = None
    if symbols is not None:
        patterns = tuple(symbol_key(symbol) for symbol in ([symbols] if isinstance(symbols, str) else symbols))
    names = SymbolTexts(patterns)
    total = _TotalProgress(progress)
    files = [CsvTicks(Path(path), names, on_reject, total.part()).ticks() for path in paths]
    return files[0] if len(files) == 1 else heapq.merge(*files, key=attrgetter("timestamp"))


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
