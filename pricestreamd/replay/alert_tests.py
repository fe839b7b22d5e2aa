"""Tests of alerts: the ticks of a test through the stream on a virtual clock, and what came against what was expected.

Every expected event must come, at its time (to the millisecond); and no `price.alert` may come that is not expected.
Other events count only where they are expected. After the last tick the time goes on until no alert waits for anything
any more. Which expectation is met by which event does not depend on the order in which they are written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from pricestreamd.model.events import AlertBlind, Event, PriceAlert, PriceUpdate
from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.replay.settings import AlertTestEvent, AlertTestSettings
from pricestreamd.replay.virtual_stream import VirtualStream
from pricestreamd.stream.alert_rule import AlertRule, exact
from pricestreamd.stream.alerts.explain import AlertExplanation, TermExplanation
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.alerts.text import span
from pricestreamd.stream.settings import StreamSettings

FEED = "test"
"""The feed of every tick of a test."""

# Sums of times are exact to less than a microsecond.
_TOLERANCE = 0.0005
# The reasons of moves.
_IN_PER_CENT = ("change_percent", "trailing")
# What a message names of what may be many.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong. `expected` is the position in `expect` of what did not come; None: something came unexpected."""

    expected: int | None
    message: str


class AlertTester:
    """Runs tests of `rules` as a stream of these `settings` would apply them; `hours_of` knows market hours."""

    def __init__(self, settings: StreamSettings, rules: Sequence[AlertRule], hours_of: HoursOf) -> None:
        self._settings = settings
        self._rules = rules
        self._hours_of = hours_of

    def failures(self, test: AlertTestSettings) -> list[Failure]:
        """What is wrong with what came of `test`; empty where it passes."""
        played = self._play(test)
        counted = {PriceAlert.event, *(wanted.event for wanted in test.expect)}
        events = [event for event in played.events if event.event in counted]
        met = _met(test, events)
        failures = [
            Failure(index, self._missed(test, wanted, events))
            for index, wanted in enumerate(test.expect)
            if index not in met.values()
        ]
        start = test.start.timestamp()
        failures += [
            Failure(None, f"unexpected {_told(event, start)}: {event.alert_text}")
            for index, event in enumerate(events)
            if index not in met and isinstance(event, PriceAlert)
        ]
        return failures

    def _play(self, test: AlertTestSettings, until: float = inf) -> _Played:
        """Play the ticks of `test` up to `until`, in epoch seconds, and let the time go on to there."""
        start = test.start.timestamp()
        symbols = {tick.symbol for tick in test.ticks}
        rules = [rule for rule in self._rules if any(map(rule.covers, symbols))]
        rejected: list[tuple[Tick, str]] = []
        stream = VirtualStream(
            self._settings, rules, self._hours_of, on_reject=lambda tick, reason: rejected.append((tick, reason))
        )
        played = _Played(stream, rejected)
        stream.dispatcher.attach("*", played.events.append, name="alert test", ours=True)
        ticks = (_tick(tick.symbol, tick.price, start + tick.at, tick.volume) for tick in test.ticks)
        stream.feed(tick for tick in ticks if tick.timestamp <= until)
        stream.let_time_pass(until)
        return played

    def _missed(self, test: AlertTestSettings, wanted: AlertTestEvent, events: Iterable[Event]) -> str:
        """That `wanted` did not come, what came instead, and why."""
        start = test.start.timestamp()
        came = [_told(event, start) for event in events if event.event == wanted.event]
        others = ", ".join(came[:_NAMED]) + (f" and {len(came) - _NAMED} more" if len(came) > _NAMED else "")
        message = f"expected {_wished(wanted)}, got none; what came: {others or 'nothing'}"
        # As it stood then, not as it stands at the end.
        played = self._play(test, inf if wanted.at is None else start + wanted.at)
        reasons = [*played.doubts(start), *(played.reasons(wanted) if wanted.event == PriceAlert.event else ())]
        return f"{message}; why not: {'; '.join(reasons)}" if reasons else message


