"""The whole configuration: the settings of every room under one root, and those that have no room below `config`.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pricestreamd.dispatch.settings import ListenerSettings
from pricestreamd.feeds.settings import FeedSettings, GenericFeedSettings
from pricestreamd.http.settings import HttpSettings
from pricestreamd.model.secret import Secret
from pricestreamd.model.units import Delay, Duration
from pricestreamd.replay.settings import AlertTestSettings
from pricestreamd.sinks.settings import AnySinkSettings
from pricestreamd.state.settings import StateSettings
from pricestreamd.stream.settings import AlertSettings, AlertStormSettings, PositionSettings, StreamSettings
from pricestreamd.telemetry.settings import LoggingSettings, MetricsSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPolicySettings:
    """What happens when a feed fails again and again; a price makes the count 0 again. Times in seconds."""

    max_consecutive: int = field(default=10, metadata={"at_least": 1})
    """So many failed attempts or lost connections in a row, within the window, call for the action."""
    window: Duration = field(default=300.0, metadata={"above": 0})
    """The time in which they must happen."""
    action: Literal["restart_feed", "exit", "none"] = "restart_feed"
    """What is done then, and when the attempts of a feed are exhausted."""
    cooldown: Duration = field(default=60.0, metadata={"at_least": 0})
    """After restart_feed the feed begins anew when so much time has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadmanSettings:
    """A call to somebody who raises the alarm when it stays away. `interval` in seconds."""

    url: Secret | None = field(default=None, metadata={"secret": "url"})
    """Address to GET; null is off."""
    interval: Duration = field(default=60.0, metadata={"at_least": 1})
    """Time between two calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One configuration, whole and valid. `shutdown_timeout` in seconds."""

    feeds: Mapping[str, FeedSettings | GenericFeedSettings] = field(default_factory=dict)
    """Name to feed: where prices come from. The only section without a default."""
    stream: StreamSettings = field(default_factory=StreamSettings)
    """What counts as a change, a spike or a suspect print."""
    alerts: tuple[AlertSettings, ...] = ()
    """What you want to be told."""
    alert_storm: AlertStormSettings = field(default_factory=AlertStormSettings)
    """The bound on deliveries of one alert."""
    portfolio: Mapping[str, PositionSettings] = field(default_factory=dict)
    """Symbol to what you hold of it."""
    listeners: tuple[ListenerSettings, ...] = ()
    """Functions of yours that hear events inline."""
    plugin_paths: tuple[Path, ...] = field(default=(), metadata={"path": "read"})
    """Folders in which your functions are looked for first; others may not write to them."""
    sinks: Mapping[str, AnySinkSettings] = field(default_factory=dict)
    """Name to sink: where events go."""
    http: HttpSettings = field(default_factory=HttpSettings)
    """The HTTP server."""
    state: StateSettings = field(default_factory=StateSettings)
    """Where lasting facts are kept."""
    errors: ErrorPolicySettings = field(default_factory=ErrorPolicySettings)
    """What happens when a feed fails again and again."""
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    """Metrics."""
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    """Logs."""
    deadman: DeadmanSettings = field(default_factory=DeadmanSettings)
    """A sign of life to somebody outside."""
    shutdown_timeout: Delay = field(default=10.0, metadata={"above": 0})
    """Time for flushing sinks at the end."""
    tests: tuple[AlertTestSettings, ...] = ()
    """Tests of your alerts, run by check."""
