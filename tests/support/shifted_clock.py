"""Clocks that a test sets for a process of its own: the wall clock only, or those that go on while a machine sleeps.

    clock = ShiftedClock(folder)
    async with DaemonProcess(folder, config, **clock.environ):
        clock.set_wall(3600)

A process with that environment runs a `sitecustomize` that stands between Python and the system's `time`, `monotonic`
and the monotonic clock that counts suspended time, before anything else is imported; nothing of the program is changed. What libraries written in C ask of the
system themselves is not shifted.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import TypedDict

_CUSTOM = """\
import mmap, os, struct, time
with open(os.environ["SHIFTED_CLOCK"], "rb") as file:
    shifts = mmap.mmap(file.fileno(), 24, access=mmap.ACCESS_READ)

def shifted(clock, place):
    return lambda: clock() + struct.unpack_from("d", shifts, place)[0]

def clock_gettime(clock, truly=time.clock_gettime):
    return truly(clock) + (struct.unpack_from("d", shifts, 16)[0] if clock == time.CLOCK_BOOTTIME else 0.0)

time.time, time.monotonic, time.clock_gettime = shifted(time.time, 0), shifted(time.monotonic, 8), clock_gettime
"""


class ClockEnviron(TypedDict):
    """Makes the clocks of a process ours."""

    SHIFTED_CLOCK: str
    PYTHONPATH: str


class ShiftedClock:
    """The clocks of every process with this `environ`; `folder` is for its files. Shifts are seconds from the truth."""

    def __init__(self, folder: Path) -> None:
        self._site = folder / "shifted-clock"
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_CUSTOM)
        path = self._site / "shifts"
        path.write_bytes(bytes(24))
        with path.open("r+b") as file:
            self._shifts = mmap.mmap(file.fileno(), 24)
        self._slept = 0.0
        self.environ: ClockEnviron = {
            "SHIFTED_CLOCK": str(path),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self._site), os.environ.get("PYTHONPATH")))),
        }

    def set_wall(self, shift: float) -> None:
        """Set the wall clock; what measures time goes on."""
        struct.pack_into("d", self._shifts, 0, shift + self._slept)

    def pass_over(self, seconds: float) -> None:
        """Let all clocks jump ahead: so much time is over in a moment."""
        self._sleep(seconds, 0, 8, 16)

    def suspend(self, seconds: float) -> None:
        """The same, but timers have stood still, as those of Linux do while the machine is suspended."""
        self._sleep(seconds, 0, 16)

    def _sleep(self, seconds: float, *places: int) -> None:
        self._slept += seconds
        for place in places:
            (before,) = struct.unpack_from("d", self._shifts, place)
            struct.pack_into("d", self._shifts, place, before + seconds)
