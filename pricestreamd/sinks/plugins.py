"""Sinks of installed distributions: entry points of the group `pricestreamd.sinks`, type = module:class.

Such a class is made as ours are, `kind(name, settings)`, and gives a `Sink` (see `base`). Its attribute `settings` is
the dataclass that its part of the file is read as: frozen, keyword-only, derived from `SinkSettings`, with `type` as a
`Literal` of the entry point's name. Its code is imported only when a configuration names such a type, and none of them
can stand in for one of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, get_origin, get_type_hints

from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.bearable import described, is_main_thread
from pricestreamd.sinks.settings import AnySinkSettings, SinkSettings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "pricestreamd.sinks"
"""The group of entry points that are sinks."""

OWN_TYPES: tuple[str, ...] = tuple(get_args(get_type_hints(kind)["type"])[0] for kind in get_args(AnySinkSettings))
"""The types of this version itself, in the order of the documentation."""

_MAX_REASON = 300

Made = Callable[[str, Any], Sink]
_plugins: dict[str, tuple[Made, type[SinkSettings]]] = {}


def plugin_types() -> tuple[str, ...]:
    """The types that installed distributions bring, in alphabetical order; nothing is imported for this."""
    return tuple(sorted({point.name for point in _entry_points()}))


def plugin(kind: str) -> tuple[Made, type[SinkSettings]]:
    """What makes a sink of the type `kind`, and what its settings are.

    Raises:
        LookupError: no distribution has it.
        ValueError: its distribution cannot be used, and the text says which and why.
    """
    if kind not in _plugins:
        _plugins[kind] = _load(kind)
    return _plugins[kind]


def unusable(kind: str) -> str:
    """How a sentence begins that tells why the type `kind` cannot be used: with whose it is."""
    points = [point for point in _entry_points() if point.name == kind]
    origins = ", ".join(f"{point.dist.name} {point.dist.version}" for point in points if point.dist)
    return f"sink type {kind!r} of the distribution {origins} cannot be used"


def _load(kind: str) -> tuple[Made, type[SinkSettings]]:
    found = [point for point in _entry_points() if point.name == kind]
    if not found:
        raise LookupError(f"there are no sinks of type {kind}")
    trouble = unusable(kind)
    if len({point.value for point in found}) > 1:
        raise ValueError(f"{trouble}: more than one has it")
    try:
        made = found[0].load()
        settings = getattr(made, "settings", None)
        hints = get_type_hints(settings) if is_dataclass(settings) and isinstance(settings, type) else {}
    except BaseException as exc:  # somebody else's module: whatever it raises, it is told of
        if isinstance(exc, KeyboardInterrupt) and is_main_thread():
            raise  # a person at the terminal
        text = f"{trouble}: {described(exc, _MAX_REASON)}"
        if isinstance(exc, ModuleNotFoundError):
            text += "; what was installed while a daemon ran it finds after its next start"
        raise ValueError(text) from exc
    if not hints or not issubclass(cast("type", settings), SinkSettings):
        raise ValueError(f"{trouble}: {found[0].value}.settings is no dataclass derived from SinkSettings")
    named = hints.get("type")
    if get_origin(named) is not Literal or get_args(named) != (kind,):
        raise ValueError(f"{trouble}: the field type of {found[0].value}.settings is not Literal[{kind!r}]")
    if missing := [part for part in ("open", "deliver", "close") if not callable(getattr(made, part, None))]:
        raise ValueError(f"{trouble}: {found[0].value} lacks {', '.join(missing)}")
    return made, cast("type[SinkSettings]", settings)


def _entry_points() -> list[EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - 30 ms that most configurations need not spend

    return [point for point in entry_points(group=ENTRY_POINTS) if point.name not in OWN_TYPES]
