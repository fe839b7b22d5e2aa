"""Functions for the sink `call`. What they do is set by the test, through `state`."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any

from pricestreamd.model.events import Event


class State:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.threads: set[str] = set()
        self.errors: list[BaseException | None] = []
        self.release: threading.Event | None = None
        self.late: BaseException | None = None
        self.most_running: dict[str, int] = {}

    def began(self, event: Any) -> None:
        self.calls.append(event)
        self.threads.add(threading.current_thread().name)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error


state = State()
lock = threading.Lock()
running: dict[str, int] = {}

NOT_A_FUNCTION = 5


def plain(event: Event) -> str:
    key = event["firing_id"]
    with lock:
        running[key] = running.get(key, 0) + 1
        state.most_running[key] = max(state.most_running.get(key, 0), running[key])
    try:
        state.began(event)
        if state.release is not None and key.startswith("slow"):
            state.release.wait(20)
            if state.late is not None:
                raise state.late
        return "whatever"
    finally:
        with lock:
            running[key] -= 1


async def coroutine(event: Event) -> None:
    state.began(event)
    if event["firing_id"].startswith("slow"):
        await asyncio.Event().wait()


async def stubborn(event: Event) -> None:
    """Begins again whatever happens, cancelling included, until the test lets it go."""
    state.began(event)
    while event["firing_id"].startswith("slow") and not (state.release is None or state.release.is_set()):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)
    if state.late is not None:
        raise state.late


def _decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def around(event: Event) -> Any:
        return function(event)

    return around


wrapped = _decorated(coroutine)
wrapped_stubborn = _decorated(stubborn)


class _Object:
    async def __call__(self, event: Event) -> None:
        await coroutine(event)

    def method(self, event: Event) -> None:
        plain(event)


thing = _Object()
