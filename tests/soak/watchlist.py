"""Some of the symbols come and go while the faults go on: by a watchlist that is read anew all the time."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Sequence

from pricestreamd.feeds.client import WebSocketClient
from tests.soak.received import Received
from tests.soak.world import World

_CHANGE_EVERY = 0.8
_PRESENT = 0.7


class Watchlist:
    """Names the visitors among the symbols, at any time most of them. `absences`: when each was not wanted."""

    def __init__(self, client: WebSocketClient, received: Received, world: World, names: Sequence[str]) -> None:
        self.absences: dict[int, list[tuple[float, float]]] = {}
        self._client = client
        self._received = received
        self._dice = random.Random(f"{world.seed}/watchlist")
        self._names = dict(enumerate(names[world.residents.stop :], world.residents.stop))
        self._gone: dict[int, float] = {}
        self.changes = 0

    async def change(self) -> None:
        """One symbol after the other, for ever."""
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / _CHANGE_EVERY))
            place = self._dice.choice(list(self._names))
            if self._dice.random() < _PRESENT:
                self._come(place)
            else:
                self._gone.setdefault(place, time.monotonic())
            self.apply()

    def all(self) -> None:
        """Name them all."""
        for place in list(self._gone):
            self._come(place)
        self.apply()

    def apply(self) -> None:
        """Tell the client."""
        self.changes += 1
        self._received.absent = {self._names[place] for place in self._gone}
        self._client.set_watchlist([name for place, name in self._names.items() if place not in self._gone])

    def _come(self, place: int) -> None:
        since = self._gone.pop(place, math.inf)
        if since < math.inf:
            self.absences.setdefault(place, []).append((since, time.monotonic()))
