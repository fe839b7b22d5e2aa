"""Dependable price events from market-data connections.

The public names, each imported when it is first used, so that a program that needs one part does not pay for all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pricestreamd.dispatch.chain import Chain
    from pricestreamd.dispatch.dispatcher import EventDispatcher
    from pricestreamd.feeds.client import WebSocketClient
    from pricestreamd.feeds.settings import (
        FeedSettings,
        HeartbeatSettings,
        ReconnectSettings,
        StaleSettings,
        TlsSettings,
    )
    from pricestreamd.model.errors import (
        AuthenticationFailed,
        ConfigError,
        FeedError,
        HandshakeRejected,
        PriceStreamError,
        ProtocolError,
        SinkError,
        StateError,
        SubscriptionRejected,
        TransportError,
    )
    from pricestreamd.model.events import (
        AlertBlind,
        AlertSighted,
        CustomEvent,
        Event,
        FeedConnected,
        FeedDisconnected,
        FeedReconnecting,
        PriceAlert,
        PriceChange,
        PriceError,
        PriceGap,
        PriceResumed,
        PriceSpike,
        PriceStale,
        PriceUpdate,
    )
    from pricestreamd.model.interface import ClientStats, DispatcherStats, StreamStats, WebSocketInterface
    from pricestreamd.model.tick import Tick
    from pricestreamd.stream.alert_rule import AlertError
    from pricestreamd.stream.history import HistoryEntry
    from pricestreamd.stream.service import PriceStreamService
    from pricestreamd.stream.settings import HistorySettings, SpikeSettings, StreamSettings, SuspectSettings

_HOMES = {
    "dispatch.chain": ("Chain",),
    "dispatch.dispatcher": ("EventDispatcher",),
    "feeds.client": ("WebSocketClient",),
    "feeds.settings": ("FeedSettings", "HeartbeatSettings", "ReconnectSettings", "StaleSettings", "TlsSettings"),
    "model.errors": (
        "AuthenticationFailed", "ConfigError", "FeedError", "HandshakeRejected", "PriceStreamError", "ProtocolError",
        "SinkError", "StateError", "SubscriptionRejected", "TransportError",
    ),
    "model.events": (
        "AlertBlind", "AlertSighted", "CustomEvent", "Event", "FeedConnected", "FeedDisconnected", "FeedReconnecting",
        "PriceAlert", "PriceChange", "PriceError", "PriceGap", "PriceResumed", "PriceSpike", "PriceStale",
        "PriceUpdate",
    ),
    "model.interface": ("ClientStats", "DispatcherStats", "StreamStats", "WebSocketInterface"),
    "model.tick": ("Tick",),
    "stream.alert_rule": ("AlertError",),
    "stream.history": ("HistoryEntry",),
    "stream.service": ("PriceStreamService",),
    "stream.settings": ("HistorySettings", "SpikeSettings", "StreamSettings", "SuspectSettings"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AlertBlind",
    "AlertError",
    "AlertSighted",
    "AuthenticationFailed",
    "Chain",
    "ClientStats",
    "ConfigError",
    "CustomEvent",
    "DispatcherStats",
    "Event",
    "EventDispatcher",
    "FeedConnected",
    "FeedDisconnected",
    "FeedError",
    "FeedReconnecting",
    "FeedSettings",
    "HandshakeRejected",
    "HeartbeatSettings",
    "HistoryEntry",
    "HistorySettings",
    "PriceAlert",
    "PriceChange",
    "PriceError",
    "PriceGap",
    "PriceResumed",
    "PriceSpike",
    "PriceStale",
    "PriceStreamError",
    "PriceStreamService",
    "PriceUpdate",
    "ProtocolError",
    "ReconnectSettings",
    "SinkError",
    "SpikeSettings",
    "StaleSettings",
    "StateError",
    "StreamSettings",
    "StreamStats",
    "SubscriptionRejected",
    "SuspectSettings",
    "Tick",
    "TlsSettings",
    "TransportError",
    "WebSocketClient",
    "WebSocketInterface",
]


if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module 'pricestreamd' has no attribute {name!r}")
        return getattr(import_module(f"pricestreamd.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
