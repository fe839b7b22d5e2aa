"""How many connections are dialled at a time: when a network comes back, everybody wants to be first.

At most five dials to a host are under way at once, over all feeds that share a gate, and no host is dialled more often
than its provider allows. Hosts do not wait for each other: where one never answers, each of its dials takes as long as
it may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pricestreamd.feeds.connection.pacing import RollingWindow
from pricestreamd.providers.profile import Profile

DIALS_AT_ONCE = 5
# Where no limit is documented: more than a pool needs at its start, and less than a storm.
_CONNECTS = 60
_WINDOW = 60.0
# Hosts that nobody dials any more are forgotten, the oldest first.
_MAX_HOSTS = 1000


@dataclass(slots=True)
class _Host:
    """Who is dialled: how often, and how many times at once."""

    window: RollingWindow
    dialling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DIALS_AT_ONCE))


class DialGate:
    """One for each process. Waiting dials get their turn in the order of asking, host by host."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str, profile: Profile) -> AsyncIterator[None]:
        """Wait for a turn to dial `host`, and hold it."""
        known = self._hosts.get(host) or self._new_host(host, profile)
        while True:
            wait = known.window.wait(time.monotonic())
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            async with known.dialling:
                # The turn of others may have come first while this one waited for the semaphore.
                if known.window.take(time.monotonic()):
                    yield
                    return

    def _new_host(self, host: str, profile: Profile) -> _Host:
        while len(self._hosts) >= _MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        seconds = profile.connects_window if profile.connects else _WINDOW
        known = self._hosts[host] = _Host(RollingWindow(profile.connects or _CONNECTS, seconds))
        return known
