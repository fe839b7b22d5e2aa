"""Which providers there are: name to profile and adapter."""

from __future__ import annotations

import difflib

from pricestreamd.providers.base import Adapter, Terms
from pricestreamd.providers.description import Description
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.twelvedata import TwelveData

_ADAPTERS: dict[str, type[Adapter]] = {adapter.profile.name: adapter for adapter in (TwelveData,)}


def provider_names() -> tuple[str, ...]:
    """The providers that can be used, in alphabetical order."""
    return tuple(sorted(_ADAPTERS))


def profile(name: str, description: Description | None = None) -> Profile:
    """What is known of provider `name`; `description`: the protocol, where the file describes it.

    Raises:
        ValueError: there is no such provider; the text names the nearest.
    """
    return _adapter(name).profile_of(description)


def create(name: str, terms: Terms | None = None) -> Adapter:
    """A new adapter of provider `name` for one connection.

    Raises:
        ValueError: as `profile`.
    """
    return _adapter(name)(terms)


def _adapter(name: str) -> type[Adapter]:
    try:
        return _ADAPTERS[name]
    except KeyError:
        near = difflib.get_close_matches(name, _ADAPTERS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(provider_names())}"
        raise ValueError(f"unknown provider {name!r}: {hint}") from None
