"""The event dispatcher: who hears what, in which order, and nobody harms a neighbour.

Plain functions run inline in the order of their priority. Coroutine functions have a queue and a worker of their own.
A listener that raises is logged by name, counted and told of in a `price.error`; it stops nobody.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from pricestreamd.dispatch.chain import Chain
from pricestreamd.dispatch.listener import Function, Listener, ListenerId, ListenerQueue
from pricestreamd.dispatch.route import SLOW_SECONDS, Route
from pricestreamd.model.events import CustomEvent, Event, PriceError, Run
from pricestreamd.model.histogram import Histogram
from pricestreamd.model.interface import DispatcherStats
from pricestreamd.model.sampling import OncePer

_log = logging.getLogger(__name__)
_F = TypeVar("_F", bound=Function)


class EventDispatcher:
    """Hands events to listeners. `run` names this life of the stream in event ids; `clock` gives epoch seconds."""

    def __init__(self, run: Run | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.run = run or Run(secrets.token_hex(4))
        self._clock = clock
        self._listeners: dict[ListenerId, Listener] = {}
        self._routes: dict[str, Route] = {}
        self._queues: list[ListenerQueue] = []
        self._registered = 0
        self._said = OncePer(60.0)

    # --- registration

    @overload
    def on(self, event: str, listener: Function, *, priority: int = 0) -> ListenerId: ...

    @overload
    def on(self, event: str, listener: None = None, *, priority: int = 0) -> Callable[[_F], _F]: ...

    def on(self, event: str, listener: Function | None = None, *, priority: int = 0) -> ListenerId | Callable[[_F], _F]:
        """Call `listener` with every event named `event`, of the family `event` (`price.*`), or all (`*`).

        Higher priority first, ties in the order of registration. Without `listener`, a decorator.
        """
        if listener is None:
            return self._decorator(functools.partial(self.on, event, priority=priority))
        return self._add(event, listener, priority=priority).id

    @overload
    def once(self, event: str, listener: Function, *, priority: int = 0) -> ListenerId: ...

    @overload
    def once(self, event: str, listener: None = None, *, priority: int = 0) -> Callable[[_F], _F]: ...

    def once(
        self, event: str, listener: Function | None = None, *, priority: int = 0
    ) -> ListenerId | Callable[[_F], _F]:
        """As `on`, for the next event only."""
        if listener is None:
            return self._decorator(functools.partial(self.once, event, priority=priority))
        return self._add(event, listener, priority=priority, once=True).id

    def attach(self, event: str, listener: Function, *, name: str, priority: int = 0) -> ListenerId:
        """As `on`, for the daemon's own parts: `clear` and `remove_all_listeners` leave them; `off` removes them."""
        return self._add(event, listener, priority=priority, name=name, attached=True).id

    def chain(self, event: str) -> Chain:
        """Begin a chain of steps for `event`."""
        return Chain(self, event)

    def off(self, listener: ListenerId | Function) -> bool:
        """Remove a registration by its id, or all registrations of a function. False: there was none."""
        gone = [
            known
            for known in self._listeners.values()
            if known.id == listener or known.function is listener or known.function == listener
        ]
        return self._remove(gone)

    def remove_all_listeners(self, event: str) -> None:
        """Remove every listener registered for exactly `event` (a name, a family, or `*`)."""
        self._remove([known for known in self._listeners.values() if known.pattern == event and not known.attached])

    def clear(self) -> None:
        """Remove every listener that was not attached by the daemon itself."""
        self._remove([known for known in self._listeners.values() if not known.attached])

    @staticmethod
    def _decorator(register: Callable[[_F], object]) -> Callable[[_F], _F]:
        def decorate(function: _F) -> _F:
            register(function)
            return function

        return decorate

    def _add(
        self,
        pattern: str,
        function: Function,
        *,
        priority: int,
        name: str | None = None,
        attached: bool = False,
        once: bool = False,
    ) -> Listener:
        if not callable(function):
            raise TypeError(f"a listener is a function, not {type(function).__name__}")
        self._registered += 1
        queue: ListenerQueue | None = None
        call = function
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            queue = ListenerQueue(function, self.listener_failed)
            call = queue.offer
        listener = Listener(
            id=ListenerId(f"{pattern}#{self._registered}"),
            pattern=pattern,
            function=function,
            call=call,
            priority=priority,
            order=self._registered,
            name=name or _name_of(function),
            attached=attached,
            queue=queue,
            seconds=Histogram(),
        )
        if queue is not None:
            queue.listener = listener
            self._queues.append(queue)
        if once:
            listener.call = functools.partial(self._call_once, listener, call)
        self._listeners[listener.id] = listener
        self._rebuild()
        return listener

    def _call_once(self, listener: Listener, call: Function, event: Event) -> None:
        if listener.active:
            self._remove([listener])
            call(event)

    def _remove(self, listeners: list[Listener]) -> bool:
        for listener in listeners:
            listener.active = False
            del self._listeners[listener.id]
        # A queue whose listener has gone is kept until it has handed over what it holds.
        self._queues = [queue for queue in self._queues if queue.busy or (queue.listener and queue.listener.active)]
        self._rebuild()
        return bool(listeners)

    def _rebuild(self) -> None:
        for route in self._routes.values():
            route.listeners = self._listeners_of(route.name)

    def _listeners_of(self, name: str) -> tuple[Listener, ...]:
        heard = [listener for listener in self._listeners.values() if listener.matches(name)]
        return tuple(sorted(heard, key=lambda listener: (-listener.priority, listener.order)))

    # --- handing out

    def route(self, name: str) -> Route:
        """The way of the event `name`: for who detects it so often that finding the way each time would cost."""
        route = self._routes.get(name)
        if route is None:
            route = self._routes[name] = Route(name, self)
            route.listeners = self._listeners_of(name)
        return route

    def heard(self, name: str) -> bool:
        """Whether anybody listens to the event `name` now."""
        return bool(self.route(name).listeners)

    def dispatch(self, event: Event | str, data: Mapping[str, Any] | None = None) -> None:
        """Hand out a record, or an event of your own: `dispatch("my.event", {"answer": 42})`."""
        if isinstance(event, str):
            event = CustomEvent(self.run.name, self.run.next_number(), self._clock(), event, dict(data or {}))
        self.route(event.event).send(event)

    def error(self, error: str, message: str, **fields: Any) -> None:
        """Dispatch a `price.error`; `fields` may hold `severity`, `feed`, `symbol`, `fatal` and `timestamp`."""
        self.dispatch(
            PriceError(
                run=self.run.name,
                number=self.run.next_number(),
                timestamp=fields.pop("timestamp", None) or self._clock(),
                severity=fields.pop("severity", "warning"),
                error=error,
                message=message,
                **fields,
            )
        )

    def listener_failed(self, listener: Listener, event: Event, exc: BaseException) -> None:
        """Count, log and tell of a listener that raised. A failing listener of `price.error` is only logged."""
        listener.failed()
        held = self._said.admit(("failed", listener.id, type(exc)), time.monotonic())
        if held is not None:
            _log.error(
                "listener %s failed on %s %s: %r",
                listener.name,
                event.event,
                event.id,
                exc,
                exc_info=exc,
                extra={"suppressed": held},
            )
        if event.event != PriceError.event:
            self.error("listener_failed", f"listener {listener.name} failed on {event.event}: {exc!r}")

    def listener_was_slow(self, listener: Listener, event: Event, seconds: float) -> None:
        """Count a call that held up the stream; log it at most once a minute."""
        listener.slow += 1
        held = self._said.admit(("slow", listener.id), time.monotonic())
        if held is not None:
            _log.warning(
                "listener %s took %.1f ms on %s (limit %d ms): make it a coroutine function, or hand the work on",
                listener.name,
                seconds * 1000,
                event.event,
                SLOW_SECONDS * 1000,
                extra={"suppressed": held},
            )

    # --- statistics and end

    @property
    def event_counts(self) -> dict[str, int]:
        """How often each event was detected, heard or not."""
        return {name: route.count for name, route in self._routes.items() if route.count}

    def listeners(self) -> list[Listener]:
        """All registrations, with their counters."""
        return list(self._listeners.values())

    def get_stats(self) -> DispatcherStats:
        """Totals, and the event dispatched most often."""
        counts = self.event_counts
        most = max(counts.items(), key=lambda item: item[1], default=None)
        return {
            "total_dispatches": sum(counts.values()),
            "total_listeners": len(self._listeners),
            "events_registered": len({listener.pattern for listener in self._listeners.values()}),
            "event_counts": counts,
            "most_dispatched": {"event": most[0], "count": most[1]} if most else None,
        }

    async def aclose(self, timeout: float = 5.0) -> int:
        """Let the queues of coroutine listeners run empty for `timeout` seconds; return how many events were left."""
        left = sum(await asyncio.gather(*(queue.close(timeout) for queue in self._queues)))
        if left:
            _log.warning("%d events were not handed to coroutine listeners within %.1f s", left, timeout)
        return left

    async def __aenter__(self) -> EventDispatcher:  # noqa: PYI034 - not made to be subclassed
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _name_of(function: Function) -> str:
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{module}.{name}"
