"""The account of the alerts of a replay: how often each fired, when, what was held back, and what were storms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pricestreamd.model.events import PriceAlert
from pricestreamd.stream.alerts.storm import StormMeter, StormTally
from pricestreamd.stream.board import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Firings:
    """The firings of an alert: of one symbol, or of all together.

    `held_back`: occasions that the cooldown counted and that were no firings. `first` and `last` are event times in
    epoch seconds, None without a firing; `last_text` is the sentence of the last. `storms` to `saved_deliveries` are
    explained in `stream.alerts.storm.StormTally`; a storm is one of one symbol.
    """

    firings: int = 0
    held_back: int = 0
    first: float | None = None
    last: float | None = None
    last_text: str | None = None
    storms: int = 0
    longest_storm_seconds: float = 0.0
    worst_minute: int = 0
    saved_deliveries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAccount(Firings):
    """One alert. `covered`: symbols of the replay that it is on; `symbols` has those of them where anything came of it.

    What is held for all of them together is the sum; of times and of storms, what goes farthest.
    """

    covered: int = 0
    symbols: Mapping[str, Firings] = field(default_factory=dict)


@dataclass(slots=True)
class _Ends:
    """The first and the last firing of one alert on one symbol."""

    first: float
    last: PriceAlert


class FiringBook:
    """Hears every firing. `per_minute`: so many of one alert and symbol in a minute are no storm."""

    def __init__(self, per_minute: int) -> None:
        self._storms = StormMeter(per_minute)
        self._ends: dict[tuple[str, str], _Ends] = {}

    def hear(self, event: PriceAlert) -> None:
        """An alert fired."""
        place = event.alert_id, event.symbol
        self._storms.add(*place, event.timestamp)
        ends = self._ends.get(place)
        if ends is None:
            self._ends[place] = _Ends(event.timestamp, event)
        else:
            ends.last = event

    def accounts(self, board: Board) -> dict[str, AlertAccount]:
        """By alert id, in the order in which the alerts of `board` were set."""
        found: dict[str, dict[str, Firings]] = defaultdict(dict)
        covered: dict[str, int] = defaultdict(int)
        for symbol, state in board.by_symbol.items():
            for alert_id, alert in state.alerts.alerts.items():
                covered[alert_id] += 1
                tally = self._storms.tally(alert_id, symbol)
                if tally.firings or alert.held_back:
                    found[alert_id][symbol] = _firings(tally, alert.held_back, self._ends.get((alert_id, symbol)))
        return {rule.alert_id: _together(found[rule.alert_id], covered[rule.alert_id]) for rule in board.alerts()}


def _firings(tally: StormTally, held_back: int, ends: _Ends | None) -> Firings:
    return Firings(
        firings=tally.firings,
        held_back=held_back,
        first=ends.first if ends is not None else None,
        last=ends.last.timestamp if ends is not None else None,
        last_text=ends.last.alert_text if ends is not None else None,
        storms=tally.storms,
        longest_storm_seconds=tally.longest_seconds,
        worst_minute=tally.worst_minute,
        saved_deliveries=tally.saved,
    )


def _together(symbols: Mapping[str, Firings], covered: int) -> AlertAccount:
    parts: Iterable[Firings] = symbols.values()
    fired = [part for part in parts if part.first is not None and part.last is not None]
    latest = max(fired, key=lambda part: part.last or 0.0, default=None)
    return AlertAccount(
        firings=sum(part.firings for part in parts),
        held_back=sum(part.held_back for part in parts),
        first=min((part.first for part in fired if part.first is not None), default=None),
        last=latest.last if latest is not None else None,
        last_text=latest.last_text if latest is not None else None,
        storms=sum(part.storms for part in parts),
        longest_storm_seconds=max((part.longest_storm_seconds for part in parts), default=0.0),
        worst_minute=max((part.worst_minute for part in parts), default=0),
        saved_deliveries=sum(part.saved_deliveries for part in parts),
        covered=covered,
        symbols=symbols,
    )
