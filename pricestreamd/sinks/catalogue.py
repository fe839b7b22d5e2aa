"""Which sinks there are, and how one is made. A sink's module is imported when one is made, not before.

Installed distributions may bring more (see `plugins`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from pricestreamd.model.errors import PriceStreamError, SinkError
from pricestreamd.model.events import PriceAlert
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.bearable import bearable, described
from pricestreamd.sinks.plugins import OWN_TYPES, plugin
from pricestreamd.sinks.settings import AnySinkSettings, NotifySinkSettings
from pricestreamd.state.spool import Spool
from pricestreamd.state.spool_folders import spool_folder

# type -> module:class
_SINKS = {
    "log": "pricestreamd.sinks.log:LogSink",
    "file": "pricestreamd.sinks.file:FileSink",
    "sqlite": "pricestreamd.sinks.sqlite:SqliteSink",
    "postgres": "pricestreamd.sinks.postgres.sink:PostgresSink",
    "redis": "pricestreamd.sinks.redis.sink:RedisSink",
    "nats": "pricestreamd.sinks.nats.sink:NatsSink",
    "webhook": "pricestreamd.sinks.webhook.sink:WebhookSink",
    "notify": "pricestreamd.sinks.notify.sink:NotifySink",
    "call": "pricestreamd.sinks.call:CallSink",
}

# type -> the library that it needs; the extra that brings it is named as the type.
_LIBRARIES = {"postgres": "asyncpg", "redis": "redis", "nats": "nats", "notify": "apprise"}

TYPES = OWN_TYPES
"""Every type that this version has itself."""


def missing_library(kind: str) -> str | None:
    """What a sink of the type `kind` needs and is not installed, in a sentence with the remedy; None: nothing."""
    library = _LIBRARIES.get(kind)
    if library is None or find_spec(library) is not None:
        return None
    return f"needs the library {library}: pip install pricestreamd[{kind}]"


def is_durable(settings: AnySinkSettings) -> bool:
    """Whether alerts reach the sink through the outbox: all but the log, which is there to be read at once."""
    return settings.type != "log"


def spool_of(name: str, settings: AnySinkSettings, state: Path) -> Spool | None:
    """Where the events of the sink `name` wait if it is durable: a folder beside the file `state`."""
    if not settings.durable:
        return None
    return Spool(spool_folder(state, name), settings.spool.size)


def create(name: str, settings: AnySinkSettings, *, storm: Callable[[PriceAlert], bool] | None = None) -> Sink:
    """The sink `name`, not yet open. `storm`: for one that tells people; see `sinks.notify.sink`.

    Raises:
        LookupError: there is no sink of that type; see `built`.
        FunctionError: what it should call is not there (see `sinks.function`).
        SinkError: it cannot be made of these settings.
    """
    if settings.type not in _SINKS:
        return _of_plugin(name, settings)
    if missing := missing_library(settings.type):
        raise SinkError(f"sink {name} {missing}", sink=name, transient=False)
    module, _, kind = _SINKS[settings.type].partition(":")
    further = {"storm": storm} if storm is not None and isinstance(settings, NotifySinkSettings) else {}
    return cast("Sink", getattr(import_module(module), kind)(name, settings, **further))


def _of_plugin(name: str, settings: AnySinkSettings) -> Sink:
    try:
        made, _ = plugin(settings.type)
    except ValueError as exc:
        raise SinkError(str(exc), sink=name, transient=False) from exc
    try:
        with bearable(name, "making"):
            return made(name, settings)
    except PriceStreamError:
        raise
    except Exception as exc:  # somebody else's code: whatever it raises, it is told of
        text = f"a sink of type {settings.type} cannot be made: {described(exc)}"
        raise SinkError(text, sink=name, transient=False) from exc
