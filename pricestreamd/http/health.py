"""Whether the stream is healthy: it runs, and every feed is live.

A connection is live while it is connected, subscribed, not stale and not parked; whether it ever ticked does not
matter. One that was live within the last minute and is on its way back counts as live too, so that an ordinary drop
wakes nobody; but whoever was silent for too long was not well, and neither is what replaces it. One that only connects
and is dropped, over and over, was not live and is not helped by this: what counts is when it was live last, not when it
began to try. A feed whose backup is healthy is healthy, too: its prices come. And so is one whose market is closed, for
no prices are missed; unless it is parked: that needs a human before the bell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pricestreamd.model.interface import ConnectionReport, FeedReport

# A reconnect younger than this counts as live.
RECONNECT_SECONDS = 60.0
# How often the feeds are looked at, so that "when it was live last" is known to this many seconds.
LOOK_SECONDS = 1.0

_RECONNECTING = frozenset({"connecting", "subscribing", "backoff"})
_WHY = {
    "connecting": "not connected",
    "subscribing": "connected, but not subscribed",
    "stale": "connected, but silent for too long",
    "backoff": "disconnected, waiting to try again",
    "parked": "refused by the provider, waiting for a new key",
    "stopped": "stopped",
}


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """The judgement on one feed; `reason` is a sentence, None while it is healthy."""

    healthy: bool
    reason: str | None


class FeedWatch:
    """Judges feeds by their reports, and remembers when each connection was live last (seconds, monotonic)."""

    def __init__(self) -> None:
        self._live_at: dict[tuple[str, int], float] = {}

    def look(self, feeds: Mapping[str, FeedReport], now: float) -> dict[str, FeedHealth]:
        """Take the present reports in; the judgement on each feed."""
        live_at = {}
        for name, feed in feeds.items():
            for connection in feed["connections"]:
                key = (name, connection["connection"])
                if connection["state"] == "live":
                    live_at[key] = now
                elif key in self._live_at and not connection["silent"]:
                    live_at[key] = self._live_at[key]
        # Connections that are gone are forgotten.
        self._live_at = live_at
        judged = {name: self._judge(name, feed, now) for name, feed in feeds.items()}
        return {name: _covered(health, feeds[name]["backup"], judged) for name, health in judged.items()}

    def _judge(self, name: str, feed: FeedReport, now: float) -> FeedHealth:
        connections = feed["connections"]
        faults = [fault for connection in connections if (fault := self._fault(name, connection, now))]
        if not connections and feed["state"] != "live":
            faults.append(_WHY[feed["state"]])
        parked = feed["state"] == "parked" or any(connection["state"] == "parked" for connection in connections)
        if faults and not feed["market_open"] and not parked:
            return FeedHealth(healthy=True, reason="; ".join([*faults, "its market is closed"]))
        return FeedHealth(healthy=not faults, reason="; ".join(faults) or None)

    def _fault(self, name: str, connection: ConnectionReport, now: float) -> str | None:
        state, number = connection["state"], connection["connection"]
        if state == "live":
            return None
        live_at = self._live_at.get((name, number))
        if state in _RECONNECTING and live_at is not None and now - live_at < RECONNECT_SECONDS:
            return None
        error = connection["last_error"]
        return f"connection {number}: {_WHY[state]}" + (f" ({error})" if error else "")


def _covered(health: FeedHealth, backup: str | None, judged: Mapping[str, FeedHealth]) -> FeedHealth:
    """`health`, unless the feed's backup is healthy: then the reason is still told."""
    if health.healthy or backup is None or not judged[backup].healthy:
        return health
    return FeedHealth(healthy=True, reason=f"{health.reason}; {backup} stands in")
