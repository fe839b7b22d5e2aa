"""A chain: steps that hand a value on, registered as one listener."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pricestreamd.dispatch.listener import ListenerId, waits

if TYPE_CHECKING:
    from pricestreamd.dispatch.dispatcher import EventDispatcher

Step = Callable[[Any], Any]


class Chain:
    """Steps for one event. Each gets what the one before returned: `False` stops, `None` passes its input on.

    The first step gets the event record; `to_dict()` gives one to change. An exception stops the chain and goes to
    `catch`, or, without one, to the dispatcher as any listener's failure. With a coroutine function among the steps, or
    as `catch`, the whole chain runs in a queue of its own.
    """

    def __init__(self, dispatcher: EventDispatcher, event: str) -> None:
        self._dispatcher = dispatcher
        self._event = event
        self._steps: list[Step] = []
        self._catch: Step | None = None

    def then(self, step: Step) -> Chain:
        """Add a step."""
        self._steps.append(step)
        return self

    def catch(self, handler: Step) -> Chain:
        """Name who gets the exception of a failing step."""
        self._catch = handler
        return self

    def execute(self, *, priority: int = 0) -> ListenerId:
        """Register the chain; the id is for `off`."""
        functions = [*self._steps, *([self._catch] if self._catch else [])]
        runner = self._runner_that_waits() if any(map(waits, functions)) else self._runner()
        runner.__qualname__ = f"chain({self._event})"
        return self._dispatcher.on(self._event, runner, priority=priority)

    def _runner(self) -> Callable[[Any], None]:
        steps, catch, troubles = tuple(self._steps), self._catch, self._dispatcher.troubles

        def run(value: Any) -> None:
            try:
                for step in steps:
                    result = step(value)
                    if result is False:
                        return
                    value = value if result is None else result
            except BaseException as exc:
                if catch is None or troubles.is_ctrl_c(exc):
                    raise
                catch(exc)

        return run

    def _runner_that_waits(self) -> Callable[[Any], Any]:
        steps, catch = tuple(self._steps), self._catch

        async def call(function: Step, value: Any) -> Any:
            result = function(value)
            return await result if inspect.isawaitable(result) else result

        async def run(value: Any) -> None:
            try:
                for step in steps:
                    result = await call(step, value)
                    if result is False:
                        return
                    value = value if result is None else result
            except (Exception, SystemExit) as exc:
                # What else there is may come from the loop, which ends the worker with it.
                if catch is None:
                    raise
                await call(catch, exc)

        return run
