"""One thread of one's own, for calls that may block: they run one after the other, and only in this thread.

It is a daemon thread: a call that never returns (a dead network file system) keeps neither the loop nor the end of
the process waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_Job = Callable[[], None]

# Python lets a thread that waits for its turn ask for it after 5 ms, but starts that wait anew whenever the busy
# thread pauses for a moment. A saturated event loop pauses more often than that, so the thread would never run.
# Measured: none to two turns a second at 5 ms, some ten thousand at 0.1 ms.
SWITCH_SECONDS = 0.0001


class OneThread:
    """Runs functions in one thread, started by the first call. `name` is shown by debuggers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._unfinished = 0

    @property
    def running(self) -> bool:
        """Whether there is a thread, because something was called."""
        return self._jobs is not None

    @property
    def busy(self) -> bool:
        """Whether a call has not ended, be it that nobody waits for it any more."""
        return self._unfinished > 0

    async def call(self, function: Callable[..., _T], *args: Any) -> _T:
        """What `function(*args)` returns or raises, run in the thread after all earlier calls.

        Cancelling the wait does not stop a function; a later call still comes after it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def job() -> None:
            try:
                result = function(*args)
            except BaseException as exc:  # noqa: BLE001 - carried to who waits for it, not handled here
                answer: tuple[Any, ...] = (self._failed, future, _bearable(exc))
            else:
                answer = (self._succeeded, future, result)
            # A loop that is closed waits for nothing any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(*answer)

        self._unfinished += 1
        self._start().put(job)
        return await future

    def stop(self) -> None:
        """End the thread when it has done all earlier calls. Does not wait; the next call begins a new thread."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def _start(self) -> SimpleQueue[_Job | None]:
        if self._jobs is None:
            if sys.getswitchinterval() > SWITCH_SECONDS:
                sys.setswitchinterval(SWITCH_SECONDS)
            self._jobs = SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
        return self._jobs

    def _succeeded(self, future: asyncio.Future[_T], result: _T) -> None:
        self._unfinished -= 1
        if not future.done():
            future.set_result(result)

    def _failed(self, future: asyncio.Future[_T], error: Exception) -> None:
        self._unfinished -= 1
        if not future.done():
            future.set_exception(error)


def _bearable(error: BaseException) -> Exception:
    """`error`, or one in its place for what would end a loop (an exit, an interrupt): it was meant for a thread."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    stand_in = RuntimeError(f"{type(error).__name__}: {error}")
    stand_in.__cause__ = error
    return stand_in


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        # Or the last batch would live until the next one comes.
        del job
