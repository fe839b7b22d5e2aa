"""Writes frames as they come into a recording, off the loop, and counts every one of them.

`written + lost + waiting` frames have come at all times. The feeds never wait: frames queue up to a bound, in bytes,
and what comes beyond it is lost, counted, and marked at its place in the file. A task of the loop hands the queue to a
thread, which redacts, packs and writes it, and flushes at least every second.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pricestreamd.replay.recording import Header, frame_line, header_line, lost_line
from pricestreamd.replay.recording_file import RecordingFile
from pricestreamd.state.thread import OneThread

WAITING_BYTES = 64 << 20
"""Frames that wait for the disk take up to so much."""

# What a frame takes besides its bytes while it waits.
_OVERHEAD = 200
# A round of writing, in seconds: what is flushed once in each is never older than a second on a disk that keeps up.
_ROUND = 0.5
# So many frames are written in one go, then it is time for a look at the clock.
_PIECE = 1_000


@dataclass(slots=True)
class _Entry:
    """A frame, or, with `data` None, the place of `lost` frames."""

    data: bytes | str | None
    received_at: float
    feed: str
    provider: str
    lost: int = 0


class Recorder:
    """Fills `file`, which is open. `limit`: bytes that may wait.

    `feeds` are those that have a listener. `frames`, `bytes` and `lost` count per feed; `first_at` and `last_at` are
    the receive times of the first and of the last frame, epoch seconds.
    """

    def __init__(self, file: RecordingFile, *, limit: int = WAITING_BYTES) -> None:
        self.file = file
        self.feeds: list[str] = []
        self.frames: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.first_at: float | None = None
        self.last_at: float | None = None
        self._limit = limit
        self._queue: list[_Entry] = []
        self._waiting = 0
        self._missing: dict[str, _Entry] = {}
        self._thread = OneThread("recording")
        self._flushed_at = 0.0
        self._ending = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def listener(self, feed: str, provider: str) -> Callable[[bytes | str, float], None]:
        """What to call with every frame of `feed`, and its receive time."""
        self.feeds.append(feed)

        def frame(data: bytes | str, received_at: float) -> None:
            self.frames[feed] += 1
            self.bytes[feed] += len(data)
            self.last_at = received_at
            if self.first_at is None:
                self.first_at = received_at
            size = len(data) + _OVERHEAD
            if self._waiting + size > self._limit:
                self._lose(received_at, feed, provider)
                return
            if self._missing:
                self._mark_missing()
            self._waiting += size
            self._queue.append(_Entry(data, received_at, feed, provider))

        return frame

    async def begin(self, headers: Iterable[Header]) -> asyncio.Task[None]:
        """Write the headers, so that the file is a recording from the start; then write what comes until `finish`.

        The task that is returned ends before only with an error: an OSError, because the file cannot be written.

        Raises:
            OSError: the file cannot be written.
        """
        await self._thread.call(self._write_headers, list(headers))
        self._writing = asyncio.create_task(self._write_rounds(), name="recording")
        return self._writing

    async def finish(self, timeout: float) -> None:
        """Write what waits and the end of the file, within `timeout` seconds; what is not written then is lost.

        Raises:
            OSError: the file cannot be written.
        """
        self._ending.set()
        try:
            async with asyncio.timeout(timeout):
                if self._writing is not None:
                    await self._writing
                self._mark_missing()
                await self._round()
                await self._thread.call(self.file.close)
        except TimeoutError:
            pass
        except OSError:
            with suppress(OSError):
                await self._thread.call(self.file.close)
            raise
        finally:
            self._give_up(self._queue)
            self._thread.stop()

    # --- the loop's side

    async def _write_rounds(self) -> None:
        while not self._ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_ROUND):
                    await self._ending.wait()
            await self._round()

    async def _round(self) -> None:
        batch, self._queue = self._queue, []
        if not batch:
            return
        try:
            await self._thread.call(self._write, batch)
        except BaseException:
            # A full disk, or one that does not answer: so much at most is not in the file.
            self._give_up(batch)
            raise
        self._waiting -= sum(_OVERHEAD + len(entry.data) for entry in batch if entry.data is not None)

    def _lose(self, at: float, feed: str, provider: str) -> None:
        self.lost[feed] += 1
        self._missing.setdefault(feed, _Entry(None, at, feed, provider)).lost += 1

    def _mark_missing(self) -> None:
        self._queue += self._missing.values()
        self._missing.clear()

    def _give_up(self, batch: list[_Entry]) -> None:
        self.lost.update(entry.feed for entry in batch if entry.data is not None)
        batch.clear()

    # --- the thread's side

    def _write(self, batch: Sequence[_Entry]) -> None:
        for start in range(0, len(batch), _PIECE):
            self.file.write(b"".join(map(_line, batch[start : start + _PIECE])))
            if time.monotonic() - self._flushed_at >= _ROUND:
                self._flush()
        self._flush()

    def _write_headers(self, headers: list[Header]) -> None:
        self.file.write(b"".join(map(header_line, headers)))
        self._flush()

    def _flush(self) -> None:
        self.file.flush()
        self._flushed_at = time.monotonic()


def _line(entry: _Entry) -> bytes:
    if entry.data is None:
        return lost_line(entry.lost, entry.received_at, entry.feed, entry.provider)
    return frame_line(entry.data, entry.received_at, entry.feed, entry.provider)
