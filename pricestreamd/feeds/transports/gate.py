"""How many connections are dialled at a time: when a network comes back, everybody wants to be first.

At most five dials are under way at once, over all feeds that share a gate, and no host is dialled more often than its
provider allows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pricestreamd.feeds.connection.pacing import RollingWindow
from pricestreamd.providers.profile import Profile

DIALS_AT_ONCE = 5
# Where no limit is documented: more than a pool needs at its start, and less than a storm.
_CONNECTS = 60
_WINDOW = 60.0
# Hosts that nobody dials any more are forgotten, the oldest first.
_MAX_HOSTS = 1000


class DialGate:
    """One for each process. Waiting dials get their turn in the order of asking, host by host."""

    def __init__(self) -> None:
        self._dialling = asyncio.Semaphore(DIALS_AT_ONCE)
        self._hosts: dict[str, RollingWindow] = {}

    @asynccontextmanager
    async def turn(self, host: str, profile: Profile) -> AsyncIterator[None]:
        """Wait for a turn to dial `host`, and hold it."""
        window = self._hosts.get(host)
        if window is None:
            while len(self._hosts) >= _MAX_HOSTS:
                del self._hosts[next(iter(self._hosts))]
            seconds = profile.connects_window if profile.connects else _WINDOW
            window = self._hosts[host] = RollingWindow(profile.connects or _CONNECTS, seconds)
        while True:
            wait = window.wait(time.monotonic())
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            async with self._dialling:
                # The turn of others may have come first while this one waited for the semaphore.
                if window.take(time.monotonic()):
                    yield
                    return
