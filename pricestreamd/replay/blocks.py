"""The text of a recorded file, in blocks of whole lines: plain, gzip or zstd, told apart by their first bytes.

Blocks instead of lines, because a line that Python code touches costs as much as all that is then done with it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pricestreamd.model.zstandard import zstd_module
from pricestreamd.replay.input_error import ReplayInputError

Progress = Callable[[int], object]
"""Called with the number of bytes of the file read so far, as they lie on the disk."""

# Compressed bytes at a time: some 20 ms of replay, so that progress moves and the lines of a block stay in the cache.
_READ_BYTES = 1 << 15
# Decompressed bytes at a time: a small file that unpacks to gigabytes must not be held whole.
_BLOCK_BYTES = 1 << 20
# A file without line ends is no CSV, and must not be read whole to find out.
_LINE_BYTES = 1 << 20

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"


class _BrokenOff(Exception):  # noqa: N818 - it reads better where it is caught
    """Compressed data that ends before its end; the argument says which."""


class LineBlocks:
    """The bytes of the file at `path` in blocks of whole lines; the last line may lack its end. Goes through it once.

    The file is opened by the first block that is asked for. `longest`, in bytes, may be raised before the next block
    is: a line beyond it is an error. Without `whole`, a compressed file that breaks off is taken as far as it goes, and
    `cut_off` says so.

    Raises:
        ReplayInputError: no such file, damaged compression, or a line that is too long.
    """

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        self.path = path
        self.longest = _LINE_BYTES
        self.whole = True
        self.cut_off = False
        self._blocks = self._read(progress)
        self._waiting: bytes | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        waiting, self._waiting = self._waiting, None
        return next(self._blocks) if waiting is None else waiting

    def peek(self) -> bytes:
        """The next block, which stays the next one; empty at the end of the file."""
        if self._waiting is None:
            self._waiting = next(self._blocks, None)
        return self._waiting or b""

    def _read(self, progress: Progress | None) -> Iterator[bytes]:
        lines, rest, first = 1, b"", True
        try:
            for data in _decompressed(self.path, progress):
                block = rest + data if rest else data
                if first:
                    block, first = block.removeprefix(_BOM), False
                cut = block.rfind(b"\n") + 1
                rest = block[cut:]
                if len(rest) > self.longest:
                    message = f"this line is longer than {self.longest >> 20} MiB: is this a CSV file?"
                    raise ReplayInputError(self.path, message, line=lines + block.count(b"\n", 0, cut))
                if cut:
                    yield block[:cut]
                    lines += block.count(b"\n", 0, cut)
        except _BrokenOff as exc:
            if self.whole:
                raise ReplayInputError(self.path, f"{exc}: fetch or copy the file again") from None
            self.cut_off = True
        if rest:
            yield rest


def text_blocks(blocks: LineBlocks) -> Iterator[str]:
    r"""The text of a file in blocks that end with a line end (the last one may lack it); `\r\n` became `\n`.

    Raises:
        ReplayInputError: as `LineBlocks`; or bytes that are not UTF-8.
    """
    lines = 1
    for block in blocks:
        yield _decode(blocks.path, block, lines)
        lines += block.count(b"\n")


def _decode(path: Path, data: bytes, first_line: int) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        line = first_line + data.count(b"\n", 0, exc.start)
        raise ReplayInputError(path, "not UTF-8 text: convert the file, for example with iconv", line=line) from exc
    return text.replace("\r\n", "\n") if "\r" in text else text


def _decompressed(path: Path, progress: Progress | None) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            chunks = _chunks(file, progress)
            head = next(chunks, b"")
            if head.startswith(_GZIP):
                yield from _gunzip(path, head, chunks)
            elif head.startswith(_ZSTD):
                yield from _unzstd(path, head, chunks)
            else:
                yield head
                yield from chunks
    except OSError as exc:
        raise ReplayInputError(path, f"cannot be read: {exc.strerror or exc}") from exc


def _chunks(file: BinaryIO, progress: Progress | None) -> Iterator[bytes]:
    done = 0
    while chunk := file.read(_READ_BYTES):
        done += len(chunk)
        yield chunk
        if progress is not None:
            progress(done)


def _gunzip(path: Path, head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Members one after the other, as `cat a.gz b.gz` makes them; zero bytes may follow the last one."""
    member = zlib.decompressobj(wbits=31)  # 31: a gzip header and its checksum, nothing else
    between = False
    pending = head
    try:
        while pending or (pending := next(chunks, b"")):
            if between and not (pending := pending.lstrip(b"\0")):
                continue
            between = False
            yield member.decompress(pending, _BLOCK_BYTES)
            pending = member.unconsumed_tail
            if member.eof:
                pending, member, between = member.unused_data, zlib.decompressobj(wbits=31), True
    except zlib.error as exc:
        raise ReplayInputError(path, f"damaged gzip data ({exc}): fetch or copy the file again") from exc
    if not between:
        raise _BrokenOff("the gzip data ends too early")


def _unzstd(path: Path, head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    module = zstd_module()
    if module is None:
        remedy = f"run `zstd -d {path}` and replay the result, or `pip install pricestreamd[zstd]`"
        raise ReplayInputError(path, f"is zstd data, which this Python cannot read: {remedy}")
    frame = module.ZstdDecompressor()
    between = False
    pending = head
    try:
        while pending or not frame.needs_input or (pending := next(chunks, b"")):
            between = False
            yield frame.decompress(pending, _BLOCK_BYTES)
            pending = b""
            if frame.eof:
                pending, frame, between = frame.unused_data, module.ZstdDecompressor(), True
    except module.ZstdError as exc:
        raise ReplayInputError(path, f"damaged zstd data ({exc}): fetch or copy the file again") from exc
    if not between:
        raise _BrokenOff("the zstd data ends too early")
