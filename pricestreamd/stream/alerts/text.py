"""What a firing says to a person: one sentence, short enough for a phone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from pricestreamd.stream.alert_rule import exact
from pricestreamd.stream.alerts.firing import Firing, Reading

_UTC = ZoneInfo("UTC")
_NEW_YORK = ZoneInfo("America/New_York")
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


def market_clock(symbol: str) -> tuple[str, ZoneInfo]:
    """The clock by which people who watch `symbol` live, and its name: UTC for pairs, New York for equities."""
    return ("UTC", _UTC) if "/" in symbol else ("New York", _NEW_YORK)


def span(seconds: float) -> str:
    """A duration as it is written in the configuration: `30s`, `15m`, `90m`."""
    for size, unit in _UNITS:
        if seconds and not seconds % size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def sentence(symbol: str, price: float, firing: Firing) -> str:
    """What a person reads on a phone: `AAPL 200.35 crossed above 200.00 at 09:31:02 New York`."""
    crossed = firing.crossed and len(firing.readings) == 1
    what = " and ".join(_said(reading, crossed=crossed, held=firing.held) for reading in firing.readings)
    if firing.held and any(reading.rule.kind not in ("above", "below") for reading in firing.readings):
        what = f"{what}, for {span(firing.held)} now"
    elif firing.held:
        what = f"{what} for {span(firing.held)}"
    place, zone = market_clock(symbol)
    try:
        clock = datetime.fromtimestamp(firing.timestamp, zone)
    except (ValueError, OverflowError, OSError):
        # No year that a calendar knows: the alert is told without its time.
        return f"{symbol} {exact(price)} {what}"
    return f"{symbol} {exact(price)} {what} at {clock:%H:%M:%S} {place}"


def _said(reading: Reading, *, crossed: bool, held: float) -> str:
    rule, threshold = reading.rule, exact(abs(reading.rule.threshold))
    if rule.kind == "change_percent":
        return f"moved {reading.value:+.2f} % {_since(reading)} (alert at {threshold} %)"
    if rule.kind == "trailing_percent":
        which = "fell {:.2f} % from its high of {}" if rule.threshold > 0 else "rose {:.2f} % from its low of {}"
        return f"{which.format(abs(reading.value), exact(reading.baseline or 0.0))} (alert at {threshold} %)"
    if rule.kind == "day_volume_above":
        return f"has a volume of {_count(reading.value)} today (alert at {_count(rule.threshold)})"
    if rule.kind == "trade_size_above":
        return f"traded {_count(reading.value)} at once (alert at {_count(rule.threshold)})"
    verb = "has been" if held else "crossed" if crossed else "is"
    return f"{verb} {rule.kind} {threshold}"


def _since(reading: Reading) -> str:
    """Where a move began."""
    which, price = reading.rule.baseline, exact(reading.baseline or 0.0)
    words = {"armed": "from", "previous": "in one tick from", "open": "from the open at", "close": "from the close at"}
    return f"{words[which]} {price}" if isinstance(which, str) else f"in {span(which)} from {price}"


def _count(volume: float) -> str:
    """A volume: whole numbers without decimals."""
    return f"{volume:.0f}" if volume == int(volume) else exact(volume)
