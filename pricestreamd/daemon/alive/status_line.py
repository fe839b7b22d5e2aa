"""How the daemon is, in one line for a person who looks at `systemctl status`."""

from __future__ import annotations

from collections.abc import Mapping

from pricestreamd.model.interface import ConnectionState, FeedReport
from pricestreamd.telemetry.statistics import rate

# Of the feeds that are not live so many are named: the line is short.
MOST_NAMED = 3
# Of what a feed says of its last error.
REASON_CHARACTERS = 60

_WORDS: Mapping[ConnectionState, str] = {
    "stopped": "stopped",
    "connecting": "connecting",
    "subscribing": "subscribing",
    "stale": "silent",
    "backoff": "down",
    "parked": "parked: key refused",
}


def status_line(
    feeds: Mapping[str, FeedReport],
    *,
    market_open: bool,
    updates_per_second: float,
    alerts: int,
    queued: int,
) -> str:
    """Such as `2/3 feeds live (us parked: key refused), 41 updates/s, 12 alerts, 0 queued`.

    `market_open`: whether prices may be expected of any feed. `alerts` are those that are set, `queued` events that
    wait for sinks.
    """
    live = [name for name, feed in feeds.items() if feed["state"] == "live"]
    others = [_trouble(name, feed) for name, feed in feeds.items() if feed["state"] != "live"]
    if len(others) > MOST_NAMED:
        others[MOST_NAMED - 1 :] = [f"{len(others) - MOST_NAMED + 1} more"]
    if live and not market_open:
        others.append("market closed")
    remarks = f" ({'; '.join(others)})" if others else ""
    return (
        f"{len(live)}/{len(feeds)} feeds live{remarks}, {rate(updates_per_second)} updates/s, "
        f"{alerts} alert{'' if alerts == 1 else 's'}, {queued} queued"
    )


def _trouble(name: str, feed: FeedReport) -> str:
    words = f"{name} {_WORDS.get(feed['state'], feed['state'])}"
    if feed["state"] not in ("backoff", "stopped"):
        return words
    errors = [connection["last_error"] for connection in feed["connections"] if connection["last_error"]]
    return f"{words}: {_short(errors[0])}" if errors else words


def _short(text: str) -> str:
    return text if len(text) <= REASON_CHARACTERS else f"{text[: REASON_CHARACTERS - 1]}…"
