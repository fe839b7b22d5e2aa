"""Things to do later, for as long as a connection lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """Calls that are cancelled together."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()
        self._over = False

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call it once."""
        if self._over:
            return
        loop = asyncio.get_running_loop()
        handle: asyncio.TimerHandle

        def due() -> None:
            self._handles.discard(handle)
            call()

        handle = loop.call_later(seconds, due)
        self._handles.add(handle)

    def every(self, seconds: float, call: Callable[[], object]) -> None:
        """Call it again and again, first after `seconds`."""

        def due() -> None:
            self.every(seconds, call)
            call()

        self.later(seconds, due)

    def cancel(self) -> None:
        """Nothing is called any more."""
        self._over = True
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
