"""Up to which position a spool is done with, in a small file of two slots that are written in turn.

It is written without waiting for the disk: after a loss of power some lines come again. One torn write leaves the other
slot; without either everything that is in the spool comes again.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from pricestreamd.state.segment import FILE_MODE

_SLOT = struct.Struct(">QQI")  # how many moves there were, position, checksum
# Far enough apart that one torn write cannot hurt both.
_SLOT_BYTES = 512


class Cursor:
    """The file at `path`. Every call may block. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self.position = 0
        self._path = path
        self._moves = 0
        self._fd = -1

    @property
    def is_open(self) -> bool:
        """Whether it may be moved."""
        return self._fd >= 0

    def open(self) -> None:
        """Read it, made where it is not there."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        found = (0, 0)
        for slot in (os.pread(self._fd, _SLOT.size, begin) for begin in (0, _SLOT_BYTES)):
            if len(slot) == _SLOT.size and _checksum(slot[:-4]) == slot[-4:]:
                moves, position, _ = _SLOT.unpack(slot)
                found = max(found, (moves, position))
        self._moves, self.position = found

    def move(self, position: int) -> None:
        """Move it to `position`."""
        self._moves += 1
        self.position = position
        slot = _SLOT.pack(self._moves, position, 0)[:-4]
        os.pwrite(self._fd, slot + _checksum(slot), self._moves % 2 * _SLOT_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")
