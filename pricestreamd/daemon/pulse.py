"""The pulse: a line of statistics in the log, a status for the service manager, a ping for its watchdog."""

from __future__ import annotations

import asyncio
import logging
import time

from pricestreamd.daemon.sdnotify import STATUS_SECONDS, ServiceManager
from pricestreamd.telemetry import statistics
from pricestreamd.telemetry.logs import LogControl
from pricestreamd.telemetry.statistics import Snapshot
from pricestreamd.telemetry.view import MetricsView

_log = logging.getLogger(__name__)


class Pulse:
    """Tells at intervals how the daemon is. `stats_interval` in seconds; 0 logs no statistics."""

    def __init__(self, view: MetricsView, manager: ServiceManager, logs: LogControl, stats_interval: float) -> None:
        self._view = view
        self._manager = manager
        self._logs = logs
        self._stats_interval = stats_interval

    async def statistics(self) -> None:
        """A line in the log every `stats_interval`, until cancelled."""
        before = self._look()
        while self._stats_interval:
            await asyncio.sleep(self._stats_interval)
            after = self._look()
            line = statistics.compare(before, after)
            _log.info("%s", line.message, extra=line.fields())
            before = after

    async def status(self) -> None:
        """The state of the feeds for `systemctl status`, every few seconds, until cancelled."""
        updates, at = 0, time.monotonic()
        while self._manager.listens:
            await asyncio.sleep(STATUS_SECONDS)
            stats = self._view.service.get_stats()
            states = [feed.report()["state"] for feed in self._view.feeds.values()]
            now = time.monotonic()
            per_second = (stats["updates_received"] - updates) / (now - at)
            updates, at = stats["updates_received"], now
            queued = sum(sink.queued for sink in self._view.sinks.values())
            self._manager.status(
                f"{states.count('live')}/{len(states)} feeds live, "
                f"{statistics.rate(per_second)} updates/s, {queued} queued"
            )

    async def watchdog(self) -> None:
        """Ping while the loop turns. A supervised task that dies ends the process by itself."""
        await self._manager.keep_alive(lambda: True)

    def _look(self) -> Snapshot:
        return statistics.take(
            self._view,
            now=time.monotonic(),
            rss_bytes=statistics.process_rss_bytes(),
            log_lines_lost=self._logs.dropped,
        )
