"""A loop for a command that a person waits for: it ends when its work ends, whoever is still looking up a name.

asyncio waits at its end, and Python at its own, for threads that ask for an address; a name server that does not
answer holds them for half a minute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

_T = TypeVar("_T")

INTERRUPTED = 130
"""What a shell says of a program that was ended by Ctrl-C."""

# After Ctrl-C, a close frame or two may still go out.
_GOODBYE_SECONDS = 0.5


class _Threads(ThreadPoolExecutor):
    """The loop's threads; `unfinished` is what they have not ended."""

    def __init__(self) -> None:
        super().__init__()
        self.unfinished: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self.unfinished.add(future)
        future.add_done_callback(self.unfinished.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - never waits
        super().shutdown(wait=False, cancel_futures=True)


class ImpatientLoop:
    """`run` as `asyncio.run` does, once; then `leave` with the exit code of the process."""

    def __init__(self) -> None:
        self._threads = _Threads()
        self._interrupted = False

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """What `main` returns or raises.

        Ctrl-C cancels it and raises KeyboardInterrupt, or ends the process where saying goodbye takes too long.
        """
        try:
            with asyncio.Runner(loop_factory=self._loop) as runner:
                return runner.run(self._interruptible(main))
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            self.leave(INTERRUPTED)
            raise KeyboardInterrupt from None

    def leave(self, code: int) -> int:
        """`code`, for the usual way out; or, where a thread is stuck, no return at all."""
        if self._threads.unfinished:
            exit_now(code)
        return code

    async def _interruptible(self, main: Coroutine[Any, Any, _T]) -> _T:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            self._interrupted = True
            loop.call_later(_GOODBYE_SECONDS, exit_now, INTERRUPTED)
            if task is not None:
                task.cancel()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        return await main

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(self._threads)
        return loop


@contextmanager
def quiet_log() -> Iterator[None]:
    """For a command that tells in its own words what happens: without a handler, Python prints the log's warnings."""
    logger, handler = logging.getLogger("pricestreamd"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def exit_now(code: int) -> None:
    """End the process at once, with what was printed."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # they may have been closed when we were started
        stream.flush()
    os._exit(code)
