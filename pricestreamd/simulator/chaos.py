"""Chaos: one fault after the other at random moments, each at a connection at random, the same for the same dice."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import NamedTuple

from pricestreamd.simulator.desk import Desk
from pricestreamd.simulator.door import Door
from pricestreamd.simulator.market import Dice

_log = logging.getLogger(__name__)

# What can happen, the more often the more often it is named.
_FAULTS = (
    "reset",
    "reset",
    "eof",
    "eof",
    "close 1000",
    "close 1001",
    "close 1011",
    "close 1012",
    "close 1013",
    "mute",
    "half-open",
    "slow acks",
    "closed door",
)
_SHORTEST, _LONGEST = 0.2, 4.0
# How long these last, as shares of the mean: 5 s, by 2 s, and 2 s where there is a fault every 3 s.
_SLOW, _SLOW_BY, _CLOSED = 1.7, 0.7, 0.7


class Fault(NamedTuple):
    """What was done, when (the event loop's clock), and the number of the connection, 0 for all."""

    at: float
    what: str
    connection: int


class Chaos:
    """Does a fault every `mean` seconds in the mean, and keeps them in `faults`."""

    def __init__(self, desk: Desk, door: Door, die: Dice, mean: float) -> None:
        self.faults: list[Fault] = []
        self._desk = desk
        self._door = door
        self._die = die
        self._mean = mean

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            wait = -math.log(1.0 - self._die()) * self._mean
            await asyncio.sleep(min(max(wait, _SHORTEST * self._mean), _LONGEST * self._mean))
            self._strike(_FAULTS[math.floor(self._die() * len(_FAULTS))], self._die())

    def _strike(self, what: str, share: float) -> None:
        number = 0
        if what == "slow acks":
            self._desk.slow_down(_SLOW * self._mean, _SLOW_BY * self._mean)
        elif what == "closed door":
            self._door.close(_CLOSED * self._mean, 503)
        else:
            there = [connection for connection in self._desk.connections if connection.writable]
            if not there:
                return
            connection = there[math.floor(share * len(there))]
            number = connection.number
            match what:
                case "mute":
                    self._desk.mute(connection)
                case "half-open":
                    self._desk.kill(connection)
                case "reset" | "eof":
                    connection.cut(reset=what == "reset")
                case _:
                    self._desk.close(connection, int(what.removeprefix("close ")))
        _log.debug("chaos: %s%s", what, f" of connection {number}" if number else "")
        self.faults.append(Fault(asyncio.get_running_loop().time(), what, number))
