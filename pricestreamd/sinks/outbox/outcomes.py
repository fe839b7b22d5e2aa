"""What came of attempts, on its way into the outbox: kept together while it writes, kept at all while it cannot.

While one writing is under way the next outcomes gather. One that fails is made again, after pauses that grow. What was
delivered is remembered for a good while longer, whatever the outbox says of it: a row that comes back because it was
written late, or was read before the outcome was, is not delivered again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence

from pricestreamd.model.errors import StateError
from pricestreamd.state.rows import Outcome

# Ids of so many delivered events, and outcomes of so many attempts that could not be written yet.
REMEMBERED = 10_000
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

Write = Callable[[Sequence[Outcome]], Awaitable[None]]
_Key = tuple[str, str, int]


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures of the disk in a row."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))


class Outcomes:
    """Those of one sink. `write` keeps outcomes for good, or raises StateError, of which `failed` is told.

    `kept` is called with the id of each event of which the outbox now knows everything.
    """

    def __init__(self, write: Write, *, failed: Callable[[StateError], object], kept: Callable[[str], object]) -> None:
        self._write = write
        self._failed = failed
        self._kept = kept
        self._waiting: dict[_Key, Outcome] = {}
        self._last: dict[str, Outcome] = {}
        self._delivered: OrderedDict[str, Outcome] = OrderedDict()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, outcome: Outcome) -> None:
        """Keep `outcome` soon."""
        self._waiting[outcome.event_id, outcome.result, outcome.attempts] = outcome
        self._last[outcome.event_id] = outcome
        if outcome.result == "delivered":
            self._delivered[outcome.event_id] = outcome
            if len(self._delivered) > REMEMBERED:
                self._delivered.popitem(last=False)
        if len(self._waiting) > REMEMBERED:
            # Where so many cannot be written, none of it has been in the outbox for long either.
            self._forget(self._waiting.pop(next(iter(self._waiting))))
        self._some.set()

    def waiting(self, event_ids: Collection[str]) -> list[Outcome]:
        """What came of attempts at these events and is not written yet, in the order in which they ended."""
        return [outcome for outcome in self._waiting.values() if outcome.event_id in event_ids]

    def settled(self, event_id: str) -> bool:
        """Whether this process has delivered the event, or gives it up and is about to say so."""
        last = self._last.get(event_id)
        return event_id in self._delivered or (last is not None and last.result == "dead")

    def say_again(self, event_id: str) -> None:
        """The outbox does not know yet that the event was delivered, if it was: tell it."""
        delivered = self._delivered.get(event_id)
        if delivered is not None:
            self.add(delivered)

    async def run(self) -> None:
        """Write whatever comes, until cancelled."""
        failures = 0
        while True:
            await self._some.wait()
            if await self.write():
                failures = 0
            else:
                failures += 1
                await asyncio.sleep(pause_after(failures))

    async def write(self) -> bool:
        """Write what waits; False where it could not be written and still waits. Cancelled, it still waits too."""
        batch = list(self._waiting.values())
        self._some.clear()
        try:
            if batch:
                await self._write(batch)
        except StateError as exc:
            self._some.set()
            self._failed(exc)
            return False
        except BaseException:
            self._some.set()
            raise
        for outcome in batch:
            key = (outcome.event_id, outcome.result, outcome.attempts)
            if self._waiting.get(key) is outcome:
                del self._waiting[key]
            if self._forget(outcome):
                self._kept(outcome.event_id)
        return True

    def _forget(self, outcome: Outcome) -> bool:
        """Whether it was the last one of its event."""
        if self._last.get(outcome.event_id) is not outcome:
            return False
        del self._last[outcome.event_id]
        return True
