"""The pulse: a line of statistics in the log, and a status for the service manager."""

from __future__ import annotations

import asyncio
import logging
import time

from pricestreamd.daemon.alive.sdnotify import STATUS_SECONDS, ServiceManager
from pricestreamd.daemon.alive.status_line import status_line
from pricestreamd.telemetry import statistics
from pricestreamd.telemetry.logs import LogControl
from pricestreamd.telemetry.statistics import Snapshot
from pricestreamd.telemetry.view import MetricsView

# A feed that goes live, or down, is told of after so long at most.
LOOK_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Pulse:
    """Tells at intervals how the daemon is. `stats_interval` in seconds; 0 logs no statistics."""

    def __init__(self, view: MetricsView, manager: ServiceManager, logs: LogControl, stats_interval: float) -> None:
        self._view = view
        self._manager = manager
        self._logs = logs
        self.stats_interval = stats_interval

    async def statistics(self) -> None:
        """A line in the log every `stats_interval`, until cancelled."""
        before = self._look()
        while True:
            await asyncio.sleep(self.stats_interval)
            after = self._look()
            line = statistics.compare(before, after)
            _log.info("%s", line.message, extra=line.fields())
            before = after

    async def status(self) -> None:
        """The state of the feeds for `systemctl status`, every few seconds, and when one changes; until cancelled.

        What is shown at the start (where the daemon serves) stays until a feed has found out how it is.
        """
        updates, at = self._updates(), time.monotonic()
        states: dict[str, str] = {}
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            feeds = {name: feed.report() for name, feed in self._view.feeds.items()}
            before, states = states, {name: feed["state"] for name, feed in feeds.items()}
            now = time.monotonic()
            changed = states != before and set(states.values()) != {"connecting"}
            if not changed and now - at < STATUS_SECONDS:
                continue
            line = status_line(
                feeds,
                market_open=any(feed.market_open for feed in self._view.feeds.values()),
                updates_per_second=(self._updates() - updates) / (now - at),
                alerts=self._view.service.get_stats()["alerts_active"],
                queued=sum(sink.queued for sink in self._view.sinks.values()),
            )
            updates, at = self._updates(), now
            self._manager.status(line, changed=True)

    def _updates(self) -> int:
        return self._view.service.get_stats()["updates_received"]

    def _look(self) -> Snapshot:
        return statistics.take(
            self._view,
            now=time.monotonic(),
            rss_bytes=statistics.process_rss_bytes(),
            log_lines_lost=self._logs.dropped,
        )