@dataclass(slots=True)
class _Played:
    stream: VirtualStream
    rejected: list[tuple[Tick, str]]
    events: list[Event] = field(default_factory=list)

    def doubts(self, start: float) -> list[str]:
        """Prices that did not count."""
        found = [
            f"the price {exact(event.price)} of {event.symbol} at {span(event.timestamp - start)} was suspect "
            "(stream.suspect): it counts when a second price near it comes"
            for event in self.events
            if isinstance(event, PriceUpdate) and event.suspect
        ]
        found += [
            f"the price of {tick.symbol} at {span(tick.timestamp - start)} was rejected ({reason})"
            for tick, reason in self.rejected
        ]
        return found[:_NAMED]

    def reasons(self, wanted: AlertTestEvent) -> list[str]:
        """Why the alerts that `wanted` may mean are where they are, in sentences."""
        engine = self.stream.engine
        found = []
        for state in engine.board.by_symbol.values():
            if wanted.symbol is not None and symbol_key(wanted.symbol) != symbol_key(state.symbol):
                continue
            for alert_id in state.alerts.alerts:
                explanation = engine.alerts.explain(alert_id, state.symbol)
                if explanation is not None and wanted.alert in (None, alert_id):
                    found += [f"{alert_id} on {state.symbol}: {text}" for text in _why(explanation)]
        return found[:_NAMED]


def _tick(symbol: str, price: float, at: float, volume: float | None) -> Tick:
    return Tick(symbol, price, at, at, volume, None, FEED)


# --- what meets what


def _met(test: AlertTestSettings, events: Sequence[Event]) -> dict[int, int]:
    """Positions of events to those of the expectations that they meet: as many as possible, one for one."""
    start = test.start.timestamp()
    fitting = [[index for index, event in enumerate(events) if _fits(event, one, start)] for one in test.expect]
    owner: dict[int, int] = {}
    held: dict[int, int] = {}
    for wanted in range(len(fitting)):
        # Breadth first from `wanted` over events, and whoever has them, to an event that nobody has.
        reached: dict[int, int] = {}
        waiting = deque([wanted])
        free: int | None = None
        while waiting and free is None:
            one = waiting.popleft()
            for index in fitting[one]:
                if index not in reached:
                    reached[index] = one
                    if index not in owner:
                        free = index
                        break
                    waiting.append(owner[index])
        while free is not None:
            one = reached[free]
            before = held.get(one)
            owner[free], held[one] = one, free
            free = before
    return owner


def _fits(event: Event, wanted: AlertTestEvent, start: float) -> bool:
    symbol = getattr(event, "symbol", "")
    return (
        event.event == wanted.event
        and wanted.alert in (None, getattr(event, "alert_id", None))
        and wanted.reason in (None, getattr(event, "alert_reason", None))
        and (wanted.symbol is None or symbol_key(wanted.symbol) == symbol_key(symbol))
        and (wanted.at is None or abs(event.timestamp - start - wanted.at) < _TOLERANCE)
    )


# --- words


def _wished(wanted: AlertTestEvent) -> str:
    """`price.alert of msft-move for MSFT at 30s`, as far as it is written."""
    parts = [
        wanted.event,
        f"of {wanted.alert}" if wanted.alert is not None else "",
        f"({wanted.reason})" if wanted.reason is not None else "",
        f"for {wanted.symbol}" if wanted.symbol is not None else "",
        f"at {span(wanted.at)}" if wanted.at is not None else "",
    ]
    return " ".join(filter(None, parts))


def _told(event: Event, start: float) -> str:
    of = f" of {event.alert_id}" if isinstance(event, PriceAlert | AlertBlind) else ""
    return f"{event.event}{of} for {getattr(event, 'symbol', '')} at {span(round(event.timestamp - start, 3))}"


def _why(explanation: AlertExplanation) -> list[str]:
    """What holds the alert back, or how far it is from firing."""
    if explanation["suppressed_by"]:
        return list(explanation["suppressed_by"])
    found = []
    for trigger in explanation["triggers"]:
        missing = [_distance(term) for term in trigger["terms"] if not term["true"]]
        if missing:
            found.append(" and ".join(missing))
        elif trigger["evaluations"]:
            last = trigger["evaluations"][-1]
            found.append(f"{trigger['reason']}: {last['outcome']}")
    return found


def _distance(term: TermExplanation) -> str:
    name, value, distance = term["condition"], term["value"], term["distance"]
    if value is None or distance is None:
        return f"{name}: {term['unknown'] or 'not evaluated yet'}"
    unit = " %" if name.startswith(_IN_PER_CENT) else ""
    baseline = f" from {exact(term['baseline'])}" if term["baseline"] is not None else ""
    return f"{name} is not reached: {value:.6g}{unit}{baseline}, {distance:.6g}{unit} is missing"
