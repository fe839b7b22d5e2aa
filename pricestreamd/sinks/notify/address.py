"""One address of the sink `notify`: who was told what, one message under way at a time, in a thread of its own.

Addresses know nothing of each other: what one refuses is sent again to it alone. A message that takes longer than
`deadline` has failed; its thread cannot be ended, so nothing more is sent to the address until the message has gone,
or `GIVEN_UP_SECONDS` have passed. Then its thread is left to itself, at most `MOST_LEFT` of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import message_id
from pricestreamd.sinks.notify.apprise_library import AppriseError, Recipient
from pricestreamd.sinks.notify.repeats import Due, Repeats
from pricestreamd.sinks.notify.texts import MOST_LINES, Message, Texts
from pricestreamd.state.thread import OneThread

GIVEN_UP_SECONDS = 300.0
MOST_LEFT = 4
# How often it is asked whether a message is gone that was begun for somebody else.
LOOK_SECONDS = 1.0
# One failed attempt counts for all that were in it, if they ask soon.
FAILED_SECONDS = 2.0
# What a storm adds to others that wait makes no attempt of its own so soon after one: it leaves with theirs.
RIDE_SECONDS = 30.0

Gone = Callable[[AppriseError | None], object]
"""Told how a message ended: None, it has arrived."""


class _Flight:
    """A message under way since `began`. `error`: why it failed, when `task` is done; None: it has arrived."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.error: AppriseError | None = None
        self.task: asyncio.Task[None]


class NotifyAddress:
    """Sends to `address`; `label` is what it is called where the address itself must not be. `clock` is monotonic."""

    def __init__(
        self,
        address: Secret,
        label: str,
        sink: str,
        repeat_after: float,
        texts: Texts,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        deadline: float,
    ) -> None:
        self.label = label
        self.repeats = Repeats(repeat_after)
        self._address = address
        self._sink = sink
        self._texts = texts
        self._clock = clock
        self._wall = wall
        self._deadline = deadline
        self._recipient: Recipient | None = None
        self._thread: OneThread | None = None
        self._flight: _Flight | None = None
        self._left: list[_Flight] = []
        self._failed: tuple[frozenset[str], float, AppriseError] | None = None
        self._tried_at = -math.inf

    async def open(self) -> None:
        """Have the library loaded, and the address understood.

        Raises:
            SinkError: it is not.
        """
        if self._recipient is not None or self._flight is not None:
            return
        try:
            async with asyncio.timeout(self._deadline):
                await self._free_thread().call(self._ready)
        except TimeoutError:
            raise SinkError(f"{self.label}: not ready after {self._deadline:g} s", sink=self._sink) from None
        except AppriseError as exc:
            raise self._failure(exc) from exc

    async def tell(self, key: str) -> float:
        """Tell of a crossing that has entered `repeats`, with all that may leave with it.

        Returns 0 when the person knows of it, else in how many seconds to ask again.

        Raises:
            SinkError: it was tried, and failed.
        """
        if self.repeats.told(key):
            return 0.0
        now = self._clock()
        if self.repeats.rides(key) and (ride := self._tried_at + RIDE_SECONDS - now) > 0:
            return max(ride, self.repeats.wait(key, now))
        if self._failed is not None:
            keys, failed_at, error = self._failed
            if key in keys and now - failed_at < FAILED_SECONDS:
                raise self._failure(error)
        if self._busy(now):
            return LOOK_SECONDS
        if wait := self.repeats.wait(key, now):
            return wait
        self._tried_at = now
        due = self.repeats.take(now)
        message = self._texts.of_crossings(due.crossings, self._wall())
        await self._send(message, lambda error: self._crossings_gone(due, error))
        return 0.0

    async def tell_all(self, events: Sequence[Event]) -> None:
        """Tell of `events` now, in messages with a line for each, but for those that it was told of before.

        Raises:
            SinkError: it failed.
        """
        while self._flight is not None and self._busy(self._clock()):
            # Somebody gave it up while it was under way; it may bring what is asked for.
            await asyncio.wait([self._flight.task], timeout=LOOK_SECONDS)
        missing = [event for event in events if not self.repeats.told(message_id(event))]
        for start in range(0, len(missing), MOST_LINES):
            await self._tell_some(missing[start : start + MOST_LINES])

    async def _tell_some(self, events: Sequence[Event]) -> None:
        def gone(error: AppriseError | None) -> None:
            if error is None:
                for event in events:
                    self.repeats.remember(message_id(event))

        await self._send(self._texts.of_events(events, self._wall()), gone)

    async def close(self) -> None:
        """Let go of the thread, and of what is under way in it: whether that arrives is not known then."""
        flights = [*self._left, *([self._flight] if self._flight is not None else [])]
        self._left, self._flight = [], None
        for flight in flights:
            flight.task.cancel()
        if flights:
            await asyncio.wait([flight.task for flight in flights])
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    # --- one message

    def _busy(self, now: float) -> bool:
        """Whether a message is under way; raises where it should have arrived long ago."""
        flight = self._flight
        if flight is None:
            return False
        age = now - flight.began
        if age >= GIVEN_UP_SECONDS and len(self._left) < MOST_LEFT:
            self._left.append(flight)
            self._flight = None
            return False
        if age >= self._deadline:
            raise self._failure(AppriseError(f"a message has not arrived after {age:.0f} s; none is sent beside it"))
        return True

    async def _send(self, message: Message, gone: Gone) -> None:
        flight = self._flight = _Flight(self._clock())
        flight.task = asyncio.create_task(self._fly(flight, message, gone), name=f"sink {self._sink} message")
        await asyncio.wait([flight.task], timeout=self._deadline)
        if not flight.task.done():
            late = AppriseError(f"not taken within {self._deadline:g} s")
            gone(late)
            raise self._failure(late)
        if flight.error is not None:
            raise self._failure(flight.error)

    async def _fly(self, flight: _Flight, message: Message, gone: Gone) -> None:
        """Ends when the thread does, however long nobody waits for it any more."""
        try:
            await self._free_thread().call(self._speak, message)
        except AppriseError as exc:
            flight.error = exc
        except asyncio.CancelledError:
            flight.error = AppriseError("broken off, as the sink was closed")
            raise
        finally:
            if self._flight is flight:
                self._flight = None
            with suppress(ValueError):
                self._left.remove(flight)
            gone(flight.error)

    def _free_thread(self) -> OneThread:
        if self._thread is None or self._thread.busy:
            if self._thread is not None:
                self._thread.stop()
            self._thread = OneThread(f"sink {self._sink}")
        return self._thread

    def _ready(self) -> Recipient:
        if self._recipient is None:
            self._recipient = Recipient(self._address)
        return self._recipient

    def _speak(self, message: Message) -> None:
        self._ready().send(message.title, message.body)

    def _crossings_gone(self, due: Due, error: AppriseError | None) -> None:
        if error is None:
            self.repeats.left(due, self._clock())
            return
        self._failed = frozenset(due.ids), self._clock(), error
        self.repeats.stayed(due)

    def _failure(self, error: AppriseError) -> SinkError:
        failure = SinkError(f"{self.label}: {error}", sink=self._sink)
        failure.__cause__ = error
        return failure
