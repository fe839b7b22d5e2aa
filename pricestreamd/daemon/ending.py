"""A loop that ends within bounds, whatever functions of the user's do: such as hang in a thread, or refuse to be ended.

`asyncio.run` waits without bound for tasks that were cancelled and for the threads of the loop, and the interpreter
waits for those once more. Here all of them together have `GRACE_SECONDS`. Who still runs then is named; only the end
of the process can end it. The interpreter waits for threads that the user's functions have begun, too; it may do so
for `EXIT_SECONDS`, as most of them (those of an idle pool) end when it asks them to.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")

_PREFIX = "asyncio"

GRACE_SECONDS = 1.0
EXIT_SECONDS = 2.0
LOOK_SECONDS = 0.01


class BoundedLoop:
    """Runs one coroutine in a loop of its own, as `asyncio.run` does; then `close` it."""

    def __init__(self) -> None:
        self._others = set(threading.enumerate())
        self._runner = asyncio.Runner()
        # Its own, so that it can be let go of without waiting.
        self._threads = ThreadPoolExecutor(thread_name_prefix=_PREFIX)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` returns or raises."""
        self._runner.get_loop().set_default_executor(self._threads)
        return self._runner.run(work)

    def close(self, grace: float = GRACE_SECONDS) -> list[str]:
        """End what is left, within `grace` seconds; returns who did not end: then let the process exit at once."""
        end = time.monotonic() + grace
        left = self._runner.run(_end_tasks(grace))
        self._threads.shutdown(wait=False, cancel_futures=True)
        while (threads := self._hanging(ours=True)) and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        if not left and not threads:
            self._runner.close()
        return [*left, *threads]

    def exit_soon(self, code: int, seconds: float = EXIT_SECONDS) -> None:
        """Where there are threads that the interpreter would wait for: end the process with `code` in `seconds`."""
        if self._hanging(ours=False):
            last = threading.Timer(seconds, os._exit, [code])
            last.daemon = True
            last.start()

    def _hanging(self, *, ours: bool) -> list[str]:
        """Threads that the interpreter would wait for: those of the loop, or all others."""
        return [
            f"thread {thread.name}"
            for thread in threading.enumerate()
            if not thread.daemon and thread not in self._others and thread.name.startswith(f"{_PREFIX}_") is ours
        ]


async def _end_tasks(grace: float) -> list[str]:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=grace)
    return [f"task {task.get_name()}" for task in tasks]
