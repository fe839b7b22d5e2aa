"""The alarm clock of the alerts: wakes the engine when a hold is due, and notices that nobody was awake meanwhile."""

from __future__ import annotations

import asyncio
import functools
import logging
import time

from pricestreamd.model.vigil import Vigil
from pricestreamd.stream.engine import StreamEngine

# While something is waited for there is a turn at least so often.
_TURN_SECONDS = 1.0
# Goes on while the machine is suspended, which `time.monotonic` need not do.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_log = logging.getLogger(__name__)


class Alarm:
    """Calls `engine.on_time` when it is due, between `start` and `stop`.

    A time in which this process, or its machine, slept is a gap of all symbols, before any deadline is looked at.
    """

    def __init__(self, engine: StreamEngine) -> None:
        self._engine = engine
        self._timer: asyncio.TimerHandle | None = None
        self._is_running = False
        self._vigil = Vigil(functools.partial(time.clock_gettime, _ELAPSED), time.time)
        engine.board.ledger.deadlines.on_earlier = self._set
        engine.alerts.before_deadlines = self._look

    def start(self) -> None:
        """Wake the engine from now on."""
        self._is_running = True
        self._set(self._engine.next_deadline())

    def stop(self) -> None:
        """Wake it no more."""
        self._is_running = False
        self._set(None)

    def _set(self, due: float | None) -> None:
        """Turn when the next deadline is due, and not for the one before it; None: there is none."""
        was_waiting, self._timer = self._timer, None
        if was_waiting is not None:
            was_waiting.cancel()
        if due is None or not self._is_running:
            self._vigil.end()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # A program that feeds ticks without a loop has no timers: such alerts fire at the next look.
            self._vigil.end()
            return
        if was_waiting is None:
            self._vigil.begin()
        self._timer = loop.call_later(min(_TURN_SECONDS, max(0.0, due - time.monotonic())), self._turn)

    def _turn(self) -> None:
        self._look()
        self._timer = None
        self._engine.on_time(time.monotonic())
        self._set(self._engine.next_deadline())

    def _look(self) -> None:
        slept = self._vigil.look()
        if slept is not None:
            _log.info(
                "nobody watched prices for %.0f s: this process was stopped, or its machine slept",
                slept.end - slept.begin,
            )
            self._engine.board.mark_gap(list(self._engine.board.by_symbol), slept.begin, slept.end)
