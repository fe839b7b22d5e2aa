"""The text of a recorded file, in blocks of whole lines: plain, gzip or zstd, told apart by their first bytes.

Blocks instead of lines, because a line that Python code touches costs as much as all that is then done with it.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

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
# Python 3.14 has the module; its backport for older versions has the same interface.
_ZSTD_MODULES = ("compression.zstd", "backports.zstd")


def text_blocks(path: Path, progress: Progress | None = None) -> Iterator[str]:
    r"""The text of `path` in blocks that end with a line end (the last one may lack it); `\r\n` became `\n`.

    Raises:
        ReplayInputError: no such file, damaged compression, a line over 1 MiB, or bytes that are not UTF-8.
    """
    lines, rest, first = 1, b"", True
    for data in _decompressed(path, progress):
        block = rest + data if rest else data
        if first:
            block, first = block.removeprefix(_BOM), False
        cut = block.rfind(b"\n") + 1
        rest = block[cut:]
        if len(rest) > _LINE_BYTES:
            raise ReplayInputError(path, "this line is longer than 1 MiB: is this a CSV file?", line=lines)
        if cut:
            yield _decode(path, block[:cut], lines)
            lines += block.count(b"\n", 0, cut)
    if rest:
        yield _decode(path, rest, lines)


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
        raise ReplayInputError(path, "the gzip data ends too early: fetch or copy the file again")


def _unzstd(path: Path, head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    module = _zstd_module()
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
        raise ReplayInputError(path, "the zstd data ends too early: fetch or copy the file again")


def _zstd_module() -> Any:
    for name in _ZSTD_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
