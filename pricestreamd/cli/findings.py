"""What `check --connect` found, in plain words and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pricestreamd.cli.words import counted
from pricestreamd.daemon.trial.probe import PRICE_SECONDS, Closed, FeedFindings, Findings, SinkFindings


def as_json(findings: Findings) -> dict[str, Any]:
    """All of it, feeds and sinks by their names."""
    return {
        "ok": findings.ok,
        "feeds": {feed.feed: {"ok": feed.ok, **asdict(feed)} for feed in findings.feeds},
        "sinks": {sink.sink: {"ok": sink.ok, **asdict(sink)} for sink in findings.sinks},
    }


def as_lines(findings: Findings) -> list[str]:
    """All of it, line by line."""
    lines: list[str] = []
    for feed in findings.feeds:
        lines += _feed(feed)
    for sink in findings.sinks:
        lines += [_sink(sink), *(f"  {note}" for note in sink.notes)]
    return lines


def _feed(feed: FeedFindings) -> list[str]:
    title = f"feed {feed.feed}: "
    if feed.milliseconds is None:
        return [f"{title}not connected: {feed.error}", *_notes(feed)]
    places = list(dict.fromkeys(feed.places))
    times = f" over {len(feed.places)} connections" if len(feed.places) > 1 else ""
    tls = "with TLS" if feed.tls else "without TLS"
    lines = [f"{title}connected to {', '.join(places)} {tls}{times} in {feed.milliseconds:.0f} ms"]
    asked = len(feed.accepted) + len(feed.refused) + len(feed.unanswered)
    if asked:
        lines.append(f"  accepted {len(feed.accepted)} of {counted(asked, 'symbol')}")
    lines += [f"  refused {symbol}: {reason}" for symbol, reason in feed.refused.items()]
    if feed.unanswered:
        lines.append(f"  no answer yet about {_some(feed.unanswered)}")
    if feed.unplaced:
        lines.append(f"  no place for {_some(feed.unplaced)}: {next(iter(feed.unplaced.values()))}")
    if feed.price is not None:
        price = feed.price
        lines.append(f"  first price after {price.seconds:.1f} s: {price.symbol} at {price.price:g}")
    elif feed.closed is not None:
        lines.append(f"  no price, which is normal: {_closed(feed.closed)}")
    elif feed.accepted and feed.error is None:
        lines.append(f"  no price within {PRICE_SECONDS:g} s: quiet symbols may take longer")
    lines += _notes(feed)
    lines.append(f"  then it ended: {feed.error}" if feed.error else "  disconnected")
    return lines


def _notes(feed: FeedFindings) -> list[str]:
    return [f"  {note}" for note in feed.notes]


def _closed(closed: Closed) -> str:
    markets = ", ".join(closed.markets)
    if closed.opens_at is None:
        return f"the market is closed ({markets})"
    opens = datetime.fromtimestamp(closed.opens_at, UTC)
    return f"the market is closed ({markets}) until {opens:%a %Y-%m-%d %H:%M} UTC"


def _sink(sink: SinkFindings) -> str:
    if sink.error is not None:
        return f"sink {sink.sink}: {sink.type} cannot be used: {sink.error}"
    if sink.place is not None:
        return f"sink {sink.sink}: {sink.type} can be written in {sink.place}"
    how = "reached, and nothing was sent," if sink.asked else "opened and closed"
    return f"sink {sink.sink}: {sink.type} {how} in {sink.milliseconds or 0.0:.0f} ms"


def _some(symbols: Iterable[str]) -> str:
    """The first ten, and how many more."""
    names = list(symbols)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{', '.join(names[:10])}{more}"
