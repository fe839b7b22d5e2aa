"""The daemon's works: feeds, sinks, outbox lanes and watchlists, each a supervised task that is known by its name.

A reload begins works and ends them while the others go on. One that ends gets time for its farewell (to say goodbye
to a provider, to deliver what waits); a new one of the same name begins when that is over, so that two never have the
same connection or file in hand. Nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pricestreamd.daemon.supervise import CrashHook, supervise
from pricestreamd.model.secret import redact

Work = Callable[[], Coroutine[Any, Any, None]]
Farewell = Callable[[], Awaitable[object]]

_log = logging.getLogger(__name__)


class Works:
    """Works in `group`, which somebody else enters; `on_crash` is told of each that crashes and is begun again."""

    def __init__(self, on_crash: CrashHook) -> None:
        self.group = asyncio.TaskGroup()
        self._on_crash = on_crash
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._partings: dict[str, asyncio.Task[None]] = {}
        self._all: set[asyncio.Task[None]] = set()

    def begin(self, name: str, work: Work) -> None:
        """Do `work` from now on, or from the end of the one before it that had its name."""
        self._tasks[name] = self._task(self._life(name, work, self._partings.get(name)))

    def end(self, name: str, farewell: Farewell, seconds: float) -> None:
        """Break the work `name` off, and do its `farewell`; both together have so many `seconds`."""
        before = self._partings.get(name)
        parting = self._task(self._part(name, self._tasks.pop(name), farewell, seconds, before))
        self._partings[name] = parting
        parting.add_done_callback(lambda done: self._forget(name, done))

    def cancel(self) -> None:
        """Break off all but those that say farewell: the end has begun, which looks after what they leave."""
        for task in self._tasks.values():
            task.cancel()

    async def parted(self) -> None:
        """Return when every farewell is said."""
        while self._partings:
            await asyncio.wait(self._partings.values())

    def break_off(self) -> None:
        """Break off whatever goes on."""
        for task in self._all:
            task.cancel()

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.group.create_task(work)
        self._all.add(task)
        task.add_done_callback(self._all.discard)
        return task

    def _forget(self, name: str, parting: asyncio.Task[None]) -> None:
        if self._partings.get(name) is parting:
            del self._partings[name]

    async def _life(self, name: str, work: Work, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        await supervise(name, work, on_crash=self._on_crash)

    @staticmethod
    async def _part(
        name: str, task: asyncio.Task[None], farewell: Farewell, seconds: float, before: asyncio.Task[None] | None
    ) -> None:
        task.cancel()
        try:
            if before is not None:
                await asyncio.wait({before})
            async with asyncio.timeout(seconds):
                await asyncio.wait({task})
                await farewell()
        except TimeoutError:
            _log.warning("%s: did not end within %g s, so it is broken off", name, seconds)
        except Exception as exc:  # noqa: BLE001 - what ends badly is gone all the same
            _log.error("%s: its end failed: %s", name, redact(repr(exc)))
