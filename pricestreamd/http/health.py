"""Whether the stream is healthy: it runs, and every feed is live.

A connection is live while it is connected, subscribed, not stale and not parked; whether it ever ticked does not
matter. One that was live and reconnects counts as live for a minute, so that an ordinary drop wakes nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pricestreamd.model.interface import ConnectionReport, FeedReport

# A reconnect younger than this counts as live.
RECONNECT_SECONDS = 60.0

_RECONNECTING = frozenset({"connecting", "subscribing", "backoff"})
_WHY = {
    "connecting": "not connected yet",
    "subscribing": "not subscribed yet",
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


def connection_fault(connection: ConnectionReport, now: float) -> str | None:
    """Why this connection does not count as live at `now` (epoch seconds), or None."""
    state = connection["state"]
    if state == "live":
        return None
    age = now - connection["since"]
    if state in _RECONNECTING and connection["reconnects"] > 0 and age < RECONNECT_SECONDS:
        return None
    error = connection["last_error"]
    return f"connection {connection['connection']}: {_WHY[state]}" + (f" ({error})" if error else "")


def feed_health(feed: FeedReport, now: float) -> FeedHealth:
    """A feed is healthy while each of its connections is live. One without connections goes by its own state."""
    faults = [fault for connection in feed["connections"] if (fault := connection_fault(connection, now))]
    if not feed["connections"] and feed["state"] != "live":
        faults.append(_WHY[feed["state"]])
    return FeedHealth(healthy=not faults, reason="; ".join(faults) or None)


def is_healthy(*, running: bool, feeds: Mapping[str, FeedReport], now: float) -> bool:
    """The stream runs, and every feed is live."""
    return running and all(feed_health(feed, now).healthy for feed in feeds.values())


def any_live(feeds: Mapping[str, FeedReport], now: float) -> bool:
    """At least one feed is live, or there is none to wait for: the daemon may be used."""
    return not feeds or any(feed_health(feed, now).healthy for feed in feeds.values())
