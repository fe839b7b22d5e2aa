"""Which providers there are: name to profile and adapter."""

from __future__ import annotations

import difflib

from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import Adapter
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.twelvedata import TwelveData

_ADAPTERS: dict[str, type[Adapter]] = {adapter.profile.name: adapter for adapter in (TwelveData,)}


def provider_names() -> tuple[str, ...]:
    """The providers that can be used, in alphabetical order."""
    return tuple(sorted(_ADAPTERS))


def profile(name: str) -> Profile:
    """What is known of provider `name`.

    Raises:
        ValueError: there is no such provider; the text names the nearest.
    """
    return _adapter(name).profile


def create(name: str, *, feed: str = "", api_key: Secret | None = None, endpoint: str | None = None) -> Adapter:
    """A new adapter of provider `name` for one connection of the feed `feed`.

    Raises:
        ValueError: as `profile`.
    """
    return _adapter(name)(feed=feed, api_key=api_key, endpoint=endpoint)


def _adapter(name: str) -> type[Adapter]:
    try:
        return _ADAPTERS[name]
    except KeyError:
        near = difflib.get_close_matches(name, _ADAPTERS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(provider_names())}"
        raise ValueError(f"unknown provider {name!r}: {hint}") from None
