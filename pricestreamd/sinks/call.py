"""The sink `call`: a function of yours is called with each event, until it returns.

What it returns does not matter. An exception is a failure: the call is made again by the sink's `retry`.

A coroutine function runs in the event loop, as a task of its own. After `timeout` it is cancelled, and has
`GRACE_SECONDS` to end; then the call has failed. A plain function runs in a thread, and cannot be cancelled there.

While a call for an event has not ended, be it in a thread or a coroutine that does not let itself be cancelled, no
second call for that event is made, however long it takes: a slow order must not become two. After its time it is
reported as a failure, and other events are called beside it. When it does end, the next attempt finds what came of it:
it returned, so the event is delivered; or it raised, so it is called again. At most `MOST_HANGING` calls can hang like
this; then nothing more is called until one ends.

The end of the process ends every thread, wherever it is, and a call that was under way is made again by the next run.
So a function must know an event that it has seen already, by its `firing_id`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pricestreamd.dispatch.listener import waits
from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks.base import message_id
from pricestreamd.sinks.bearable import described
from pricestreamd.sinks.function import find_function
from pricestreamd.sinks.settings import CallSinkSettings
from pricestreamd.sinks.trial import TEST_EVENT
from pricestreamd.state.thread import OneThread

MOST_HANGING = 4
# For a coroutine that was cancelled: to clean up, after its time and at the end.
GRACE_SECONDS = 1.0
CLOSE_SECONDS = 0.05
# Calls that ended after their time, of which nobody has asked since; their events were given up meanwhile.
MOST_UNASKED = 100
# Of the text of an exception of somebody else's.
MOST_TEXT = 200
NOT_IN_TEST = "; the event `test` has no symbol, price or firing_id: ask first whether event.event is 'test'"

_Answer = tuple[Any, BaseException | None]


class _Call:
    """A call under way, or one that has ended and whose answer nobody has asked for.

    `until`: the end of its time. `cancellable`: a coroutine of it runs. `cancelled`: it was asked to end.
    """

    def __init__(self, until: float) -> None:
        self.until = until
        self.cancellable = False
        self.cancelled = False
        self.task: asyncio.Task[_Answer]

    @property
    def answer(self) -> _Answer:
        """What came of it, once it has ended."""
        return (None, asyncio.CancelledError()) if self.task.cancelled() else self.task.result()

    async def end_within(self, seconds: float) -> None:
        """Ask it to end, once, and wait for that."""
        if self.cancellable and not self.cancelled:
            self.cancelled = True
            self.task.cancel()
            await asyncio.wait([self.task], timeout=seconds)


class CallSink:
    """Calls the function at `settings.call`.

    Raises:
        FunctionError: it is not there.
    """

    carries = ("*",)
    most_at_once = 1
    concurrent = 4

    def __init__(self, name: str, settings: CallSinkSettings) -> None:
        self.name = name
        self.settings = settings
        self._function: Callable[[Any], Any] = find_function(settings.call)
        self._waits = waits(self._function)
        self._thread: OneThread | None = None
        # By the id of the event: calls that have not ended, or of which nobody knows yet that they have.
        self._calls: dict[str, _Call] = {}

    async def open(self) -> None:
        """Nothing to do: a thread is begun by the first call."""

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Call the function for each event of `batch`, one after the other.

        A call goes on when this is cancelled, and is found by the next delivery of the same event.

        Raises:
            SinkError: a call failed, or has not ended; transient.
        """
        for event in batch:
            await self._called(event)

    async def close(self) -> None:
        """End the coroutines that let themselves be ended, and let go of the thread; a call in there goes on."""
        await asyncio.gather(*(call.end_within(CLOSE_SECONDS) for call in self._calls.values()))
        for key, call in list(self._calls.items()):
            if call.cancelled and call.task.done() and isinstance(call.answer[1], asyncio.CancelledError):
                del self._calls[key]
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    async def _called(self, event: Event) -> None:
        key, seconds, loop = message_id(event), self.settings.timeout, asyncio.get_running_loop()
        call = self._calls.get(key) or self._begin(key, event, loop.time())
        # A plain function may make a coroutine, which has its own time.
        while not call.task.done() and (left := call.until - loop.time()) > 0:
            await asyncio.wait([call.task], timeout=left)
        if not call.task.done():
            await call.end_within(GRACE_SECONDS)
        if not call.task.done():
            stubborn = " although it was cancelled" if call.cancelled else ""
            text = f"has not ended after {seconds:g} s{stubborn}: it is not called again before it does"
            raise SinkError(f"{self.settings.call} {text}", sink=self.name)
        del self._calls[key]
        _, error = call.answer
        if call.cancelled and isinstance(error, asyncio.CancelledError):
            raise SinkError(f"{self.settings.call} was cancelled after {seconds:g} s", sink=self.name) from error
        if error is not None:
            raise self._failure(error, event) from error

    def _begin(self, key: str, event: Event, now: float) -> _Call:
        hanging = sum(call.until <= now and not call.task.done() for call in self._calls.values())
        if hanging >= MOST_HANGING:
            raise SinkError(f"{hanging} calls of {self.settings.call} have not ended: none is begun", sink=self.name)
        if len(self._calls) >= MOST_UNASKED:
            del self._calls[next(key for key, call in self._calls.items() if call.task.done())]
        call = self._calls[key] = _Call(now + self.settings.timeout)
        work = self._in_loop(call, event) if self._waits else self._in_thread(call, event)
        call.task = asyncio.create_task(work, name=f"sink {self.name} call")
        return call

    async def _in_loop(self, call: _Call, event: Event) -> _Answer:
        return await self._awaited(call, lambda: self._function(event))

    async def _in_thread(self, call: _Call, event: Event) -> _Answer:
        if self._thread is None or self._thread.busy:
            if self._thread is not None:
                self._thread.stop()
            self._thread = OneThread(f"sink {self.name}")

        def guarded() -> _Answer:
            try:
                return self._function(event), None
            except BaseException as exc:  # noqa: BLE001 - a function of somebody else's: whatever it raises is a failure
                return None, exc

        answer, error = await self._thread.call(guarded)
        if error is None and inspect.isawaitable(answer):
            # A plain function around a coroutine function, as some decorators make it.
            call.until = asyncio.get_running_loop().time() + self.settings.timeout
            return await self._awaited(call, lambda: answer)
        return answer, error

    async def _awaited(self, call: _Call, begin: Callable[[], Awaitable[Any]]) -> _Answer:
        call.cancellable = True
        try:
            return await begin(), None
        except BaseException as exc:  # noqa: BLE001 - a function of somebody else's: whatever it raises is a failure
            return None, exc

    def _failure(self, error: BaseException, event: Event) -> SinkError:
        looked_for_more = event.event == TEST_EVENT and isinstance(error, AttributeError | KeyError)
        hint = NOT_IN_TEST if looked_for_more else ""
        return SinkError(f"{self.settings.call}: {described(error, MOST_TEXT)}{hint}", sink=self.name)
