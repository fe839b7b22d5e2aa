"""What a reload has to do: two configurations in, their differences out. Pure.

Alerts, the stream, the level of the log, and of a feed its symbols, watchlist, room, hours, key and timing can change
while the daemon runs; everything else takes effect at a restart and is told by name. What a restart alone may change
(`http.listen`, `state.path`) refuses the reload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import settings_of
from pricestreamd.feeds.settings import LIVE_SETTINGS
from pricestreamd.model.errors import ConfigError, Problem
from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.settings import AlertSettings

# Asked for anew each time they are needed.
LIVE_SECTIONS = frozenset({"alerts", "errors", "shutdown_timeout", "stream", "tests"})
# A feed takes these on its open connection, a new key from its next dial on.
FIXED = ("http.listen", "state.path")


@dataclass(frozen=True, slots=True)
class SymbolChanges:
    """Symbols that one feed gains and loses, in the order in which they are written."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between two configurations.

    `symbols` has an entry for each feed of both configurations whose symbols differ; a feed that only one of them has
    is in `restart`. `alerts_changed` are pairs (old, new) of one name. `restart` names the keys that take effect at
    the next start, `refused` those that cannot change at all while the daemon runs.
    """

    symbols: Mapping[str, SymbolChanges] = field(default_factory=dict)
    alerts_added: tuple[AlertSettings, ...] = ()
    alerts_removed: tuple[AlertSettings, ...] = ()
    alerts_changed: tuple[tuple[AlertSettings, AlertSettings], ...] = ()
    stream: bool = False
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
    removed, added, changed = _alerts(old.alerts, new.alerts)
    keys = [key for key in _differences(old, new, ()) if not _is_live(key)]
    names = [".".join(key) for key in keys]
    return Changes(
        symbols=_symbols(old, new),
        alerts_added=added,
        alerts_removed=removed,
        alerts_changed=changed,
        stream=old.stream != new.stream,
        restart=tuple(name for name in names if name not in FIXED),
        refused=tuple(name for name in names if name in FIXED),
    )


def _is_live(key: tuple[str, ...]) -> bool:
    if key[0] in LIVE_SECTIONS or key == ("logging", "level"):
        return True
    return key[0] == "feeds" and len(key) > 2 and key[2] in LIVE_SETTINGS


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


Alerts = tuple[AlertSettings, ...]


def _alerts(old: Alerts, new: Alerts) -> tuple[Alerts, Alerts, tuple[tuple[AlertSettings, AlertSettings], ...]]:
    """Removed, added and changed. A name makes an alert the same one; without a name only its whole text does."""
    named = {alert.name: alert for alert in old if alert.name}
    names = {alert.name for alert in new if alert.name}
    changed = tuple(
        (named[alert.name], alert) for alert in new if alert.name and alert.name in named and named[alert.name] != alert
    )
    left = Counter(alert for alert in old if not alert.name)
    added = []
    for alert in new:
        if alert.name:
            if alert.name not in named:
                added.append(alert)
        elif left[alert]:
            left[alert] -= 1
        else:
            added.append(alert)
    removed = [alert for alert in old if alert.name and alert.name not in names]
    return (*removed, *left.elements()), tuple(added), changed


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
