"""The connections of a feed at work, each in a task of its own, until one fails or all are told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from pricestreamd.feeds.connection.connection import Connection


class Crew:
    """Runs connections of the feed `name`. `gone(connection, error)` is called when one has ended, however it did.

    What `gone` makes of it is its business; `fail` ends the whole crew.
    """

    def __init__(self, name: str, gone: Callable[[Connection, BaseException | None], object]) -> None:
        self._name = name
        self._gone = gone
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._partings: set[asyncio.Task[None]] = set()
        self._over: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._supervised = False
        self.is_working = False
        """Whether connections may be started: not before `work`, and not once the crew was told to stop."""

    @property
    def members(self) -> set[Connection]:
        """The connections that run, those that are going among them."""
        return set(self._tasks.values())

    async def work(self, begin: Callable[[], object], *, supervised: bool) -> None:
        """Call `begin`, which starts the first, and wait until the crew is told to stop or fails, which is raised.

        `supervised`: as `Session.start`, for every connection.
        """
        self._over = asyncio.Event()
        self._failure = None
        self._supervised = supervised
        self.is_working = True
        try:
            begin()
            await self._over.wait()
            # Where one has failed the others say goodbye: some providers count for a while who does not.
            await asyncio.gather(*(connection.stop() for connection in self.members))
        finally:
            self._over = None
            self.is_working = False
            tasks = [*self._tasks, *self._partings]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
        if self._failure is not None:
            raise self._failure

    def start(self, connection: Connection, *, patient: bool) -> None:
        """Run `connection`; `patient`: as `Session.start`."""
        name = f"feed {self._name} connection {connection.number}"
        task = asyncio.create_task(connection.run(supervised=self._supervised, patient=patient), name=name)
        self._tasks[task] = connection
        task.add_done_callback(self._ended)

    def part(self, connection: Connection, reason: str, *, after: float = 0.0) -> None:
        """Let one connection say goodbye and go, `after` so many seconds, while the others work on."""
        parting = asyncio.create_task(_part(connection, reason, after), name=f"feed {self._name} parting")
        self._partings.add(parting)
        parting.add_done_callback(self._partings.discard)

    async def stop(self, connections: Iterable[Connection]) -> None:
        """Let `connections` say goodbye, and end."""
        self.is_working = False
        try:
            await asyncio.gather(*(connection.stop() for connection in connections))
        finally:
            if self._over is not None:
                self._over.set()

    def fail(self, error: BaseException | None) -> None:
        """End, because of `error`."""
        self.is_working = False
        self._failure = self._failure or error
        if self._over is not None:
            self._over.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        connection = self._tasks.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._gone(connection, error)


async def _part(connection: Connection, reason: str, after: float) -> None:
    await asyncio.sleep(after)
    await connection.stop(reason)
