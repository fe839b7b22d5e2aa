"""Events in the spool of a sink that is configured no more, or is not durable any more: found, told of, and dropped."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Collection
from pathlib import Path

from pricestreamd.model.errors import StateError
from pricestreamd.state.remedies import explained
from pricestreamd.state.spool import SpoolBusy
from pricestreamd.state.spool_folders import count_waiting, drop_waiting, spooled_sinks
from pricestreamd.state.thread import OneThread

_log = logging.getLogger(__name__)


class LeftSpools:
    """Beside the file `state`. `used` names the sinks that are durable now."""

    def __init__(self, state: Path, used: Callable[[], Collection[str]]) -> None:
        self._state = state
        self._used = used
        self._thread = OneThread("left spools")
        # What was found in those that nobody uses; a folder is read through once.
        self._found: dict[str, int] = {}

    @property
    def waiting(self) -> dict[str, int]:
        """Sink to how many events wait for it, as of the last look."""
        return {sink: count for sink, count in self._found.items() if count and sink not in self._used()}

    async def look(self) -> None:
        """Look for what nobody uses, and tell of what was not known before."""
        try:
            there = await self._thread.call(spooled_sinks, self._state)
            unused = there - set(self._used())
            self._found = {sink: count for sink, count in self._found.items() if sink in unused}
            for sink in sorted(unused - self._found.keys()):
                await self._look_into(sink)
        except OSError as exc:
            _log.debug("spools that are left: %s", exc)

    async def _look_into(self, sink: str) -> None:
        try:
            count, damage = await self._thread.call(count_waiting, self._state, sink)
        except SpoolBusy:
            # The sink that a reload has taken away still delivers from it.
            return
        self._found[sink] = count
        for sentence in damage:
            _log.warning("sink %s: %s", sink, sentence)
        if count:
            _log.warning(
                "%d events wait in the spool of sink %s, and no durable sink of that name is configured: configure it "
                "again, or drop them: pricestreamd outbox drop --sink %s",
                count,
                sink,
                shlex.quote(sink),
                extra={"action": "spool_left"},
            )

    async def drop(self, sink: str) -> int:
        """Forget what waits for `sink`; returns how many events that was. 0 where it is used again.

        Raises:
            StateError: the disk refuses.
        """
        if sink not in self.waiting:
            return 0
        try:
            count = await self._thread.call(drop_waiting, self._state, sink)
        except SpoolBusy:
            return 0
        except OSError as exc:
            raise StateError(explained(self._state, exc)) from exc
        self._found[sink] = 0
        return count

    def close(self) -> None:
        """No more looks come."""
        self._thread.stop()
