"""The one way into a sink: two lanes share it, and what is durable goes first.

A sink has two lanes: the worker brings what is best effort, the outbox lane what must not be lost. Neither knows of the
other. Durable deliveries pass beside each other, as many as the sink takes; what is best effort passes alone. While a
durable delivery waits or is under way, no other begins. One that is under way already has `PATIENCE` seconds to end;
then it is broken off, waits until the durable lane is done, and begins again. So a best-effort delivery that hangs
holds up an alert for a second at most, as far as the sink can be cancelled; its events may arrive twice. Between two
alerts of a backlog it has a turn now and then, so that a long one does not silence everything else.

The sink is opened by whoever comes first and closed when the last one has left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.model.sampling import OncePer
from pricestreamd.sinks.base import DestinationGone, Sink, said
from pricestreamd.sinks.bearable import bearable
from pricestreamd.sinks.delivery.breaker import Breaker
from pricestreamd.sinks.delivery.standing import Standing
from pricestreamd.sinks.not_yet import TakesInTurn, ToldBefore
from pricestreamd.sinks.waiting import happened

# A traceback of each kind of bug is told this often.
BUG_SECONDS = 60.0
# Seconds that a durable delivery waits for another one that is under way.
PATIENCE = 1.0
# While durable deliveries are due one after the other, what is best effort rests so many times as long as it has taken:
# one that hangs has a fifth of the time, and one that is quick is hardly held up.
RESTS = 4.0


_log = logging.getLogger(__name__)


class Door:
    """Stands before `sink`. `gone`: why it is shut, because the destination wants nothing more.

    `breaker` is fed by both lanes; `standing` is what both have found, for people.
    """

    def __init__(self, sink: Sink, *, patience: float = PATIENCE) -> None:
        self.breaker = Breaker()
        self.standing = Standing()
        self._sink = sink
        self._in_turn = sink if isinstance(sink, TakesInTurn) else None
        self._patience = patience
        # Held by one that passes alone, or by all durable deliveries together, from the first to the last.
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(sink.concurrent)
        self._entering = asyncio.Lock()
        self._inside = 0
        self._durable = 0
        self._none_durable = asyncio.Event()
        self._none_durable.set()
        self._none_due = asyncio.Event()
        self._none_due.set()
        # When what is best effort may begin between two durable deliveries.
        self._share_at = 0.0
        self._limit: asyncio.Timeout | None = None
        self._users: set[object] = set()
        self.gone: DestinationGone | None = None
        self._gone_told = False
        self._bugs = OncePer(BUG_SECONDS)

    async def open(self, user: object) -> None:
        """Open the sink for `user`, one of its lanes; raises what the sink raises."""
        async with self._turn:
            with self._watched(), self.standing.opening(), bearable(self._sink.name, "opening"):
                await self._sink.open()
            self._users.add(user)

    async def close(self, user: object) -> None:
        """`user` needs the sink no more; it is closed when nobody does."""
        self._users.discard(user)
        if not self._users:
            async with self._turn:
                with bearable(self._sink.name, "closing"):
                    await self._sink.close()

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Deliver what is best effort; raises what the sink raises."""
        await self._between(lambda: self._through(batch))

    async def try_out(self, attempt: Callable[[Sink], Awaitable[object]]) -> None:
        """Make `attempt` at the sink, for somebody who asks, also where the door is shut. It counts for nothing here.

        It waits, and gives way, as what is best effort does: then it is made again. Raises what it raises.
        """

        async def made() -> None:
            with self._watched(), bearable(self._sink.name, "trial"):
                await attempt(self._sink)

        await self._between(made)

    async def deliver_durable(self, user: object, event: Event) -> None:
        """Deliver what must not be lost, before anything else, and open the sink before where it is not open.

        Raises what the sink raises; that it cannot be opened is always worth another attempt.
        """
        self._durable += 1
        self._none_durable.clear()
        try:
            # Once: it has its seconds from the first that waits, and one whose time is over cannot be given another.
            if self._limit is not None and self._limit.when() is None:
                self._limit.reschedule(asyncio.get_running_loop().time() + self._patience)
            async with self._room, self._side_by_side():
                async with self._entering:
                    await self._opened(user)
                await self._through([event], in_turn=True)
        finally:
            self._durable -= 1
            if not self._durable:
                self._none_durable.set()

    def more_durable(self, *, is_due: bool) -> None:
        """Whether the durable lane has more that could be delivered now, once there is room."""
        if is_due:
            self._none_due.clear()
        else:
            self._none_due.set()

    @property
    def failing(self) -> bool:
        """Whether the last attempts have failed."""
        return self.breaker.open or self.standing.failing_since is not None

    def tell_gone(self) -> bool:
        """Whether nobody has been told yet that the door is shut; then it counts as told."""
        told, self._gone_told = self._gone_told, True
        return not told

    def reopen(self) -> None:
        """Try the destination again although it wanted nothing more: somebody asked for it."""
        self.gone = None
        self._gone_told = False
        self.breaker.reset()

    @asynccontextmanager
    async def _side_by_side(self) -> AsyncIterator[None]:
        async with self._entering:
            if not self._inside:
                await self._turn.acquire()
            self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._turn.release()

    async def _opened(self, user: object) -> None:
        if user in self._users:
            return
        try:
            with self._watched(), self.standing.opening(), bearable(self._sink.name, "opening"):
                await self._sink.open()
        except SinkError as exc:
            raise SinkError(str(exc), sink=self._sink.name, retry_after=exc.retry_after) from exc
        self._users.add(user)

    async def _between(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do `work` alone, while nothing durable is there to be delivered, or when its share of the time has come."""
        now = asyncio.get_running_loop().time
        while True:
            await self._none_durable.wait()
            if not self._none_due.is_set() and (left := self._share_at - now()) > 0:
                await happened(self._none_due, left)
                continue
            async with self._turn:
                if self._durable:
                    continue
                began = now()
                try:
                    if await self._passed(work):
                        return
                finally:
                    self._share_at = now() + RESTS * (now() - began)

    async def _passed(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Whether `work` came to its end; False: it was broken off for a durable delivery."""
        try:
            async with asyncio.timeout(None) as self._limit:
                await work()
        except TimeoutError:
            if self._limit is None or not self._limit.expired():
                raise
            return False
        finally:
            self._limit = None
        return True

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """What is raised inside and is no `SinkError` is a bug of the sink: the log says where, once a minute."""
        try:
            yield
        except SinkError:
            raise
        except Exception as exc:
            if (more := self._bugs.admit(type(exc).__name__, time.monotonic())) is not None:
                before = f" (and {more} times like this since the last one that was told)" if more else ""
                _log.error(
                    "sink %s failed by a bug of its own: %s%s", self._sink.name, said(exc), before, exc_info=True
                )
            raise

    async def _through(self, batch: Sequence[Event], *, in_turn: bool = False) -> None:
        if self.gone is not None:
            raise DestinationGone(str(self.gone), sink=self._sink.name)
        self.breaker.under_way += 1
        try:
            with self._watched(), self.standing.delivering(), bearable(self._sink.name):
                if in_turn and self._in_turn is not None:
                    if not await self._in_turn.deliver_in_turn(batch[0]):
                        raise ToldBefore("it was delivered before", sink=self._sink.name)
                else:
                    await self._sink.deliver(batch)
        except DestinationGone as gone:
            self.gone = gone
            raise
        finally:
            self.breaker.under_way -= 1
