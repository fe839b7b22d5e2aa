"""The file that a recording is written into: plain, gzip or zstd, as its name ends.

What is flushed can be read, whatever becomes of the writer: a compressed file that is cut off there is read up to
there. Every call may block.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any, Protocol

from pricestreamd.model.zstandard import zstd_module

# The owner writes, the group may read: prices may be licensed. The umask may take away more.
_MODE = 0o640
# Half of what gzip can save at its best costs a tenth of the time.
_GZIP_LEVEL = 4


class UnwritableRecording(Exception):  # noqa: N818 - it reads better where it is caught
    """No recording can be written there; the text says why, and what to do."""


class _Packer(Protocol):
    def pack(self, data: bytes) -> bytes:
        """As much of `data` as is ready, packed."""

    def flush(self) -> bytes:
        """The rest of it, so that all can be unpacked."""

    def end(self) -> bytes:
        """The end of the file."""


class _Plain:
    def pack(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""

    end = flush


class _Gzip:
    def __init__(self) -> None:
        self._zlib = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)  # 31: with a gzip header and its checksum
        self.pack = self._zlib.compress

    def flush(self) -> bytes:
        return self._zlib.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._zlib.flush(zlib.Z_FINISH)


class _Zstd:
    def __init__(self, module: Any) -> None:
        self._frame = module.ZstdCompressor()
        self.pack = self._frame.compress

    def flush(self) -> bytes:
        return bytes(self._frame.flush(self._frame.FLUSH_BLOCK))

    def end(self) -> bytes:
        return bytes(self._frame.flush(self._frame.FLUSH_FRAME))


class RecordingFile:
    """The file at `path`, made when it is opened. `size`: bytes written so far.

    Raises:
        UnwritableRecording: it is to be packed in a way that this Python does not know.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._fd = -1
        self._unflushed = False
        self._packer = _packer(path)

    @property
    def regular(self) -> bool:
        """Whether it is a file on a disk, and no pipe or device."""
        return self.path.is_file()

    def open(self, *, replace: bool = False) -> None:
        """Open it. A file that is there already is emptied only with `replace`.

        Raises:
            UnwritableRecording: it is there, or cannot be opened.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            # A pipe or a device may be there: nothing in it can be lost.
            there = self.path.exists() and not self.path.is_file()
            self._fd = os.open(self.path, flags | (os.O_TRUNC if replace or there else os.O_EXCL), _MODE)
        except FileExistsError:
            raise UnwritableRecording(f"{self.path} is there already: name another file, or --force") from None
        except OSError as exc:
            raise UnwritableRecording(f"cannot write {self.path}: {exc.strerror}") from exc

    def write(self, data: bytes) -> None:
        """Append `data`; a packer may keep it until `flush`.

        Raises:
            OSError: it is not in the file, or only in part.
        """
        self._unflushed = True
        self._put(self._packer.pack(data))

    def flush(self) -> None:
        """Bring to the file what is kept; raises as `write`."""
        if self._unflushed:
            self._put(self._packer.flush())
            self._unflushed = False

    def close(self) -> None:
        """Write the end, and bring the file to the disk; raises as `write`. Does nothing where it is not open."""
        if self._fd < 0:
            return
        try:
            self._put(self._packer.end())
            if self.regular:
                os.fsync(self._fd)
        finally:
            os.close(self._fd)
            self._fd = -1

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            done = os.write(self._fd, left)
            self.size += done
            left = left[done:]


def _packer(path: Path) -> _Packer:
    match path.suffix.lower():
        case ".gz":
            return _Gzip()
        case ".zst":
            module = zstd_module()
            if module is None:
                remedy = "name a .gz file, or `pip install pricestreamd[zstd]`"
                raise UnwritableRecording(f"cannot write {path}: this Python has no zstd: {remedy}")
            return _Zstd(module)
        case _:
            return _Plain()
