"""Which sinks there are, and how one is made. A sink's module is imported when one is made, not before."""

from __future__ import annotations

from importlib import import_module
from typing import cast, get_args, get_type_hints

from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.settings import AnySinkSettings

# type -> module:class
_SINKS = {
    "log": "pricestreamd.sinks.log:LogSink",
    "file": "pricestreamd.sinks.file:FileSink",
    "sqlite": "pricestreamd.sinks.sqlite:SqliteSink",
    "webhook": "pricestreamd.sinks.webhook:WebhookSink",
    "call": "pricestreamd.sinks.call:CallSink",
}

TYPES: tuple[str, ...] = tuple(get_args(get_type_hints(kind)["type"])[0] for kind in get_args(AnySinkSettings))
"""Every type that a configuration may name."""

NOT_BUILT: tuple[str, ...] = tuple(kind for kind in TYPES if kind not in _SINKS)
"""Those that this version does not make."""


def built(kind: str) -> bool:
    """Whether this version can make a sink of the type `kind`."""
    return kind in _SINKS


def is_durable(settings: AnySinkSettings) -> bool:
    """Whether alerts reach the sink through the outbox: all but the log, which is there to be read at once."""
    return settings.type != "log"


def create(name: str, settings: AnySinkSettings) -> Sink:
    """The sink `name`, not yet open.

    Raises:
        LookupError: there is no sink of that type in this version; see `built`.
        FunctionError: what it should call is not there (see `sinks.function`).
        SinkError: it cannot be made of these settings.
    """
    if not built(settings.type):
        raise LookupError(f"sinks of type {settings.type} are not built yet")
    module, _, kind = _SINKS[settings.type].partition(":")
    return cast("Sink", getattr(import_module(module), kind)(name, settings))
