"""What sinks owe, looked at now and then, and told of where nobody is there to deliver it."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Mapping
from contextlib import suppress

from pricestreamd.daemon.outlets import Outlets
from pricestreamd.model.errors import StateError
from pricestreamd.state.rows import Backlog
from pricestreamd.state.store import StateStore

LOOK_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Owing:
    """Of the outbox in `store`, and of spools, for the sinks of `outlets`."""

    def __init__(self, store: StateStore, outlets: Outlets) -> None:
        self.backlogs: Mapping[str, Backlog] = {}
        """Sink to what it owes, as of a few seconds ago, without what the sink itself has put off."""
        self._store = store
        self._lanes = outlets.lanes
        self._left_spools = outlets.left_spools

    async def watch(self) -> None:
        """Look now and then, until cancelled."""
        try:
            await self._watch()
        finally:
            self._left_spools.close()

    async def _watch(self) -> None:
        known: set[str] = set()
        while True:
            with suppress(StateError):
                found = await self._store.backlogs()
                lanes = self._lanes
                self.backlogs = {
                    name: lanes[name].owed(backlog) if name in lanes else backlog for name, backlog in found.items()
                }
            unclaimed = self.backlogs.keys() - self._lanes.keys()
            for name in sorted(unclaimed - known):
                pending = self.backlogs[name].pending
                _log.warning(
                    "%d deliveries wait for sink %s, which is not configured: configure it again, or drop them: "
                    "pricestreamd outbox drop --sink %s",
                    pending,
                    name,
                    shlex.quote(name),
                )
            known = unclaimed
            await self._left_spools.look()
            await asyncio.sleep(LOOK_SECONDS)
