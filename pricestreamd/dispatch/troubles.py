"""What is said of listeners that fail, are slow, or fall behind: counted always, logged at most once a minute."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pricestreamd.dispatch.listener import SLOW_SECONDS, Listener
from pricestreamd.model.events import Event, PriceError
from pricestreamd.model.sampling import OncePer

if TYPE_CHECKING:
    from pricestreamd.dispatch.dispatcher import EventDispatcher

_log = logging.getLogger(__name__)


class Troubles:
    """Where routes and queues report their listeners. `monotonic` gives seconds; `interruptible`: of the dispatcher."""

    def __init__(
        self, dispatcher: EventDispatcher, monotonic: Callable[[], float], *, interruptible: bool = True
    ) -> None:
        self._dispatcher = dispatcher
        self._monotonic = monotonic
        self._interruptible = interruptible
        self._said = OncePer(60.0)
        self._telling = False

    def is_ctrl_c(self, exc: BaseException) -> bool:
        """Whether `exc` is no failure of the listener in which it came up, but somebody at the terminal."""
        return self._interruptible and isinstance(exc, KeyboardInterrupt)

    def failed(self, listener: Listener, event: Event, exc: BaseException) -> None:
        """Count, log and tell of a listener that raised.

        A failure on `price.error`, or while one is being told of, is only logged: otherwise it would go round for ever.
        """
        listener.failed()
        what = f"listener {listener.name} failed on {event.event}: {_text_of(exc)}"
        held = self._said.admit(("failed", listener.id, type(exc)), self._monotonic())
        if held is not None:
            _log.error("%s (%s)", what, event.id, exc_info=exc, extra={"suppressed": held})
        if event.event != PriceError.event and not self._telling:
            self._telling = True
            try:
                self._dispatcher.error("listener_failed", what)
            finally:
                self._telling = False

    def slow(self, listener: Listener, event: Event, seconds: float) -> None:
        """Count and log a call that took long."""
        listener.slow += 1
        held = self._said.admit(("slow", listener.id), self._monotonic())
        if held is not None:
            _log.warning(
                "%s took %.1f ms on %s (limit %d ms): %s",
                listener.name if listener.ours else f"listener {listener.name}",
                seconds * 1000,
                event.event,
                SLOW_SECONDS * 1000,
                f"{len(listener.queue)} events wait in its queue"
                if listener.queue is not None
                # No function of the user's, who could do nothing about it.
                else "the machine is slow, or something held it up"
                if listener.ours
                else "make it a coroutine function, or hand the work on",
                extra={"suppressed": held},
            )

    def overflowed(self, listener: Listener) -> None:
        """Count and log an event that found the queue of its coroutine listener full."""
        listener.dropped += 1
        held = self._said.admit(("overflow", listener.id), self._monotonic())
        if held is not None:
            _log.warning(
                "listener %s falls behind: its queue is full, and events are dropped (%d so far)",
                listener.name,
                listener.dropped,
                extra={"suppressed": held},
            )


def _text_of(exc: BaseException) -> str:
    try:
        return repr(exc)
    except Exception:  # noqa: BLE001 - a listener's exception may be broken itself, and must not get out for that
        return type(exc).__name__
