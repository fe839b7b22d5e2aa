"""A spool: lines that must outlast the process, in order, in a folder of bounded size, until they are acknowledged.

    <position of its first line>.spool   a segment: records one after the other, each written and synced at once
    cursor                               up to which position lines are acknowledged
    lock                                 held by the one process, and the one spool in it, that uses the folder

Lines are numbered from 0 on, their position. What a crash left unfinished at the end of a segment is cut off: it was
never committed. A segment that is damaged anywhere else is set aside as `<name>.corrupt-<time>`, and what is sound in
front of the damage stays.

Where the spool is full its oldest segment goes. Where the disk has less left than `reserve` nothing is written: that is
for what is worth more, the outbox of alerts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from pricestreamd.state.aside import put_aside
from pricestreamd.state.segment import FILE_MODE, Segment, Unsound, read_record, record_of
from pricestreamd.state.spool_cursor import Cursor

FOLDER_MODE = 0o700
# So large a part of the spool goes at once when it is full; more than 8 MiB in one file gain nothing.
SEGMENTS = 16
SEGMENT_BYTES = 8 * 1024 * 1024
LEAST_SEGMENT_BYTES = 16 * 1024
# Of the disk, for others: a twentieth, up to this.
RESERVE_BYTES = 32 * 1024 * 1024
RESERVE_SHARE = 20


class SpoolBusy(OSError):  # noqa: N818 - says what happened, as its siblings do
    """Another one uses the folder."""


class Dropped(NamedTuple):
    """Lines from position `first` up to, and without, `end` gave way."""

    first: int
    end: int


class Block(NamedTuple):
    """Lines that follow each other, the first of them at position `first`."""

    first: int
    lines: list[bytes]


class Spool:
    """In `folder`, at most `size` bytes. Every call may block, and all come from one thread. Raises `OSError`."""

    def __init__(self, folder: Path, size: int, *, reserve: int | None = None) -> None:
        self.folder = folder
        self.damage: list[str] = []
        """Sentences about damage that nobody has been told of."""
        self._size = size
        self._reserve = reserve
        self._segment_bytes = max(LEAST_SEGMENT_BYTES, min(SEGMENT_BYTES, size // SEGMENTS))
        self._segments: list[Segment] = []
        self._cursor = Cursor(folder / "cursor")
        self._lock = self._writing = -1
        self._next = 0
        # Where the last reading has ended: a segment, the offset in it, and the position there.
        self._read: tuple[Segment, int, int] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may be read and written."""
        return self._cursor.is_open

    @property
    def acknowledged(self) -> int:
        """Everything before this position is done with."""
        return self._cursor.position

    @property
    def end(self) -> int:
        """The position of the line that will be written next."""
        return self._next

    @property
    def used(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    def waiting_from(self, position: int) -> int:
        """How many lines there are from `position` on."""
        return sum(max(0, segment.end - max(segment.first, position)) for segment in self._segments)

    def open(self) -> None:
        """Take the folder, made where it is not there, and see what is in it.

        Raises:
            SpoolBusy: somebody else uses it.
        """
        if self.is_open:
            return
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._cursor.open()
            self._segments = self._found()
            self._next = max([self.acknowledged, *(segment.end for segment in self._segments)])
            self._read = None
            self._forget_acknowledged()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder."""
        self._cursor.close()
        self._stop_writing()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def append(self, lines: Sequence[bytes]) -> tuple[int, list[Dropped]]:
        """Write `lines`, on the disk when this returns: all of them, or none and an OSError.

        Returns the position of the first one, and what gave way for them.
        """
        record = record_of(self._next, lines)
        dropped = self._make_room(len(record))
        segment = self._current(len(record))
        try:
            view = memoryview(record)
            while view:
                view = view[os.write(self._writing, view) :]
            os.fdatasync(self._writing)
        except OSError:
            self._take_back(segment)
            raise
        segment.size += len(record)
        first, self._next = self._next, self._next + len(lines)
        segment.end = self._next
        return first, dropped

    def read(self, position: int, most: int) -> list[Block]:
        """Lines from `position` on, in whole records: as many as it takes for `most`, or what there is.

        Positions that gave way, or were lost with a damaged segment, are passed over.
        """
        blocks: list[Block] = []
        count = 0
        while count < most:
            segment = next((each for each in self._segments if each.end > position), None)
            if segment is None:
                break
            position = max(position, segment.first)
            for block in self._blocks(segment, position):
                blocks.append(block)
                count += len(block.lines)
                position = block.first + len(block.lines)
                if count >= most:
                    break
        return blocks

    def acknowledge(self, position: int) -> None:
        """Everything before `position` is done with: it does not come again, unless power is lost soon."""
        if position <= self.acknowledged:
            return
        self._cursor.move(position)
        self._forget_acknowledged()

    # --- room

    def _make_room(self, wanted: int) -> list[Dropped]:
        """Let the oldest segments go until there is room."""
        if self._disk_is_short(wanted):
            raise OSError(errno.ENOSPC, "the disk is full but for what alerts need", str(self.folder))
        dropped: list[Dropped] = []
        while self._segments and self.used + wanted > self._size:
            oldest = self._segments[0]
            self._remove(oldest)
            dropped.append(Dropped(max(oldest.first, self.acknowledged), oldest.end))
        return dropped

    def _disk_is_short(self, wanted: int) -> bool:
        found = os.statvfs(self.folder)
        reserve = self._reserve
        if reserve is None:
            reserve = min(RESERVE_BYTES, found.f_blocks * found.f_frsize // RESERVE_SHARE)
        return found.f_bavail * found.f_frsize < reserve + wanted

    def _forget_acknowledged(self) -> None:
        for segment in [each for each in self._segments if each.end <= self.acknowledged]:
            # The one that is being written stays until it is worth a new one.
            if segment is not self._segments[-1] or segment.size >= self._segment_bytes // 2 or self._writing < 0:
                self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        if segment is self._segments[-1] and self._writing >= 0:
            self._stop_writing()
        segment.path.unlink(missing_ok=True)
        self._segments.remove(segment)
        if self._read is not None and self._read[0] is segment:
            self._read = None

    # --- writing

    def _current(self, wanted: int) -> Segment:
        """The segment that takes a record of so many bytes; `_writing` is its file."""
        if self._writing >= 0 and (not self._segments or self._segments[-1].size + wanted > self._segment_bytes):
            self._stop_writing()
        if self._writing < 0:
            segment = Segment(self.folder / f"{self._next:020}.spool", self._next)
            self._writing = os.open(
                segment.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE
            )
            self._segments.append(segment)
            self._sync_folder()
        return self._segments[-1]

    def _take_back(self, segment: Segment) -> None:
        """Cut off what a broken write left; where that cannot be, the next record goes to another segment."""
        try:
            os.ftruncate(self._writing, segment.size)
        except OSError:
            self._stop_writing()
        if not segment.size:
            with contextlib.suppress(OSError):
                self._remove(segment)

    def _stop_writing(self) -> None:
        fd, self._writing = self._writing, -1
        if fd >= 0:
            os.close(fd)

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    # --- reading

    def _blocks(self, segment: Segment, position: int) -> Iterator[Block]:
        """The records of `segment` from `position` on. Damage ends them, and is seen to."""
        offset, at = 0, segment.first
        if self._read is not None and self._read[0] is segment and self._read[2] <= position:
            _, offset, at = self._read
        try:
            opened = segment.path.open("rb")
        except FileNotFoundError:
            self._remove(segment)
            self.damage.append(f"{segment.path}: somebody has deleted it: {segment.end - at} events of it are lost")
            return
        with opened as file:
            file.seek(offset)
            while at < segment.end:
                record = read_record(file, at)
                if isinstance(record, Unsound):
                    self._set_aside(segment, offset, at)
                    return
                offset += record.size
                first, at = at, record.end
                self._read = (segment, offset, at)
                if at > position:
                    skipped = max(0, position - first)
                    yield Block(first + skipped, record.lines()[skipped:])

    def _set_aside(self, segment: Segment, offset: int, at: int) -> None:
        """Keep the damaged file for a person, and what is sound in front of the damage in its place."""
        if segment is self._segments[-1] and self._writing >= 0:
            self._stop_writing()
        kept = segment.path.with_suffix(".part")
        with segment.path.open("rb") as file, kept.open("wb") as part:
            part.write(file.read(offset))
            part.flush()
            os.fsync(part.fileno())
        kept.chmod(FILE_MODE)
        aside = put_aside(segment.path)
        kept.rename(segment.path)
        lost = segment.end - at
        segment.end, segment.size = at, offset
        self._read = None
        if not offset:
            self._remove(segment)
        many = f"{lost} events of it are lost" if lost > 0 else "what of it is lost cannot be said"
        self.damage.append(f"{segment.path}: damaged after {offset} bytes; put aside as {aside.name}, {many}")

    # --- the start

    def _take_lock(self) -> None:
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock)
            self._lock = -1
            raise SpoolBusy(exc.errno, "another one uses the spool", str(self.folder)) from exc

    def _found(self) -> list[Segment]:
        paths = sorted(path for path in self.folder.glob("*.spool") if path.stem.isdigit())
        self._segments = [Segment(path, int(path.stem)) for path in paths]
        for segment, after in zip_longest([*self._segments], self._segments[1:]):
            self._look_through(segment, None if after is None else after.first)
        return self._segments

    def _look_through(self, segment: Segment, next_first: int | None) -> None:
        """Find how far `segment` is sound; whatever follows is cut off, or set aside where it was committed."""
        torn = segment.look_through()
        if torn is None:
            if not segment.size:
                self._remove(segment)
        elif torn and next_first in (None, segment.end):  # by a crash: never committed
            os.truncate(segment.path, segment.size)
            if not segment.size:
                self._remove(segment)
        else:
            at, segment.end = segment.end, max(segment.end, next_first or 0)
            self._set_aside(segment, segment.size, at)
