"""Whether the daemon's own tasks are alive: the judgement by which its watchdogs are kept quiet.

A task that dies ends the process at once, or is begun again; no watchdog is needed for that. What nobody would notice
is a task that is still there and does nothing any more. So each task whose work is to look at something again and
again owes a turn within a known time, and each feed that runs owes its look at its connections, once a second. Who
waits for somebody else (for prices, a destination, a disk, a person) owes nothing: such waits have their own limits,
and a silent provider, a feed between two attempts or a task that waits to be begun again is no reason to restart.

Time is counted in looks, not read from a clock: a process that was stopped for an hour has looked as little as its
tasks have had turns, and so has a machine that was asleep.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Protocol

# Beyond the time that a task lets pass by itself. A loop that is merely busy must not be restarted.
PATIENCE_SECONDS = 30.0
FEED_SECONDS = 1.0


class Feed(Protocol):
    """What is asked of a feed."""

    @property
    def looks(self) -> int | None:
        """How often it has looked at its connections; None while it does not run, and none is owed."""


class Turns:
    """Awaits `work()`, and counts the turns that the loop has given it."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.count = 0
        self._work = work

    def __await__(self) -> Generator[Any, Any, None]:
        work = self._work().__await__()
        thrown: BaseException | None = None
        while True:
            self.count += 1
            try:
                waits_for = next(work) if thrown is None else work.throw(thrown)
            except StopIteration:
                return
            thrown = None
            try:
                yield waits_for
            except BaseException as exc:  # noqa: BLE001 - passed on: a cancellation is the work's own business
                thrown = exc


class Vitals:
    """The signs of life of own tasks (`owes`), and of `feeds`, which may come and go."""

    def __init__(self, feeds: Mapping[str, Feed], *, patience: float = PATIENCE_SECONDS) -> None:
        self._feeds = feeds
        self._patience = patience
        self._tasks: dict[str, tuple[Turns, float]] = {}
        self._seen: dict[str, tuple[object, int]] = {}
        self._idle: dict[str, float] = {}

    def owes(self, name: str, turns: Turns, every: float) -> None:
        """The task `name` owes a turn every so many seconds from now on."""
        self._tasks[name] = turns, every

    def release(self) -> None:
        """The tasks end, as they should."""
        self._tasks.clear()

    def look(self, seconds: float) -> list[str]:
        """Who hangs, by the looks so far. Called every so many `seconds`."""
        owed: dict[str, tuple[tuple[object, int], float]] = {
            name: ((turns, turns.count), every) for name, (turns, every) in self._tasks.items()
        }
        for name, feed in self._feeds.items():
            if (looks := feed.looks) is not None:
                owed[f"feed {name}"] = (feed, looks), FEED_SECONDS
        hanging = []
        idle: dict[str, float] = {}
        for name, (sign, every) in owed.items():
            idle[name] = self._idle.get(name, 0.0) + seconds if self._seen.get(name) == sign else 0.0
            if idle[name] > every + self._patience:
                hanging.append(name)
        self._seen = {name: sign for name, (sign, _) in owed.items()}
        self._idle = idle
        return hanging
