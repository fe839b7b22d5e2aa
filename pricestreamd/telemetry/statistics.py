"""The line of statistics: two looks at the daemon, and what happened between them."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pricestreamd.telemetry.view import MetricsView


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look. `at` is monotonic; counts are totals since the start; `loop_lag_seconds` the worst since the last."""

    at: float
    updates: int
    symbols: int
    feeds: int
    feeds_live: int
    alerts_active: int
    alerts_fired: int
    queued: Mapping[str, int]
    dropped: int
    loop_lag_seconds: float
    rss_bytes: int
    log_lines_lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What happened between two looks, and how things stand at the second."""

    updates_per_second: float
    symbols: int
    feeds: int
    feeds_live: int
    alerts_active: int
    alerts_fired: int
    queued: Mapping[str, int]
    dropped: int
    loop_lag_seconds: float
    rss_bytes: int
    log_lines_lost: int

    @property
    def message(self) -> str:
        """One line for people."""
        parts = [
            f"{rate(self.updates_per_second)} updates/s",
            f"{self.symbols} symbols",
            f"{self.feeds_live}/{self.feeds} feeds live",
            f"{self.alerts_active} alerts, {self.alerts_fired} fired",
            f"{sum(self.queued.values())} queued",
        ]
        if self.dropped:
            parts.append(f"{self.dropped} dropped")
        if self.log_lines_lost:
            parts.append(f"{self.log_lines_lost} log lines lost")
        parts += [f"loop lag {self.loop_lag_seconds * 1000:.1f} ms", f"{self.rss_bytes / 2**20:.0f} MiB"]
        return ", ".join(parts)

    def fields(self) -> dict[str, object]:
        """The same for programs: the `extra` of the log line."""
        return {
            "action": "statistics",
            "updates_per_second": round(self.updates_per_second, 3),
            "symbols": self.symbols,
            "feeds": self.feeds,
            "feeds_live": self.feeds_live,
            "alerts_active": self.alerts_active,
            "alerts_fired": self.alerts_fired,
            "queued": dict(self.queued),
            "dropped": self.dropped,
            "loop_lag_seconds": round(self.loop_lag_seconds, 6),
            "rss_bytes": self.rss_bytes,
            "log_lines_lost": self.log_lines_lost,
        }


def take(view: MetricsView, *, now: float, rss_bytes: int, log_lines_lost: int = 0) -> Snapshot:
    """Look at the daemon. Takes the peak of the loop's lag with it, so that each look has its own."""
    stats = view.service.get_stats()
    sinks = view.sinks
    return Snapshot(
        at=now,
        updates=stats["updates_received"],
        symbols=stats["symbols_tracked"],
        feeds=len(view.feeds),
        feeds_live=sum(feed.report()["state"] == "live" for feed in view.feeds.values()),
        alerts_active=stats["alerts_active"],
        alerts_fired=view.service.alerts_fired,
        queued={name: sink.queued for name, sink in sinks.items()},
        dropped=sum(sum(sink.dropped.values()) for sink in sinks.values()),
        loop_lag_seconds=view.loop_lag.take_peak(),
        rss_bytes=rss_bytes,
        log_lines_lost=log_lines_lost,
    )


def compare(before: Snapshot, after: Snapshot) -> Statistics:
    """What happened between `before` and `after`. A count that fell (a sink was replaced) starts again at 0."""
    seconds = after.at - before.at
    return Statistics(
        updates_per_second=max(0, after.updates - before.updates) / seconds if seconds > 0 else 0.0,
        symbols=after.symbols,
        feeds=after.feeds,
        feeds_live=after.feeds_live,
        alerts_active=after.alerts_active,
        alerts_fired=max(0, after.alerts_fired - before.alerts_fired),
        queued=after.queued,
        dropped=max(0, after.dropped - before.dropped),
        loop_lag_seconds=after.loop_lag_seconds,
        rss_bytes=after.rss_bytes,
        log_lines_lost=max(0, after.log_lines_lost - before.log_lines_lost),
    )


def rate(per_second: float) -> str:
    """A rate for people: whole numbers from 10 on, below that one decimal; no rate is `0`."""
    if per_second >= 10 or per_second == 0:
        return f"{per_second:.0f}"
    return f"{per_second:.1f}"


def process_rss_bytes() -> int:
    """Memory of this process that is in RAM now; where the system does not tell, the most it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")
