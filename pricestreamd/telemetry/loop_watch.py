"""Who holds up the event loop: a thread sees that the loop does not turn, and looks where it stands.

Now and then the thread looks at the loop: four times a second, twenty times while the loop has work. One that waits for
events is well, and pays nothing. Any other is asked for a sign of life; if none comes in time, the loop is inside
something that does not return, and the stack of its thread says what. One warning tells of it, when it is over or has
lasted a second, at most once a minute for each place.

The seconds are sure: the loop stood still for at least so long. What holds it for the limit and the time between two
looks is always seen; what holds it for less is seen sooner or later, if it does so again and again. A call into C that
lets no other thread of the process run is seen by nobody in it but afterwards, as lag.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pricestreamd.model.sampling import OncePer
from pricestreamd.model.secret import redact

LIMIT_SECONDS = 0.1
# A look takes a tenth of a millisecond: in an idle daemon most of what it would do at all.
IDLE_LOOK_SECONDS = 0.25
BUSY_LOOK_SECONDS = 0.05
BUSY_SHARE = 0.005
PATIENCE_SECONDS = 1.0
FRAMES = 12
STACK_CHARACTERS = 4_000

_log = logging.getLogger(__name__)
# Code that is called from everywhere does not tell one place from another.
_COMMON = (sysconfig.get_path("stdlib") + os.sep, sysconfig.get_path("purelib") + os.sep, "<frozen ")
# The two innermost functions of a loop that has nothing to do.
_IDLE = ("_run_once", "select")


class LoopWatch:
    """Watches the loop in which `start` is called, until `stop`; tells of more than `limit` seconds.

    `clock` is monotonic; it decides when a place may be named again.
    """

    def __init__(self, *, limit: float = LIMIT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._said = OncePer(60.0)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the running loop from now on."""
        self._over.clear()
        watched = threading.get_ident()
        args = asyncio.get_running_loop(), watched, time.pthread_getcpuclockid(watched)
        self._thread = threading.Thread(target=self._watch, args=args, name="loop watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer. Stopping twice, or without having started, is no error."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)
        self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self, loop: asyncio.AbstractEventLoop, watched: int, clock: int) -> None:
        """In the thread: look, until it is over or the loop is gone. `clock` is that of the loop's processor time."""
        pause, spent = IDLE_LOOK_SECONDS, 0.0
        while not self._over.wait(pause):
            try:
                before, spent = spent, time.clock_gettime(clock)
                busy = spent - before > BUSY_SHARE * pause
                pause = BUSY_LOOK_SECONDS if busy else IDLE_LOOK_SECONDS
                if _waits_for_events(watched):
                    continue
                asked = time.monotonic()
                turned = threading.Event()
                loop.call_soon_threadsafe(turned.set)
            except (RuntimeError, OSError):  # the loop is closed; its thread has ended
                return
            if not turned.wait(self._limit) and not self._over.is_set():
                self._held_up(asked, turned, watched)

    def _held_up(self, asked: float, turned: threading.Event, watched: int) -> None:
        stack = _stack_of(watched)
        over = turned.wait(max(0.0, asked + PATIENCE_SECONDS - time.monotonic()))
        told = bool(stack) and self._tell(time.monotonic() - asked, stack, over=over)
        while not over and not self._over.is_set():
            over = turned.wait(BUSY_LOOK_SECONDS)
            if over and told:
                seconds = time.monotonic() - asked
                _log.info("the event loop goes on, after %.2f s", seconds, extra={"action": "loop_goes_on"})

    def _tell(self, seconds: float, stack: traceback.StackSummary, *, over: bool) -> bool:
        """Log it, unless its place was named a short while ago; say whether it was logged."""
        place = next((frame for frame in reversed(stack) if not frame.filename.startswith(_COMMON)), stack[-1])
        held = self._said.admit((place.filename, place.name), self._clock())
        if held is None or not _log.isEnabledFor(logging.WARNING):
            return False
        what = "was held up for" if over else "is held up, so far for"
        args = (what, seconds, place.name, place.filename, place.lineno or 0)
        extra = {"action": "loop_held_up", "seconds": round(seconds, 3), "suppressed": held}
        text = redact("".join(stack.format()).rstrip())[-STACK_CHARACTERS:]
        # With the stack of another thread than the one that logs, which `stack_info=True` would give.
        template = "the event loop %s at least %.2f s by %s (%s:%d)"
        _log.handle(
            _log.makeRecord(_log.name, logging.WARNING, __file__, 0, template, args, None, extra=extra, sinfo=text)
        )
        return True


def _waits_for_events(watched: int) -> bool:
    """Whether the loop has nothing to do: its thread is where it waits for the system."""
    frame = sys._current_frames().get(watched)  # noqa: SLF001 - documented, in spite of its name
    caller = frame.f_back if frame is not None else None
    return frame is not None and caller is not None and (caller.f_code.co_name, frame.f_code.co_name) == _IDLE


def _stack_of(watched: int) -> traceback.StackSummary:
    """Where the thread is, the innermost frame last. The frames are let go of at once, with all that they hold."""
    frame = sys._current_frames().get(watched)  # noqa: SLF001 - as above
    if frame is None:  # without one, `walk_stack` would take ours
        return traceback.StackSummary()
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=FRAMES, lookup_lines=False)
    stack.reverse()
    return stack
