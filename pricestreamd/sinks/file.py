"""The sink `file`: JSON Lines. Whole lines only, one write a batch.

A batch is in the file wholly or not at all: if its write breaks off (no space), the file is cut back to where the
batch began. What a crash left without a line end stays as it is, and the next line begins on a new one. A file that
was moved away or deleted (by a program that rotates logs) is begun anew. There is one writer. With `rotate` it puts the
file aside itself (see `rotation`).

A device or a pipe is written as it comes, and never waited for at length: a pipe that nobody reads is an error at once,
one that is full after `FULL_SECONDS`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.model.zstandard import zstd_module
from pricestreamd.sinks.base import MOST_AT_ONCE
from pricestreamd.sinks.lines import lines_of
from pricestreamd.sinks.rotation import Compressor, Rotation
from pricestreamd.sinks.settings import FileSinkSettings
from pricestreamd.state.thread import OneThread

# The owner writes, the group may read; the umask may take away more.
FILE_MODE = 0o640
FOLDER_MODE = 0o750
# A pipe, or a terminal, takes nothing for so long: its reader is not coming back soon.
FULL_SECONDS = 5.0

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY

_log = logging.getLogger(__name__)


class LineFile:
    """The file itself. Every call may block; all come from one thread. `put_aside` hears of each file put aside."""

    def __init__(
        self,
        path: Path,
        rotation: Rotation | None = None,
        put_aside: Callable[[Path], object] | None = None,
        *,
        full_seconds: float = FULL_SECONDS,
    ) -> None:
        self._path = path
        self._rotation = rotation
        self._put_aside = put_aside
        self._full_seconds = full_seconds
        self._fd = -1
        self._regular = False
        self._torn = False

    def open(self) -> None:
        """Open for appending, with its folder, and see whether the last line is whole."""
        if self._fd >= 0:
            return
        self._path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._torn = self._ends_torn()
        try:
            # On a regular file that means nothing; a pipe without a reader would be waited for in here, for ever.
            self._fd = os.open(self._path, _FLAGS | os.O_NONBLOCK, FILE_MODE)
        except OSError as exc:
            if exc.errno != errno.ENXIO or not self._path.is_fifo():
                raise
            raise OSError(errno.ENXIO, "nobody reads this pipe: start its reader, or name a file") from exc
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def append(self, lines: bytes) -> None:
        """Append whole lines: all of them, or none and an OSError."""
        self._follow()
        self.open()
        self._rotate(len(lines))
        begin = os.fstat(self._fd).st_size
        left = memoryview(b"\n" + lines if self._torn else lines)
        size = len(left)
        try:
            while left:
                left = left[self._write(left) :]
        except OSError:
            self._take_back(begin, size - len(left))
            raise
        self._torn = False

    def _write(self, lines: memoryview) -> int:
        try:
            return os.write(self._fd, lines)
        except BlockingIOError:
            room = select.poll()
            room.register(self._fd, select.POLLOUT)
            if not room.poll(self._full_seconds * 1000):
                text = f"it has taken nothing for {self._full_seconds:g} s: its reader hangs"
                raise OSError(errno.EAGAIN, text) from None
            return 0

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

    def _rotate(self, wanted: int) -> None:
        """Begin a new file where it is time; where the old one cannot be put aside, it goes on."""
        if self._rotation is None or not self._regular:
            return
        found = os.fstat(self._fd)
        if not self._rotation.due(found.st_size, wanted, found.st_mtime):
            return
        self.close()
        try:
            aside = self._rotation.put_aside()
        except OSError as exc:
            _log.warning("%s is not put aside: %s", self._path, exc.strerror or exc)
        else:
            if self._put_aside is not None:
                self._put_aside(aside)
        self.open()

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
    """Appends each event as one line of JSON to `settings.path`. `wall` gives epoch seconds.

    Raises:
        SinkError: it cannot compress here.
    """

    carries = ("*",)
    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(self, name: str, settings: FileSinkSettings, *, wall: Callable[[], float] = time.time) -> None:
        self.name = name
        self.settings = settings
        rotation = None if settings.rotate is None else Rotation(settings.path, settings.rotate, wall=wall)
        self._compressor: Compressor | None = None
        if settings.compress is not None and rotation is not None:
            if zstd_module() is None:
                text = "this Python has no zstd: pip install pricestreamd[zstd], or leave compress out"
                raise SinkError(text, sink=name, transient=False)
            self._compressor = Compressor(f"sink {name} zstd")
        self._rotation = rotation
        self._looked = False
        self._file = LineFile(settings.path, rotation, self._compressor.add if self._compressor else None)
        self._thread = OneThread(f"sink {name}")

    async def open(self) -> None:
        """Open the file, made with its folder where it is not there.

        Raises:
            SinkError: it cannot be written; transient, as somebody may set it right.
        """
        with self._mapped():
            await self._thread.call(self._file.open)
            await self._thread.call(self._compress_left_over)

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Append `batch`.

        Raises:
            SinkError: nothing of it is in the file; transient.
        """
        lines = await lines_of(batch)
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
            if self._compressor is not None:
                self._compressor.stop()

    def _compress_left_over(self) -> None:
        if self._compressor is not None and self._rotation is not None and not self._looked:
            self._looked = True
            for path in self._rotation.left_over():
                self._compressor.add(path)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise SinkError(f"{self.settings.path}: {exc.strerror or exc}", sink=self.name) from exc
