"""How many symbols of a feed fit on its connection: this version has one for each feed."""

from __future__ import annotations

from dataclasses import dataclass

from pricestreamd.config.settings import Settings
from pricestreamd.config.yaml_text import Fault
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.catalogue import profile


@dataclass(frozen=True, slots=True)
class Placement:
    """Which symbols of a feed are asked for, and which are beyond `cap` (None: there is none)."""

    placed: tuple[str, ...]
    left: tuple[str, ...]
    cap: int | None


def placement(feed: FeedSettings) -> Placement:
    """The symbols of `feed`, each once, the first ones first, as they fit on one connection."""
    cap = feed.max_symbols_per_connection or _cap_of(feed.provider)
    symbols = tuple({symbol_key(symbol): symbol for symbol in reversed(feed.symbols)}.values())[::-1]
    return Placement(symbols[:cap], symbols[cap:] if cap else (), cap)


def _cap_of(provider: str) -> int | None:
    try:
        return profile(provider).max_symbols_per_connection
    except ValueError:  # from a plugin, or not built yet
        return None


def beyond_capacity(settings: Settings) -> list[Fault]:
    """A warning for each feed with more symbols than it can ask for; it names every one of those."""
    found = []
    for name, feed in settings.feeds.items():
        fit = placement(feed)
        if fit.left:
            count = len(fit.placed) + len(fit.left)
            verb = "does" if len(fit.left) == 1 else "do"
            message = f"{len(fit.left)} of {count} symbols {verb} not fit on the one connection, which takes {fit.cap}"
            found.append(Fault(("feeds", name, "symbols"), f"{message}; left out: {', '.join(fit.left)}"))
    return found
