"""What can be set about tests of alerts: ticks in, expected events out.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pricestreamd.model.events import AlertBlind, AlertSighted, PriceAlert, PriceChange, PriceSpike, PriceUpdate
from pricestreamd.model.units import Duration

EXPECTED_EVENTS = tuple(
    kind.event for kind in (PriceAlert, AlertBlind, AlertSighted, PriceChange, PriceSpike, PriceUpdate)
)
"""What a test can expect."""

START = datetime(2026, 1, 5, 15, tzinfo=UTC)
"""When a test begins that says nothing else: a Monday, 10:00 in New York; the markets of Europe are open, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTestTick:
    """One price of an alert test. `at` in seconds from the start of the test."""

    symbol: str = field(metadata={"form": "symbol"})
    """Symbol."""
    price: float = field(metadata={"above": 0})
    """Price."""
    at: Duration = field(default=0.0, metadata={"at_least": 0})
    """Time since the start of the test."""
    volume: float | None = field(default=None, metadata={"at_least": 0})
    """Volume, where the alert looks at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTestEvent:
    """One event that an alert test expects. None matches anything; `at` in seconds from the start of the test."""

    event: str = field(default="price.alert", metadata={"form": "event"})
    """Name of the event."""
    alert: str | None = field(default=None, metadata={"form": "name"})
    """Name of the alert, or its alert_id."""
    symbol: str | None = field(default=None, metadata={"form": "symbol"})
    """Symbol."""
    at: Duration | None = field(default=None, metadata={"at_least": 0})
    """Time since the start of the test."""
    reason: str | None = field(default=None, metadata={"form": "name"})
    """The alert_reason, such as price_above_200.00."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTestSettings:
    """Ticks in, expected events out: `check` runs it on a virtual clock."""

    name: str = field(metadata={"form": "name"})
    """What the test shows."""
    start: datetime = START
    """The time of 0s, RFC 3339; without it a Monday, 10:00 in New York."""
    ticks: tuple[AlertTestTick, ...] = field(metadata={"entries": 1})
    """Prices, in the order of time."""
    expect: tuple[AlertTestEvent, ...]
    """The events expected; an empty list expects that no alert fires."""
