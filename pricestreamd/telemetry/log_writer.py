"""Lines on their way out: a bounded queue, and a thread that waits for the stream in the place of the event loop.

A pipe that nobody reads, a full disk or a closed stdout costs lines, which are counted, and nothing else. Once lines
flow again, one of them says how many were lost.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import select
import threading
from collections.abc import Callable
from typing import TextIO

# Some seconds of a busy debug log; at the longest possible lines 32 MB.
QUEUE_LINES = 2_000
# How often a thread that waits for a non-blocking stream looks whether it should end.
POLL_MILLISECONDS = 100
BATCH_CHARACTERS = 65_536


class LineWriter:
    """Takes lines from any thread without waiting and writes them to `stream` (None: nowhere).

    `notice(lost)` gives the line that tells of `lost` lines. The stream's descriptor is duplicated, so that a number
    that was closed and given to a socket never receives a log line; the stream's own buffer is not used, because a
    thread that hangs in it would hold a lock that the end of the interpreter needs.
    """

    def __init__(self, stream: TextIO | None, notice: Callable[[int], str], *, limit: int = QUEUE_LINES) -> None:
        self._stream = stream
        self._descriptor = duplicate(stream)
        self._notice = notice
        self._limit = limit
        # A SimpleQueue may be entered again by the same thread: a destructor may log while a line is being put.
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._closing = False
        self._torn = False
        # Each is written by one side only: the first two under the handler's lock, the others by the thread.
        self._overflowed = 0
        self._queued = 0
        self._finished = 0
        self._unwritten = 0
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that were not written."""
        return self._overflowed + self._unwritten

    def offer(self, line: str) -> None:
        """Hand over a line (without its end). When the queue is full it is lost, and counted."""
        if self._closing or self._queue.qsize() >= self._limit:
            self._overflowed += 1
        else:
            self._queued += 1
            self._queue.put(line)

    def close(self, timeout: float) -> None:
        """Write what is queued for `timeout` seconds; what is left then is lost. A stuck thread is left behind."""
        if self._closing:
            return
        self._queue.put(None)
        self._thread.join(timeout)
        self._closing = True
        self._overflowed += self._queued - self._finished

    def _run(self) -> None:
        told = 0
        open_ended = True
        while open_ended and not self._closing:
            batch, open_ended = self._batch()
            written = self._write(batch)
            if not self._closing:  # else these lines were counted when `close` gave up
                self._finished += len(batch)
                self._unwritten += len(batch) - written
            lost = self.lost
            if written and lost > told and self._queue.empty() and self._write([self._notice(lost - told)]):
                told = lost
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _batch(self) -> tuple[list[str], bool]:
        """What is queued, waiting for the first line; False where the end was found.

        One write for many lines: under load the thread gets the interpreter some two hundred times a second only.
        """
        lines: list[str] = []
        size = 0
        try:
            while size < BATCH_CHARACTERS:
                line = self._queue.get(block=not lines)
                if line is None:
                    return lines, False
                lines.append(line)
                size += len(line)
        except queue.Empty:
            pass
        return lines, True

    def _write(self, lines: list[str]) -> int:
        """Write `lines`; return how many of them got through whole."""
        if self._descriptor is not None:
            return self._write_bytes(
                self._descriptor, [f"{line}\n".encode("utf-8", "backslashreplace") for line in lines]
            )
        if self._stream is None:
            return 0
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            return 0
        return len(lines)

    def _write_bytes(self, descriptor: int, lines: list[bytes]) -> int:
        if self._torn and lines:
            lines[0] = b"\n" + lines[0]  # a line of which a part got through must not run into the next one
            self._torn = False
        data = memoryview(b"".join(lines))
        done = 0
        while done < len(data):
            try:
                done += os.write(descriptor, data[done:])
            except BlockingIOError:
                if self._closing:
                    break
                wait_writable(descriptor)
            except OSError:
                break
        whole = [end for end in itertools.accumulate(map(len, lines)) if end <= done]
        self._torn = done > (whole[-1] if whole else 0)
        return len(whole)


def wait_writable(descriptor: int) -> None:
    """Until a non-blocking stream may take more, for `POLL_MILLISECONDS` at most."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll(POLL_MILLISECONDS)


def occupy_standard_descriptors() -> None:
    """Open what was closed of 0, 1 and 2, so that no file or connection gets one of these numbers.

    Python, and libraries written in C, write to 2 without asking what it is. Call it before anything is opened.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number: all below it are open.
            os.open(os.devnull, os.O_RDWR)


def duplicate(stream: TextIO | None) -> int | None:
    """A descriptor of our own for what `stream` writes to; None where it has none."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
            return os.dup(stream.fileno())
    return None
