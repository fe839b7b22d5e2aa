"""Which symbols are silent for too long: measured against a written limit, or against each symbol's own rhythm.

Nobody tells these clocks about single ticks. About once a second `SymbolClocks.look` compares each symbol's last tick
with the one it saw before; so times here are one look late at most, and several ticks between two looks are one.
Silence is measured on the monotonic clock. The wall clock decides only whether a market is open, so setting it makes
nobody silent.

- *Expected*: the symbol's subscription is live. Silence counts while its market is open, from the last tick, the
  opening or the moment when it became expected, whichever is latest.
- *Paused*: its connection is down. It is not judged, and what was learned stays.
- *Stale*: reported as silent for too long, until a tick comes, through pauses too. When its market closes it is stale
  no longer; but the next tick, whenever it comes, is still reported as its resumption.

A symbol without known hours is held to a written limit always, and to a learned one never: nobody could tell its nights
from a fault. Gaps over a closed market or an outage are not learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from pricestreamd.feeds.silence.gaps import GAPS_TO_LEARN, UNLEARNED, Gaps
from pricestreamd.feeds.silence.hours import Hours
from pricestreamd.model.tick import Tick

# A look that comes so many seconds after the one before is late: the process was held up, and what has arrived may be
# unread. What is beyond it is no silence of others.
_LATE = 5.0
# So many seconds lost, by either clock, mean that the machine slept. What is dead then is found by other clocks first.
_ASLEEP = 30.0
_AWAKE_AFTER = 60.0
# A stale symbol that is subscribed anew is paused for a moment; for longer, it is an outage.
_RESUBSCRIPTION = 30.0
# Two clocks are compared across one look.
_PRECISION = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a look has found: symbols that became stale, and those that are heard again; with seconds of silence."""

    stale: list[tuple[str, float]]
    resumed: list[tuple[str, float]]


class _Clock:
    """One symbol. Its silence runs from `since`; `limit` is infinite while it is known to be stale."""

    __slots__ = ("gaps", "group", "heard", "limit", "paused_at", "silent_before", "since", "tick", "whole", "written")

    def __init__(self, group: _Group, stale_after: float | Literal["learned"] | None) -> None:
        self.group = group
        self.gaps = Gaps() if stale_after == "learned" else None
        self.written = inf if stale_after is None or stale_after == "learned" else stale_after
        self.tick: Tick | None = None
        self.since = 0.0
        self.limit = inf
        self.heard = False
        """The next tick ends an ordinary gap: the silence began with a tick, and nothing has happened since."""
        self.whole = False
        """Where `heard` is false: the silence may be learned from all the same. The wait for the first tick after an
        opening or a subscription is one of those of a symbol that is hardly known."""
        self.paused_at = -inf
        self.silent_before = 0.0
        """Silence in earlier sessions that was reported and has not ended."""

    @property
    def allowed(self) -> float:
        """How long it may be silent."""
        return self.written if self.gaps is None else self.gaps.limit

    def begin(self, now: float, *, opening: bool) -> None:
        """A silence begins that no tick has begun, but an opening or a subscription."""
        self.since = now
        self.limit = max(self.allowed, UNLEARNED) if opening and self.gaps is not None else self.allowed
        self.heard = False
        self.whole = self.gaps is not None and self.gaps.known < GAPS_TO_LEARN

    def end(self, now: float, *, learn: bool) -> None:
        """A tick has come: the next silence begins."""
        if learn and self.gaps is not None:
            self.gaps.learn(now - self.since)
        self.limit = self.allowed
        self.since = now
        self.heard = True
        self.silent_before = 0.0


class _Group:
    """The symbols of one market: those that are expected."""

    __slots__ = ("clocks", "hours", "is_open")

    def __init__(self, hours: Hours | None) -> None:
        self.hours = hours
        self.clocks: dict[str, _Clock] = {}
        self.is_open: bool | None = None
        """As the last look found it; None before the first."""


