"""What a feed's configuration amounts to, as `check` tells it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pricestreamd.cli.words import counted
from pricestreamd.config.capacity import placement
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.hours import hours_of
from pricestreamd.feeds.terms import profile_of

# More would not be read.
_NAMED = 8


def feed_plan(feed: FeedSettings) -> dict[str, Any]:
    """The plan of one feed, as it goes into JSON."""
    about = profile_of(feed)
    fit = placement(feed)
    hours: dict[str, list[str]] = {}
    for symbol in feed.symbols:
        known = hours_of(symbol, feed.market_hours, about)
        hours.setdefault(known.name if known is not None else "not known", []).append(symbol)
    return {
        "provider": feed.provider,
        "endpoint": _address(feed.endpoint or about.endpoint),
        "channel": feed.channel or about.channel,
        "symbols": list(feed.symbols),
        "symbols_placed": len(fit.placed),
        "connections": fit.connections,
        "symbols_per_connection": fit.room.symbols,
        "connections_at_most": fit.room.slots_at_most,
        "control_messages": f"{about.control_messages} in {about.control_window:g} s",
        "market_hours": hours,
        "backup": feed.backup,
    }


def feed_lines(name: str, plan: dict[str, Any]) -> list[str]:
    """The same, for people."""
    lines = [
        f"feed {name}: {plan['provider']} at {plan['endpoint']}, {plan['channel']}",
        f"  {_count(plan)} over {counted(plan['connections'], 'connection')}{_limits(plan)}: {_named(plan['symbols'])}",
        f"  control messages: at most {plan['control_messages']}",
    ]
    lines += [f"  market hours {name}: {_named(symbols)}" for name, symbols in plan["market_hours"].items()]
    return lines + ([f"  backup: feed {plan['backup']}"] if plan["backup"] else [])


def _limits(plan: dict[str, Any]) -> str:
    limits = []
    if plan["symbols_per_connection"] is not None:
        limits.append(counted(plan["symbols_per_connection"], "symbol") + " each")
    if plan["connections_at_most"] is not None:
        limits.append(counted(plan["connections_at_most"], "connection"))
    return f" (at most {', '.join(limits)})" if limits else ""


def _named(symbols: list[str]) -> str:
    more = len(symbols) - _NAMED
    return ", ".join(symbols) if more <= 1 else f"{', '.join(symbols[:_NAMED])} and {more} more"


def _address(endpoint: str) -> str:
    """Scheme, host and path: what is in front of the host and in the query may be a key."""
    parts = urlsplit(endpoint)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _count(plan: dict[str, Any]) -> str:
    placed, wanted = plan["symbols_placed"], len(plan["symbols"])
    return counted(wanted, "symbol") if placed == wanted else f"{placed} of {counted(wanted, 'symbol')}"
