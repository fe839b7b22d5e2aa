"""How late the event loop is: a timer is set, and the time by which it comes too late is the lag."""

from __future__ import annotations

import asyncio

from pricestreamd.model.histogram import Histogram

# Four looks a second find every hang of a quarter of a second, and cost an idle daemon nothing that can be measured.
INTERVAL_SECONDS = 0.25


class LoopLag:
    """Lag of the running loop in seconds: `histogram` of all looks, `last` and `max` of them."""

    __slots__ = ("_peak", "histogram", "last", "max")

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.last = 0.0
        self.max = 0.0
        self._peak = 0.0

    def observe(self, seconds: float) -> None:
        """Take one look. A timer that came early was not late."""
        lag = max(0.0, seconds)
        self.histogram.observe(lag)
        self.last = lag
        self.max = max(self.max, lag)
        self._peak = max(self._peak, lag)

    def take_peak(self) -> float:
        """The largest lag since the last call of this; for whoever reports at intervals (one caller only)."""
        peak, self._peak = self._peak, 0.0
        return peak

    async def run(self, interval: float = INTERVAL_SECONDS) -> None:
        """Look every `interval` seconds until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + interval
            await asyncio.sleep(interval)
            self.observe(loop.time() - due)