class SymbolClocks:
    """The clocks of the symbols of a feed. `now` is monotonic, `at` is epoch seconds; `stale_after` None judges nobody.

    `hours_of` is asked once for each symbol.
    """

    def __init__(self, stale_after: float | Literal["learned"] | None, hours_of: Callable[[str], Hours | None]) -> None:
        self._stale_after = stale_after
        self._hours_of = hours_of
        self._groups: dict[Hours | None, _Group] = {}
        self._clocks: dict[str, _Clock] = {}
        self._stale: set[str] = set()
        # Reported as stale, and not yet as resumed.
        self._owed: dict[str, _Clock] = {}
        # Expected since the last look: what is in memory of them may be old.
        self._new: set[str] = set()
        self._last_look = (inf, inf)
        self._judged_from = -inf

    @property
    def stale(self) -> frozenset[str]:
        """The symbols that are silent for too long while their market is open."""
        return frozenset(self._stale)

    def expect(self, symbol: str, now: float) -> None:
        """The subscription of `symbol` is live from now on. It changes nothing if it was live already."""
        clock = self._clocks.get(symbol)
        if clock is None:
            clock = self._clocks[symbol] = self._clock(symbol)
        if symbol in clock.group.clocks:
            return
        clock.group.clocks[symbol] = clock
        if symbol not in self._stale:
            clock.begin(now, opening=False)
            self._new.add(symbol)
        elif now - clock.paused_at > _RESUBSCRIPTION:
            clock.whole = False

    def pause(self, symbol: str) -> None:
        """Nothing can be expected of `symbol`; what was learned stays."""
        clock = self._clocks.get(symbol)
        if clock is not None and symbol in clock.group.clocks:
            del clock.group.clocks[symbol]
            clock.paused_at = self._last_look[0]

    def forget(self, symbol: str) -> None:
        """Nobody wants `symbol` any more."""
        self.pause(symbol)
        self._clocks.pop(symbol, None)
        self._owed.pop(symbol, None)
        self._stale.discard(symbol)
        self._new.discard(symbol)

    def look(self, latest: Mapping[str, Tick], now: float, at: float) -> Look:
        """Compare with the look before. `latest` holds each symbol's last tick, the same object while none is newer."""
        self._watch_ourselves(now, at)
        found = Look([], [])
        if self._stale_after is None:
            return found
        self._take_stock(latest, now, at)
        for group in self._groups.values():
            is_open = group.hours is None or group.hours.is_open(at)
            if is_open != group.is_open:
                self._open_or_close(group, latest, now, is_open=is_open)
            if is_open and (group.hours is not None or self._stale_after != "learned"):
                self._look_at(group, latest, now, found)
        if self._owed:
            self._resume(latest, now, found)
        return found

    def _clock(self, symbol: str) -> _Clock:
        hours = self._hours_of(symbol)
        group = self._groups.get(hours)
        if group is None:
            group = self._groups[hours] = _Group(hours)
        return _Clock(group, self._stale_after)

    def _watch_ourselves(self, now: float, at: float) -> None:
        """Judge nobody while we ourselves were away: all silences are shorter by as much."""
        before, before_at = self._last_look
        self._last_look = (now, at)
        late = now - before - _LATE
        if late > 0:
            self._judged_from = max(self._judged_from, now + _LATE)
            for clock in self._clocks.values():
                clock.since = min(clock.since + late, now)
        if max(now - before, at - before_at) > _ASLEEP:
            self._judged_from = now + _AWAKE_AFTER

    def _take_stock(self, latest: Mapping[str, Tick], now: float, at: float) -> None:
        """Of the symbols that are expected since the last look, tell ticks that came since then from older ones."""
        for symbol in self._new:
            clock, tick = self._clocks[symbol], latest.get(symbol)
            is_old = tick is None or at - tick.received_at > now - clock.since + _PRECISION
            if is_old and symbol not in self._owed:
                clock.tick = tick
        self._new.clear()

    def _open_or_close(self, group: _Group, latest: Mapping[str, Tick], now: float, *, is_open: bool) -> None:
        was_known, group.is_open = group.is_open is not None, is_open
        if not is_open:
            for symbol in [symbol for symbol in self._stale if self._clocks[symbol].group is group]:
                clock = self._clocks[symbol]
                clock.silent_before += now - clock.since
                self._stale.discard(symbol)
        elif was_known:
            for symbol, clock in group.clocks.items():
                clock.begin(now, opening=True)
                if symbol not in self._owed:
                    clock.tick = latest.get(symbol)

    def _look_at(self, group: _Group, latest: Mapping[str, Tick], now: float, found: Look) -> None:
        """One market that is open. This loop is all that 10,000 symbols cost every second."""
        get = latest.get
        silent: list[tuple[str, _Clock]] = []
        for symbol, clock in group.clocks.items():
            tick = get(symbol)
            if tick is clock.tick:
                if now - clock.since >= clock.limit:
                    silent.append((symbol, clock))
            elif clock.heard and tick is not None and not tick.late:
                gap = now - clock.since
                clock.since = now
                clock.tick = tick
                gaps = clock.gaps
                if gaps is not None and gaps.learn(gap):
                    clock.limit = gaps.limit
            elif symbol not in self._owed:
                clock.tick = tick
                if tick is not None and not tick.late:
                    clock.end(now, learn=clock.whole)
        if now >= self._judged_from:
            for symbol, clock in silent:
                found.stale.append((symbol, now - clock.since))
                self._stale.add(symbol)
                self._owed[symbol] = clock
                clock.whole |= clock.heard
                clock.heard = False
                clock.limit = inf

    def _resume(self, latest: Mapping[str, Tick], now: float, found: Look) -> None:
        """Those that were reported as stale, expected or not, their market open or not."""
        for symbol, clock in list(self._owed.items()):
            tick = latest.get(symbol)
            if tick is clock.tick:
                continue
            clock.tick = tick
            if tick is None or tick.late:
                continue
            running = symbol in self._stale or (symbol in clock.group.clocks and clock.group.is_open)
            found.resumed.append((symbol, clock.silent_before + (now - clock.since if running else 0.0)))
            clock.end(now, learn=clock.whole and symbol in self._stale)
            del self._owed[symbol]
            self._stale.discard(symbol)
