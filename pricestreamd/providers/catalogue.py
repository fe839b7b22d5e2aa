"""Which providers there are: name to profile and adapter. An adapter's module is imported when it is asked for.

Installed distributions may bring more, as entry points of the group `pricestreamd.providers`: name = module:class, the
class an `Adapter` whose profile has that name. Their code is imported only when a configuration names such a provider,
and none of them can stand in for one of ours.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from pricestreamd.model.secret import redact
from pricestreamd.providers.base import Adapter, Terms
from pricestreamd.providers.description import Description
from pricestreamd.providers.profile import Profile

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "pricestreamd.providers"
"""The group of entry points that are providers."""

# name -> class, in the module of that name
_ADAPTERS = {
    "alphavantage": "AlphaVantage",
    "binance": "Binance",
    "generic": "Generic",
    "iex": "Iex",
    "twelvedata": "TwelveData",
}

BUILT_IN: tuple[str, ...] = tuple(sorted(_ADAPTERS))
"""The providers of this version itself, in alphabetical order."""

_MAX_REASON = 300
_plugins: dict[str, type[Adapter]] = {}


def provider_names() -> tuple[str, ...]:
    """The providers that can be named, in alphabetical order; nothing is imported for this."""
    return tuple(sorted({*BUILT_IN, *(point.name for point in _entry_points())}))


def profile(name: str, description: Description | None = None) -> Profile:
    """What is known of provider `name`; `description`: the protocol, where the file describes it.

    Raises:
        ValueError: there is no such provider, and the text names the nearest; or its distribution cannot be used, and
            the text says which and why.
    """
    return _adapter(name).profile_of(description)


def create(name: str, terms: Terms | None = None) -> Adapter:
    """A new adapter of provider `name` for one connection.

    Raises:
        ValueError: as `profile`.
    """
    return _adapter(name)(terms)


def _adapter(name: str) -> type[Adapter]:
    if name in _ADAPTERS:
        adapter: type[Adapter] = getattr(import_module(f"pricestreamd.providers.{name}"), _ADAPTERS[name])
        return adapter
    if name not in _plugins:
        _plugins[name] = _plugin(name)
    return _plugins[name]


def _plugin(name: str) -> type[Adapter]:
    """The adapter of a distribution that is no part of this one."""
    found = [point for point in _entry_points() if point.name == name]
    if not found:
        names = provider_names()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        raise ValueError(f"unknown provider {name!r}: {hint}")
    origins = ", ".join(f"{point.dist.name} {point.dist.version}" for point in found if point.dist)
    trouble = f"provider {name!r} of the distribution {origins} cannot be used"
    if len({point.value for point in found}) > 1:
        raise ValueError(f"{trouble}: more than one has it")
    try:
        loaded = found[0].load()
    except Exception as exc:  # somebody else's module: whatever it raises, it is told of
        raise ValueError(f"{trouble}: {redact(f'{type(exc).__name__}: {exc}')[:_MAX_REASON]}") from exc
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise ValueError(f"{trouble}: {found[0].value} is no Adapter")  # noqa: TRY004 - callers know one error
    if loaded.__abstractmethods__:
        raise ValueError(f"{trouble}: {found[0].value} lacks {', '.join(sorted(loaded.__abstractmethods__))}")
    known = getattr(loaded, "profile", None)
    if not isinstance(known, Profile) or known.name != name:
        raise ValueError(f"{trouble}: {found[0].value} has no profile of that name")
    return loaded


def _entry_points() -> list[EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - 30 ms that most configurations need not spend

    return [point for point in entry_points(group=ENTRY_POINTS) if point.name not in _ADAPTERS]
