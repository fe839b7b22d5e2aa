"""Who has asked for a reload, and what they hear: a signal asks and goes, a person over HTTP waits for the report."""

from __future__ import annotations

import asyncio
from typing import Self

from pricestreamd.http.control import ReloadReport
from pricestreamd.http.problem import RefusalError


class ReloadRequests:
    """Asked for while a reload is under way, one more follows: what was written meanwhile counts, too.

    Whoever does the reloads enters; once that one has left, nobody waits in vain.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[ReloadReport]] = []
        self._served: list[asyncio.Future[ReloadReport]] = []
        self._over = False

    def ask(self) -> None:
        """Reload soon."""
        self._asked.set()

    async def report(self) -> ReloadReport:
        """Reload, and say how it went.

        Raises:
            RefusalError: the daemon ends (503).
        """
        if self._over:
            raise _ending()
        waiter: asyncio.Future[ReloadReport] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._asked.set()
        return await waiter

    async def wait(self) -> None:
        """Return when somebody has asked; `answer` is for all who have by then."""
        await self._asked.wait()
        self._asked.clear()
        self._served, self._waiting = self._waiting, []

    def answer(self, report: ReloadReport) -> None:
        """Tell those who wait."""
        for waiter in self._served:
            if not waiter.done():
                waiter.set_result(report)
        self._served = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        for waiter in (*self._served, *self._waiting):
            if not waiter.done():
                waiter.set_exception(_ending())


def _ending() -> RefusalError:
    return RefusalError(503, "The daemon ends: it reads its configuration when it starts again.")
