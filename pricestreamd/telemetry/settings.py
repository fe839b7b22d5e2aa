"""What can be set about logs and metrics.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pricestreamd.model.units import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """What is logged and how it looks. `stats_interval` in seconds."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages to log."""
    format: Literal["auto", "console", "json"] = "auto"
    """auto is console on a terminal and json otherwise."""
    stats_interval: Duration = field(default=60.0, metadata={"at_least": 0})
    """Time between two lines of statistics; 0 is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """The bound on series that have a symbol as label."""

    max_symbol_series: int = field(default=200, metadata={"at_least": 0})
    """Symbols of the last_price metric; 0 is off."""
