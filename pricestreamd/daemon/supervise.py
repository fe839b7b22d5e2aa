"""No task dies unnoticed: what feeds and sinks do is started again, a few times; anything else ends the process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pricestreamd.model.errors import PriceStreamError
from pricestreamd.model.secret import redact

# More crashes than this within the window are no accident.
MAX_CRASHES = 5
WINDOW_SECONDS = 300.0

CrashHook = Callable[[str, BaseException], None]

_log = logging.getLogger(__name__)


class TaskDied(PriceStreamError):
    """A task ended by a bug, and starting it again did not help."""


class BrokenOff(PriceStreamError):
    """A task has ended by a cancellation that nobody asked for."""


async def supervise(
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    on_crash: CrashHook,
    initial_delay: float = 1.0,
) -> None:
    """Run `work()`; when it raises, tell `on_crash` and run it again, after 1, 2, 4, 8 and 16 seconds.

    Returns when `work` returns. `initial_delay` in seconds.

    Raises:
        TaskDied: `work` raised more than five times in five minutes.
    """
    crashes: deque[float] = deque()
    while True:
        task = asyncio.create_task(work(), name=name)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        # Nobody has cancelled us: whoever cancelled the work was part of it.
        crash = BrokenOff(f"{name} was cancelled from within") if task.cancelled() else task.exception()
        if crash is None:
            return
        if not isinstance(crash, Exception):
            raise crash
        now = time.monotonic()
        crashes.append(now)
        while now - crashes[0] > WINDOW_SECONDS:
            crashes.popleft()
        _log.error("task %s failed: %s", name, redact(repr(crash)), exc_info=crash)
        on_crash(name, crash)
        if len(crashes) > MAX_CRASHES:
            raise TaskDied(f"task {name} failed {len(crashes)} times in five minutes, last: {crash!r}") from crash
        await asyncio.sleep(initial_delay * 2 ** (len(crashes) - 1))


async def lasting(name: str, work: Awaitable[None]) -> None:
    """Await `work` that never ends by itself: the daemon's own tasks, without which it is not whole.

    Whatever it raises is raised here, and nobody begins it again.

    Raises:
        TaskDied: it has returned, or was cancelled by somebody who was not asked to.
    """
    task = asyncio.current_task()
    try:
        await work
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise
        raise TaskDied(f"task {name} was cancelled from within") from None
    raise TaskDied(f"task {name} has ended by itself")
