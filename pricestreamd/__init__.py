"""Dependable price events from market-data connections.

The public names, each imported when it is first used, so that a program that needs one part does not pay for all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pricestreamd.dispatch.dispatcher import EventDispatcher
    from pricestreamd.feeds.client import WebSocketClient
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
    from pricestreamd.model.interface import WebSocketInterface
    from pricestreamd.model.tick import Tick
    from pricestreamd.stream.alert_rule import AlertError
    from pricestreamd.stream.service import PriceStreamService
    from pricestreamd.stream.settings import StreamSettings

_HOMES = {
    "dispatch.dispatcher": ("EventDispatcher",),
    "feeds.client": ("WebSocketClient",),
    "model.errors": (
        "AuthenticationFailed", "ConfigError", "FeedError", "HandshakeRejected", "PriceStreamError", "ProtocolError",
        "SinkError", "StateError", "SubscriptionRejected", "TransportError",
    ),
    "model.events": (
        "CustomEvent", "Event", "FeedConnected", "FeedDisconnected", "FeedReconnecting", "PriceAlert", "PriceChange",
        "PriceError", "PriceGap", "PriceResumed", "PriceSpike", "PriceStale", "PriceUpdate",
    ),
    "model.interface": ("WebSocketInterface",),
    "model.tick": ("Tick",),
    "stream.alert_rule": ("AlertError",),
    "stream.service": ("PriceStreamService",),
    "stream.settings": ("StreamSettings",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AlertError",
    "AuthenticationFailed",
    "ConfigError",
    "CustomEvent",
    "Event",
    "EventDispatcher",
    "FeedConnected",
    "FeedDisconnected",
    "FeedError",
    "FeedReconnecting",
    "HandshakeRejected",
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
    "SinkError",
    "StateError",
    "StreamSettings",
    "SubscriptionRejected",
    "Tick",
    "TransportError",
    "WebSocketClient",
    "WebSocketInterface",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pricestreamd' has no attribute {name!r}")
    return getattr(import_module(f"pricestreamd.{_HOME_OF[name]}"), name)
