"""What can be set about the stream: what counts as a change, a spike or a suspect print, and the alerts.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Literal

from pricestreamd.model.units import Delay, Duration, Percent


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeSettings:
    """When a move is a spike. `percent` in per cent, `window` in seconds."""

    percent: Percent = field(default=5.0, metadata={"above": 0})
    """The move that counts as a spike."""
    window: Duration | None = field(default=None, metadata={"above": 0})
    """Against the extreme of this time; null: against the previous tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """How many prices of each symbol are remembered."""

    enabled: bool = True
    """Remember prices at all."""
    size: int = field(default=1000, metadata={"at_least": 1, "at_most": 1_000_000})
    """Entries per symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectSettings:
    """The guard against bad prints. `jump_percent` in per cent, `confirm_within` in seconds."""

    jump_percent: Percent = field(default=20.0, metadata={"above": 0})
    """A jump of so much in one tick waits for a second print near it."""
    confirm_within: Delay = field(default=5.0, metadata={"above": 0})
    """How long it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How prices become facts. Percentages in per cent, `bars` in seconds; `suspect` None switches the guard off."""

    min_change_percent: Percent = field(default=0.1, metadata={"at_least": 0})
    """price.change when the price differs and has moved at least so much."""
    change_baseline: Literal["previous", "reported"] = "previous"
    """Move since the previous tick, or since the last price.change (catches slow drift)."""
    spike: SpikeSettings = field(default_factory=SpikeSettings)
    """When a move is a spike."""
    history: HistorySettings = field(default_factory=HistorySettings)
    """How many prices are remembered."""
    bars: tuple[Duration, ...] = field(default=(), metadata={"at_least": 1})
    """Lengths of the price.bar events, such as [1m, 5m]."""
    suspect: SuspectSettings | None = field(default_factory=SuspectSettings)
    """The guard against bad prints; null switches it off."""
    out_of_order: Literal["drop", "accept"] = "drop"
    """What to do with a tick older than its symbol's last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSettings:
    """The hours of an alert: wall clock of `timezone` on each of `days`. `from` in the file is `start` here."""

    days: str = field(default="mon-sun", metadata={"form": "days"})
    """Such as mon-fri or mon,wed,sat."""
    start: time = field(default=time(0, 0), metadata={"key": "from"})
    """Start, HH:MM."""
    end: time = field(default=time(0, 0), metadata={"key": "to"})
    """End, HH:MM; not after the start it means the next day."""
    timezone: str = field(default="UTC", metadata={"form": "timezone"})
    """Such as America/New_York."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """One alert: a `symbol` (or several, or a glob) and at least one condition.

    Prices in the instrument's currency, percentages in per cent, times in seconds. `for` in the file is `hold_for`.
    An empty `notify` names no sink: every sink whose events match gets the alert.
    """

    name: str | None = field(default=None, metadata={"form": "name"})
    """Its identity; without it symbol and conditions are."""
    symbol: str | None = field(default=None, metadata={"form": "symbol"})
    """A symbol, or a glob such as BTC/*."""
    symbols: tuple[str, ...] = field(default=(), metadata={"form": "symbol"})
    """Several symbols or globs."""
    above: float | None = field(default=None, metadata={"above": 0})
    """Fires when the price reaches this or more."""
    below: float | None = field(default=None, metadata={"above": 0})
    """Fires when the price reaches this or less."""
    change_percent: Percent | None = field(default=None, metadata={"above": 0})
    """Fires when the price has moved so much from the baseline."""
    trailing_percent: Percent | None = None
    """Fires so much below the highest price since arming; negative: above the lowest."""
    day_volume_above: float | None = field(default=None, metadata={"above": 0})
    """Fires when the day's volume reaches this."""
    trade_size_above: float | None = field(default=None, metadata={"above": 0})
    """Fires on a trade of this size or more."""
    baseline: Duration | Literal["armed", "previous", "open", "close"] = field(default="armed", metadata={"above": 0})
    """What change_percent is measured from; a duration means the price so long ago."""
    hysteresis: Percent = field(default=0.0, metadata={"at_least": 0})
    """How far the price must move back before the condition can fire again."""
    when: Literal["any", "all"] = "any"
    """Each condition by itself, or all of them together."""
    trigger: Literal["edge", "every_update"] = "edge"
    """When the condition becomes true, or at each tick while it is."""
    on_start: Literal["fire", "require_cross"] = "fire"
    """What happens when a condition is true at the very first tick."""
    once: bool = False
    """Fires once per symbol and is then done for good."""
    cooldown: Duration = field(default=0.0, metadata={"at_least": 0})
    """Firings so soon after the last one are counted, not made."""
    hold_for: Duration = field(default=0.0, metadata={"key": "for", "at_least": 0})
    """The condition must hold so long."""
    expires: datetime | None = None
    """Ends at this time, RFC 3339 with its offset."""
    active: ActiveSettings | None = None
    """Only in these hours."""
    session: Literal["any", "regular", "extended"] = "any"
    """Only in this part of the trading day."""
    on_blind: Literal["ignore", "notify"] = "ignore"
    """What happens when its symbol goes stale."""
    notify: tuple[str, ...] = ()
    """The sinks it goes to; without it every sink whose events match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStormSettings:
    """The bound on deliveries of one alert and symbol; events and counts have none."""

    per_minute: int = field(default=30, metadata={"at_least": 1})
    """Beyond so many a minute deliveries are grouped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSettings:
    """What is held of one symbol. `cost_basis` is per share, in the instrument's currency."""

    shares: float
    """How many; negative for a short position."""
    cost_basis: float = field(metadata={"at_least": 0})
    """Price paid for one."""
