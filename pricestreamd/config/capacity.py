"""How many symbols of a feed fit on its connections, and how many connections share one key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pricestreamd.config.settings import Settings
from pricestreamd.config.yaml_text import Fault
from pricestreamd.feeds.placement import Room, place
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.terms import profile_of
from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.profile import Profile


@dataclass(frozen=True, slots=True)
class Placement:
    """Which symbols of a feed are asked for, over how many connections, and which have no place in `room`."""

    placed: tuple[str, ...]
    left: tuple[str, ...]
    connections: int
    room: Room


def placement(feed: FeedSettings) -> Placement:
    """The symbols of `feed`, each once, the first ones first, as they fit on its connections."""
    about = _profile(feed)
    room = Room(
        (0,),
        feed.max_symbols_per_connection or (about.max_symbols_per_connection if about else None),
        feed.max_connections or (about.max_connections if about else None),
    )
    symbols = {symbol_key(symbol): symbol for symbol in reversed(feed.symbols)}
    keys = list(symbols)[::-1]
    places = place(keys, {}, (), room)
    return Placement(
        tuple(symbols[key] for key in keys if key in places),
        tuple(symbols[key] for key in keys if key not in places),
        len(set(places.values())) or 1,
        room,
    )


def beyond_capacity(settings: Settings) -> list[Fault]:
    """A warning for each feed with more symbols than it can ask for, and for each key that is shared too often."""
    return [*_left_out(settings), *_shared_keys(settings)]


def _left_out(settings: Settings) -> Iterator[Fault]:
    for name, feed in settings.feeds.items():
        fit = placement(feed)
        if fit.left:
            count = len(fit.placed) + len(fit.left)
            verb = "does" if len(fit.left) == 1 else "do"
            at_most = fit.room.slots_at_most
            where = (
                "the one connection, which takes" if at_most == 1 else f"the {at_most} connections, each of which takes"
            )
            message = f"{len(fit.left)} of {count} symbols {verb} not fit on {where} {fit.room.symbols}"
            yield Fault(("feeds", name, "symbols"), f"{message}; left out: {', '.join(fit.left)}")


def _shared_keys(settings: Settings) -> Iterator[Fault]:
    """Feeds with one key and one provider: together they may need more connections than the key has."""
    users: dict[tuple[str, str], list[str]] = {}
    for name, feed in settings.feeds.items():
        if feed.api_key is not None:
            users.setdefault((feed.provider, feed.api_key.reveal()), []).append(name)
    for names in users.values():
        about = _profile(settings.feeds[names[0]])
        allowed = about.max_connections if about is not None else None
        needed = sum(placement(settings.feeds[name]).connections for name in names)
        if len(names) > 1 and allowed is not None and needed > allowed:
            message = f"shares its key with {', '.join(names[:-1])}: together they need {needed} connections, and the "
            yield Fault(("feeds", names[-1], "provider"), f"{message}provider allows {allowed} with one key")


def _profile(feed: FeedSettings) -> Profile | None:
    try:
        return profile_of(feed)
    except ValueError:  # not built yet
        return None
