"""What a reload has to do: two configurations in, their differences out. Pure.

Nearly everything can change while the daemon runs. A feed takes its symbols, watchlist, room, hours, key and timing on
its open connections; where anything else of it differs it is replaced. The few keys that take effect at a restart are
told by name; what must not change meanwhile (`http.listen`, `state.path`) refuses the reload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import settings_of
from pricestreamd.feeds.settings import LIVE_SETTINGS
from pricestreamd.model.errors import ConfigError, Problem
from pricestreamd.model.tick import symbol_key

FIXED = ("http.listen", "state.path")
# Read once, at the start.
AT_START = ("http.tls", "logging.format", "logging.stats_interval")


@dataclass(frozen=True, slots=True)
class SymbolChanges:
    """Symbols that one feed gains and loses, in the order in which they are written."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between two configurations.

    `symbols` has an entry for each feed of both configurations whose symbols differ. `feeds_replaced` have to be made
    anew. Of all keys that differ, `changed` holds those that count at once, `restart` those that take effect at the
    next start, `refused` those that cannot change at all meanwhile.
    """

    symbols: Mapping[str, SymbolChanges] = field(default_factory=dict)
    feeds_added: tuple[str, ...] = ()
    feeds_removed: tuple[str, ...] = ()
    feeds_replaced: tuple[str, ...] = ()
    stream: bool = False
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return self != Changes()

    def refuse(self, path: str) -> None:
        """Raise if something changed that cannot; `path` is the file that asks for it.

        Raises:
            ConfigError: names each such key.
        """
        if self.refused:
            message = "cannot change while running: restart, or put the old value back"
            raise ConfigError(*(Problem(path, 0, 0, key, message) for key in self.refused))


def plan(old: Settings, new: Settings) -> Changes:
    """What has to change for `new` to hold instead of `old`."""
    keys = list(_differences(old, new, ()))
    names = [".".join(key) for key in keys]
    replaced = {
        key[1]
        for key in keys
        # With another shape of settings (a provider that is described in the file) the whole feed differs.
        if key[0] == "feeds" and key[1] in old.feeds and key[1] in new.feeds
        if len(key) == 2 or key[2] not in LIVE_SETTINGS
    }
    return Changes(
        symbols=_symbols(old, new),
        feeds_added=tuple(name for name in new.feeds if name not in old.feeds),
        feeds_removed=tuple(name for name in old.feeds if name not in new.feeds),
        feeds_replaced=tuple(name for name in new.feeds if name in replaced),
        stream=old.stream != new.stream,
        changed=tuple(name for name in names if not _is_of(name, (*FIXED, *AT_START))),
        restart=tuple(name for name in names if _is_of(name, AT_START)),
        refused=tuple(name for name in names if _is_of(name, FIXED)),
    )


def _is_of(name: str, keys: Iterable[str]) -> bool:
    """Whether `name` is one of `keys`, or below one."""
    return any(name == key or name.startswith(f"{key}.") for key in keys)


def _symbols(old: Settings, new: Settings) -> dict[str, SymbolChanges]:
    """By feed; symbols are compared as they are matched, without regard to case."""
    found = {}
    for name in old.feeds.keys() & new.feeds.keys():
        before, after = old.feeds[name].symbols, new.feeds[name].symbols
        known, wanted = {symbol_key(symbol) for symbol in before}, {symbol_key(symbol) for symbol in after}
        changes = SymbolChanges(
            added=tuple(symbol for symbol in after if symbol_key(symbol) not in known),
            removed=tuple(symbol for symbol in before if symbol_key(symbol) not in wanted),
        )
        if changes.added or changes.removed:
            found[name] = changes
    return found


def _differences(old: Any, new: Any, key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The keys at which two settings differ, as deep as both have the same shape."""
    if type(old) is type(new) and is_dataclass(old) and not isinstance(old, type):
        for name, setting in settings_of(type(old)).items():
            yield from _differences(getattr(old, setting.name), getattr(new, setting.name), (*key, name))
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            if name not in old or name not in new:
                yield (*key, name)
            else:
                yield from _differences(old[name], new[name], (*key, name))
    elif old != new:
        yield key
