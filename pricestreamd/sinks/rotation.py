"""When is a file put aside, under which name, and how does it become small? All of it in threads, never on the loop.

`events.jsonl` is put aside as `events.jsonl.20260328T140000Z`, and compressed to that with `.zst` behind it. What a
crash has left uncompressed, or half compressed, is compressed when the file is next opened.

`every` counts from the epoch in UTC, so `1d` is midnight: a file whose last line was written in an earlier period is
put aside before the next line, whether or not the process was there at the turn.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pricestreamd.model.zstandard import zstd_module
from pricestreamd.sinks.settings import RotateSettings

# Some 5 ms of compressing: so soon a thread that is asked to end does.
CHUNK_BYTES = 1024 * 1024
# What cannot be put aside is not tried, and told of, with every batch.
AGAIN_SECONDS = 60.0
_STAMP = "%Y%m%dT%H%M%SZ"

_log = logging.getLogger(__name__)


class Rotation:
    """Of the file at `path`. `wall` gives epoch seconds, `clock` is monotonic."""

    def __init__(
        self,
        path: Path,
        settings: RotateSettings,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._settings = settings
        self._wall = wall
        self._clock = clock
        self._not_before = -math.inf

    def due(self, size: int, wanted: int, written_at: float) -> bool:
        """Whether a file of `size` bytes, last written at `written_at`, is put aside before `wanted` more come."""
        if not size or self._clock() < self._not_before:
            return False
        limit, every = self._settings.size, self._settings.every
        if limit is not None and size + wanted > limit:
            return True
        return every is not None and written_at // every < self._wall() // every

    def put_aside(self) -> Path:
        """Rename the file, which must be closed; returns its new name. After an `OSError` it is not due for a while."""
        self._not_before = self._clock() + AGAIN_SECONDS
        name = f"{self._path.name}.{time.strftime(_STAMP, time.gmtime(self._wall()))}"
        aside, number = self._path.with_name(name), 1
        # Twice in one second.
        while aside.exists() or aside.with_name(f"{aside.name}.zst").exists():
            number += 1
            aside = self._path.with_name(f"{name}-{number}")
        self._path.rename(aside)
        self._not_before = -math.inf
        return aside

    def left_over(self) -> list[Path]:
        """Files put aside that nobody has compressed, oldest first."""
        aside = re.compile(rf"{re.escape(self._path.name)}\.\d{{8}}T\d{{6}}Z(-\d+)?", re.ASCII)
        return sorted(path for path in self._path.parent.iterdir() if aside.fullmatch(path.name))


class Compressor:
    """Compresses files in a thread of its own, one after the other. What it has not done by `stop` is left as it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._files: SimpleQueue[Path | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def add(self, path: Path) -> None:
        """Compress `path` to `<path>.zst` some time, and delete it then."""
        if self._thread is None:
            self._files, self._stopped = SimpleQueue(), threading.Event()
            work = (self._files, self._stopped)
            self._thread = threading.Thread(target=_work, args=work, name=self._name, daemon=True)
            self._thread.start()
        self._files.put(path)

    def stop(self) -> None:
        """End soon, in the middle of a file, too. Does not wait."""
        self._stopped.set()
        self._files.put(None)
        self._thread = None


def _work(files: SimpleQueue[Path | None], stopped: threading.Event) -> None:
    while (path := files.get()) is not None and not stopped.is_set():
        try:
            _compress(path, stopped)
        except OSError as exc:
            _log.warning("%s is not compressed: %s", path, exc.strerror or exc)


def _compress(path: Path, stopped: threading.Event) -> None:
    module: Any = zstd_module()
    part = path.with_name(f"{path.name}.part")
    try:
        with path.open("rb") as source, part.open("wb") as raw:
            os.fchmod(raw.fileno(), os.fstat(source.fileno()).st_mode & 0o777)
            with module.ZstdFile(raw, "wb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
                    if stopped.is_set():
                        return
            raw.flush()
            os.fsync(raw.fileno())
        part.rename(path.with_name(f"{path.name}.zst"))
        path.unlink()
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
