"""How long an answer may take, without the time in which we ourselves did not look: asleep, stopped, or held up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

# A loop that looks later than this was not there to see the answer, and whoever owes it has had no more time than we.
LATE_SECONDS = 1.0


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` returns or raises; being cancelled, and the end of the time, cancel it.

    Raises:
        TimeoutError: nothing for so many seconds, all of them looked at.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    try:
        while True:
            due = loop.time() + seconds
            done, _ = await asyncio.wait({task}, timeout=seconds)
            if done:
                return task.result()
            if loop.time() - due <= LATE_SECONDS:
                raise TimeoutError
    finally:
        task.cancel()
