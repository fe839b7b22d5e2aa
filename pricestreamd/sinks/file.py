"""The sink `file`: JSON Lines. Whole lines only, one write a batch.

A batch is in the file wholly or not at all: if its write breaks off (no space), the file is cut back to where the
batch began. What a crash left without a line end stays as it is, and the next line begins on a new one. A file that
was moved away or deleted (by a program that rotates logs) is begun anew. There is one writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import CustomEvent, Event, to_json
from pricestreamd.sinks.base import MOST_AT_ONCE
from pricestreamd.sinks.settings import FileSinkSettings
from pricestreamd.state.thread import OneThread

# The owner writes, the group may read; the umask may take away more.
FILE_MODE = 0o640
FOLDER_MODE = 0o750
# Events become text on the loop: in a thread, a saturated stream would outrun that work; here it cannot. Other work
# of the loop comes in between after so many (a tenth of a millisecond), or after an eighth of a large batch: a stream
# that makes hundreds of events each time must not outrun the pieces either.
SLICE = 64

_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


class LineFile:
    """The file itself. Every call may block; all come from one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._regular = False
        self._torn = False

    def open(self) -> None:
        """Open for appending, with its folder, and see whether the last line is whole."""
        if self._fd >= 0:
            return
        self._path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._torn = self._ends_torn()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def append(self, lines: bytes) -> None:
        """Append whole lines: all of them, or none and an OSError."""
        self._follow()
        self.open()
        begin = os.fstat(self._fd).st_size
        left = memoryview(b"\n" + lines if self._torn else lines)
        size = len(left)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            self._take_back(begin, size - len(left))
            raise
        self._torn = False

    def close(self) -> None:
        """Bring a regular file to the disk, and close it."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if self._regular:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _ends_torn(self) -> bool:
        if not self._path.is_file():
            return False
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def _follow(self) -> None:
        """Let go of a file that is no longer the one at the path."""
        if not self._regular or self._fd < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            there, ours = self._path.stat(), os.fstat(self._fd)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        self.close()

    def _take_back(self, begin: int, written: int) -> None:
        """Cut off what a broken write left; where that cannot be, the next line begins on a new one."""
        if not written:
            return
        self._torn = True
        # What somebody else has appended meanwhile is not ours to cut off.
        if self._regular and os.fstat(self._fd).st_size == begin + written:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, begin)
                self._torn = self._ends_torn()


class FileSink:
    """Appends each event as one line of JSON to `settings.path`."""

    carries = ("*",)
    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(self, name: str, settings: FileSinkSettings) -> None:
        self.name = name
        self.settings = settings
        self._file = LineFile(settings.path)
        self._thread = OneThread(f"sink {name}")

    async def open(self) -> None:
        """Open the file, made with its folder where it is not there.

        Raises:
            SinkError: it cannot be written; transient, as somebody may set it right.
        """
        with self._mapped():
            await self._thread.call(self._file.open)

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Append `batch`.

        Raises:
            SinkError: nothing of it is in the file; transient.
        """
        lines: list[bytes] = []
        step = max(SLICE, len(batch) // 8)
        for start in range(0, len(batch), step):
            if start:
                await asyncio.sleep(0)
            lines += _lines_of(batch[start : start + step])
        if lines:
            lines.append(b"")
            with self._mapped():
                await self._thread.call(self._file.append, b"\n".join(lines))

    async def close(self) -> None:
        """Bring the file to the disk, and close it."""
        if not self._thread.running:
            return
        try:
            with self._mapped():
                await self._thread.call(self._file.close)
        finally:
            self._thread.stop()

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise SinkError(f"{self.settings.path}: {exc.strerror or exc}", sink=self.name) from exc


def _lines_of(events: Sequence[Event]) -> list[bytes]:
    try:
        return list(map(to_json, events))
    except _UNWRITABLE:
        return list(map(_line_of, events))


def _line_of(event: Event) -> bytes:
    """The line of one event. What has no form in JSON (an object of the user's own) gets a line that says so."""
    try:
        return to_json(event)
    except _UNWRITABLE as exc:
        name = event.event.encode("ascii", "backslashreplace").decode()
        return to_json(CustomEvent(event.run, event.number, event.timestamp, name, {"unwritable": str(exc)}))
