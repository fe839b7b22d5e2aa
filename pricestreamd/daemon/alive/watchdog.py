"""The watchdogs: who ends a daemon that hangs, so that it is started again, and what keeps them quiet.

systemd has one of its own and aborts a service that does not ping it. Elsewhere (supervisor, a container, a terminal)
the daemon watches itself by `LoopGuard`. Both are kept quiet from the event loop, and only while every task of ours is
alive (`vitals`). Whoever ends the process does so by SIGABRT, to which `faulthandler` answers with the stacks of all
threads on stderr.

A guard must not mistake a pause for a hang: a process that is stopped and continued, or a machine that was asleep, has
done nothing wrong. So the guard's thread counts its own looks instead of reading a clock. It needs the interpreter to
look, though, which a call into C may keep for itself (a regular expression that never ends). Against that there is a
timer of the kernel that counts the processor time of this process, which does not pass while it is stopped: when it
runs out, the stacks are written and the process ended without the interpreter's help. Nobody ends a call into C that
keeps the interpreter, and waits, and uses no processor: no such call is known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from pricestreamd.daemon.alive.sdnotify import PINGS_PER_PERIOD, ServiceManager
from pricestreamd.daemon.alive.vitals import Vitals

VARIABLE = "PRICESTREAM_WATCHDOG_SECONDS"
GUARD_SECONDS = 30.0
# The guard looks so often in its time: it is late by one look at most.
LOOKS = 10
# Processor time of other threads (a database, a compression) counts, too, on as many processors as there are.
PROCESSOR_SHARE = float(max(2, os.cpu_count() or 1))
# What the last words may take: a stderr that nobody reads must not keep alive what has to end.
LAST_WORDS_SECONDS = 5.0

_log = logging.getLogger(__name__)


class LoopGuard:
    """Aborts the process when `beat` was not called for `seconds`; None: never. Works between entering and leaving."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._beats = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self.seconds is not None:
            leave_stacks()
            with contextlib.suppress(ValueError, OSError, AttributeError, RuntimeError):  # no stderr: no stacks
                # Passed on to what was there before: the default, which is the end.
                faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)
            self._over.clear()
            self.beat()
            self._thread = threading.Thread(target=self._watch, args=(self.seconds,), name="loop guard", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._over.set()
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.unregister(signal.SIGPROF)
            self._thread.join()
            self._thread = None

    def beat(self) -> None:
        """All is well."""
        if self.seconds is not None:
            self._beats += 1
            signal.setitimer(signal.ITIMER_PROF, self.seconds * PROCESSOR_SHARE)

    def _watch(self, seconds: float) -> None:
        """In the thread: look, and count the looks since the last beat."""
        seen, missed = self._beats, 0
        while not self._over.wait(seconds / LOOKS):
            missed = missed + 1 if self._beats == seen else 0
            seen = self._beats
            if missed >= LOOKS:
                _abort(f"no sign of life from the event loop for {seconds:g} s: aborting\n")


class Watchdog:
    """Keeps the watchdogs quiet while `vitals` are good: `guard`, and that of `manager` where it has one."""

    def __init__(self, manager: ServiceManager, guard: LoopGuard, vitals: Vitals) -> None:
        self._manager = manager
        self._guard = guard
        self._vitals = vitals
        self._hanging: list[str] = []

    @property
    def every(self) -> float | None:
        """Seconds between two signs of life; None where nobody wants any."""
        periods = [period for period in (self._manager.watchdog_seconds, self._guard.seconds) if period is not None]
        return min(periods) / PINGS_PER_PERIOD if periods else None

    async def run(self) -> None:
        """Give signs of life, until cancelled. To be run in the event loop, so that a loop that hangs gives none."""
        every = self.every
        while every is not None:
            self.look(every)
            await asyncio.sleep(every)

    def look(self, seconds: float) -> None:
        """See how everybody is, and say so. Called every so many `seconds`."""
        hanging = self._vitals.look(seconds)
        if not hanging:
            if self._manager.watchdog_seconds is not None:
                self._manager.alive()
            self._guard.beat()
        elif hanging != self._hanging:
            names = ", ".join(hanging)
            _log.critical("%s: hangs, so the watchdog is told nothing more", names, extra={"action": "task_hangs"})
        self._hanging = hanging


def guard_seconds(environ: Mapping[str, str], *, watched: bool) -> float | None:
    """How long the loop may stand still: what `$PRICESTREAM_WATCHDOG_SECONDS` says, 0 being for ever.

    Without it 30 s, unless the process is `watched` by its service manager already.
    """
    text = environ.get(VARIABLE, "").strip()
    if text:
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if 0 <= seconds < math.inf:
            return seconds or None
        _log.warning("%s: expected a number of seconds, or 0 for never, got %.40r: it is ignored", VARIABLE, text)
    return None if watched else GUARD_SECONDS


def leave_stacks() -> None:
    """From now on an abort, whoever asks for it, and a crash leave the stacks of all threads on stderr."""
    with contextlib.suppress(ValueError, OSError, AttributeError, RuntimeError):  # no stderr: nowhere to leave them
        if not faulthandler.is_enabled():
            faulthandler.enable()


def _abort(message: str) -> None:
    """End the process, with its stacks."""
    # Its default is the end, too, and it needs nobody's help.
    signal.setitimer(signal.ITIMER_REAL, LAST_WORDS_SECONDS)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), message.encode())
    os.abort()
