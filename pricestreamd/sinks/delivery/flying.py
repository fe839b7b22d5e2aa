"""What the courier needs of the queues: in memory, and of what is durable."""

from __future__ import annotations

from typing import Protocol

from pricestreamd.model.events import Event
from pricestreamd.sinks.delivery.queue import DropReason


class Flying(Protocol):
    """What the courier needs of a queue."""

    flight: list[Event]

    def take(self, most: int) -> list[Event]:
        """Take the oldest events, at most `most`; they are in flight until answered for."""

    def settle(self, count: int | None = None) -> None:
        """The first `count` of the flight, or all, were delivered."""

    def drop(self, reason: DropReason, count: int | None = None) -> int:
        """Give up the first `count` of the flight, or all; returns how many were lost."""

    def give_back(self) -> None:
        """What is in flight waits again, in front."""

    def refresh(self) -> list[Event]:
        """The flight, without what is outdated by now."""


class Enduring(Flying, Protocol):
    """What it needs of the queue of a durable sink besides."""

    def second(self) -> Event | None:
        """What comes after the flight, if it is known."""

    def settle_second(self) -> None:
        """`second` was delivered before the flight was."""

    def release(self) -> None:
        """The flight is somebody else's now, who counts it."""
