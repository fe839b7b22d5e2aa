"""Waiting within bounds: for something to happen, for a task to let go, and for what blocks, off the loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from pricestreamd.model.errors import SinkError
from pricestreamd.state.thread import OneThread

_T = TypeVar("_T")

# For letting go of a sink that did not finish in time.
GRACE_SECONDS = 0.1


async def happened(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for `event`, but not longer than `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def ended(task: asyncio.Task[Any]) -> bool:
    """Cancel `task`, in the end without waiting for it. True: it had done its work before."""
    task.cancel()
    await asyncio.wait([task], timeout=GRACE_SECONDS)
    return task.done() and not task.cancelled() and task.exception() is None


async def aside(name: str, function: Callable[[], _T]) -> _T:
    """What `function()` returns or raises, run in a thread of its own that ends with it."""
    thread = OneThread(name)
    try:
        return await thread.call(function)
    finally:
        thread.stop()


def failure_of(delivery: asyncio.Task[Any], sink: str) -> Exception | None:
    """Why `delivery`, a task that is done, has failed; None: it has not.

    Cancelled means: by something inside the sink. Whoever ends the loop cancels those who wait for it, too.
    """
    error = asyncio.CancelledError() if delivery.cancelled() else delivery.exception()
    if error is None or isinstance(error, Exception):
        return error
    return SinkError(f"the delivery of sink {sink} was broken off: {error!r}", sink=sink)
