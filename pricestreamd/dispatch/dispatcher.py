"""The event dispatcher: who hears what, in which order, and nobody harms a neighbour.

Plain functions run inline in the order of their priority. Coroutine functions have a queue and a worker of their own.
A listener that raises is logged by name, counted and told of in a `price.error`; it stops nobody.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from pricestreamd.dispatch.chain import Chain
from pricestreamd.dispatch.listener import Function, Listener, ListenerId, name_of, waits
from pricestreamd.dispatch.listener_queue import ListenerQueue
from pricestreamd.dispatch.route import Route
from pricestreamd.dispatch.troubles import Troubles
from pricestreamd.model.events import CustomEvent, Event, PriceError, Run
from pricestreamd.model.interface import DispatcherStats
from pricestreamd.model.secret import redact

_log = logging.getLogger(__name__)
_F = TypeVar("_F", bound=Function)


class EventDispatcher:
    """Hands events to listeners. `run` names this life of the stream in event ids.

    `clock` gives epoch seconds, for events that have no time of their own; `monotonic` seconds for timers.
    `interruptible`: Ctrl-C may come up in a listener as a KeyboardInterrupt, and passes. Where a program hears of it in
    another way, one that a listener raises is a failure like any other.
    """

    def __init__(
        self,
        run: Run | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        interruptible: bool = True,
    ) -> None:
        self.run = run or Run(secrets.token_hex(4))
        self.clock = clock
        self._monotonic = monotonic
        self._listeners: dict[ListenerId, Listener] = {}
        self._routes: dict[str, Route] = {}
        self._queues: list[ListenerQueue] = []
        self._registered = 0
        self.troubles = Troubles(self, monotonic, interruptible=interruptible)

    # --- registration

    @overload
    def on(self, event: str, listener: Function, *, priority: int = 0) -> ListenerId: ...

    @overload
    def on(self, event: str, listener: None = None, *, priority: int = 0) -> Callable[[_F], _F]: ...

    def on(self, event: str, listener: Function | None = None, *, priority: int = 0) -> ListenerId | Callable[[_F], _F]:
        """Call `listener` with every event named `event`, of the family `event` (`price.*`), or all (`*`).

        Higher priority first, ties in the order of registration. Without `listener`, a decorator.

        Raises:
            TypeError: `event` is no text, or `listener` no function.
            ValueError: a `*` elsewhere than alone or at the end of a family.
        """
        _check_pattern(event)
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
        _check_pattern(event)
        if listener is None:
            return self._decorator(functools.partial(self.once, event, priority=priority))
        return self._add(event, listener, priority=priority, once=True).id

    def attach(
        self,
        event: str,
        listener: Function,
        *,
        name: str,
        priority: int = 0,
        excluding: Iterable[str] = (),
        ours: bool = False,
    ) -> ListenerId:
        """As `on`, for the daemon's own parts: `clear` and `remove_all_listeners` leave them; `off` removes them.

        `excluding` names events that a family or `*` would bring and that are not wanted. `ours`: it is no function of
        the user's, so nobody is told to change it.
        """
        _check_pattern(event)
        return self._add(
            event, listener, priority=priority, name=name, attached=True, excluding=frozenset(excluding), ours=ours
        ).id

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
        ours: bool = False,
        excluding: frozenset[str] = frozenset(),
        once: bool = False,
    ) -> Listener:
        if not callable(function):
            raise TypeError(f"a listener is a function, not {type(function).__name__}")
        self._registered += 1
        listener = Listener(
            id=ListenerId(f"{pattern}#{self._registered}"),
            pattern=pattern,
            function=function,
            call=function,
            priority=priority,
            order=self._registered,
            name=name or name_of(function),
            attached=attached,
            ours=ours,
            excluding=excluding,
            monotonic=self._monotonic,
        )
        if waits(function):
            queue = listener.queue = ListenerQueue(listener, self.troubles)
            listener.call = queue.offer
            # A queue whose listener has gone is kept until it has handed over what it holds.
            self._queues = [*(known for known in self._queues if known.needed), queue]
        if once:
            listener.call = functools.partial(self._call_once, listener, listener.call)
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
            route = self._routes[name] = Route(name, self.troubles)
            route.listeners = self._listeners_of(name)
        return route

    def heard(self, name: str) -> bool:
        """Whether anybody listens to the event `name` now."""
        return bool(self.route(name).listeners)

    def dispatch(self, event: Event | str, data: Mapping[str, Any] | None = None) -> None:
        """Hand out a record, or an event of your own: `dispatch("my.event", {"answer": 42})`.

        A number under `timestamp` is the time of an event of your own; without one that is now.
        """
        if isinstance(event, str):
            event = CustomEvent.of(self.run, event, data or {}, self.clock)
        self.route(event.event).send(event)

    def error(self, error: str, message: str, **fields: Any) -> None:
        """Dispatch a `price.error`; `fields` may hold `severity`, `feed`, `symbol`, `fatal` and `timestamp`.

        Known secrets in `message` are masked: it goes out of the house.
        """
        self.dispatch(
            PriceError(
                run=self.run.name,
                number=self.run.next_number(),
                timestamp=fields.pop("timestamp", None) or self.clock(),
                severity=fields.pop("severity", "warning"),
                error=error,
                message=redact(message),
                **fields,
            )
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
        """Let the queues of coroutine listeners run empty for `timeout` seconds; return how many events were left.

        What one listener dispatches meanwhile counts for the others, too. A listener that is still busy then is
        cancelled, and has a second for its clean-up.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (workers := self._workers()) and (remaining := deadline - loop.time()) > 0:
            await asyncio.wait(workers, timeout=remaining)
        left = sum(await asyncio.gather(*(queue.abandon() for queue in self._queues)))
        if left:
            _log.warning("%d events were not handed to coroutine listeners within %.1f s", left, timeout)
        return left

    def _workers(self) -> list[asyncio.Task[None]]:
        return [worker for queue in self._queues if (worker := queue.work()) is not None]

    async def __aenter__(self) -> EventDispatcher:  # noqa: PYI034 - not made to be subclassed
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str):
        raise TypeError(f"an event is named by text, such as 'price.update', not by {type(pattern).__name__}")
    if "*" in pattern.removesuffix(".*") and pattern != "*":
        raise ValueError(f"{pattern!r} is no event: use a name, a family such as 'price.*', or '*'")
