"""What must be true of a daemon's firings after any number of crashes, checked against the path of prices.

`broken_promises` names whatever is not, each in a sentence. Firings are the events of the state in the order of their
commits; between two of the same condition there must have been a price at which it was false, whatever the daemon saw
of it: otherwise one crossing has two ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.support.crash_market import (
    COOLDOWN_SECONDS,
    HOLD_SECONDS,
    MOVE_PERCENT,
    WAVES,
    Market,
    kind_of,
    price,
    threshold,
    volume,
)

# Between the clock of a timer and that of a price there is the way through the socket.
SLACK_SECONDS = 0.1


@dataclass(frozen=True)
class Watched:
    """One condition as the path knows it: when it is true, and when it is false so that it may fire again."""

    holds: Callable[[str, int], bool]
    is_over: Callable[[str, int], bool]


def _above(limit: float, back: float | None = None) -> Watched:
    return Watched(
        lambda kind, beat: price(kind, beat) >= limit,
        lambda kind, beat: price(kind, beat) < limit if back is None else price(kind, beat) <= back,
    )


def _below(limit: float, back: float | None = None) -> Watched:
    return Watched(
        lambda kind, beat: price(kind, beat) <= limit,
        lambda kind, beat: price(kind, beat) > limit if back is None else price(kind, beat) >= back,
    )


def _pair(kind: str, beat: int) -> bool:
    return price(kind, beat) >= 100 and volume(beat) >= 1000


WATCHED: Mapping[tuple[str, str], Watched] = {
    ("over", "price_above_104.00"): _above(104),
    ("under", "price_below_96.00"): _below(96, 96 * 1.01),
    ("either", "price_above_106.00"): _above(106),
    ("either", "price_below_94.00"): _below(94),
    ("cool", "price_above_103.00"): _above(103),
    ("held", "price_above_100.00"): _above(100),
    ("pair", "price_above_100.00+day_volume_above_1000.00"): Watched(_pair, lambda kind, beat: not _pair(kind, beat)),
}

_KINDS_OF = {"over": WAVES, "under": WAVES, "either": WAVES[:1], "pair": ("BOTH",)}


def broken_promises(
    market: Market,
    committed: Mapping[str, dict[str, Any]],
    accepted: Sequence[tuple[str, Any]],
    made: Mapping[str, float],
) -> Iterator[str]:
    """`committed`: id to event, in the order of commits. `accepted`: (id, body) as the receiver took them.

    `made`: the alerts that were made over the API, with their thresholds.
    """
    yield from _of_delivery(committed, accepted)
    series: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in committed.values():
        series[event["alert_id"], event["symbol"], event["alert_reason"]].append(event)
    for (alert, symbol, reason), events in series.items():
        where = f"{alert} on {symbol} ({reason})"
        if alert.startswith("first-"):
            yield from _of_once(where, events)
            watched = _above(threshold(int(alert.removeprefix("first-"))))
        elif alert in made:
            watched = _above(made[alert])
        elif alert == "move":
            yield from _of_moves(where, market, events)
            continue
        elif (alert, reason) in WATCHED:
            watched = WATCHED[alert, reason]
        else:
            yield f"nobody set {where}"
            continue
        yield from _of_crossings(where, market, events, watched)
        if alert == "cool":
            yield from _of_cooldown(where, events)


def _of_delivery(committed: Mapping[str, dict[str, Any]], accepted: Sequence[tuple[str, Any]]) -> Iterator[str]:
    bodies: dict[str, Any] = {}
    for firing, body in accepted:
        if firing not in committed:
            yield f"{firing} was delivered and never committed: {body}"
        elif body != committed[firing]:
            yield f"{firing} was delivered as {body}, and committed as {committed[firing]}"
        if bodies.setdefault(firing, body) != body:
            yield f"{firing} was delivered with two bodies"
    for firing in committed.keys() - bodies.keys():
        yield f"{firing} was committed and never delivered: {committed[firing]['alert_text']}"


def _of_once(where: str, events: Sequence[dict[str, Any]]) -> Iterator[str]:
    if len(events) > 1:
        yield f"{where} is to fire once and fired {len(events)} times: {[each['alert_text'] for each in events]}"


def _beat(market: Market, event: dict[str, Any]) -> int:
    return market.beat(event["timestamp"])


def _of_crossings(where: str, market: Market, events: Sequence[dict[str, Any]], watched: Watched) -> Iterator[str]:
    for event in events:
        kind, beat = kind_of(event["symbol"]), _beat(market, event)
        if event["alert_id"] == "held":
            # It fires when the time is over, be it between two prices, and of those it has seen the first.
            beat = market.beat(event["timestamp"] - HOLD_SECONDS) if not watched.holds(kind, beat) else beat
        elif event["price"] != price(kind, beat):
            yield f"{where}: the price of beat {beat} was {price(kind, beat)}, not {event['price']}"
        if not watched.holds(kind, beat):
            yield f"{where} fired at {price(kind, beat)}: {event['alert_text']}"
    for one, other in pairwise(events):
        kind, begin, end = kind_of(one["symbol"]), _beat(market, one), _beat(market, other)
        if not any(watched.is_over(kind, beat) for beat in range(begin + 1, end)):
            yield f"{where} fired twice for one crossing, as {one['firing_id']} and {other['firing_id']}: beats {begin}, {end}"


def _of_cooldown(where: str, events: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one, other in pairwise(events):
        seconds = other["received_at"] - one["received_at"]
        if seconds < COOLDOWN_SECONDS - SLACK_SECONDS:
            yield f"{where} fired again after {seconds:.3f} s"


def _of_moves(where: str, market: Market, events: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Each begins where the one before it has ended."""
    for event in events:
        if abs(event["alert_value"]) < MOVE_PERCENT:
            yield f"{where} fired at {event['alert_value']} %"
    for one, other in pairwise(events):
        if other["alert_baseline"] != one["price"]:
            yield f"{where} measured from {other['alert_baseline']}; it had fired at {one['price']} before"
        if _beat(market, one) >= _beat(market, other):
            yield f"{where} fired twice at beat {_beat(market, one)}"


def missed_crossings(
    market: Market, lane: int, committed: Mapping[str, dict[str, Any]], begin: int, end: int
) -> Iterator[str]:
    """A lane was told every price from `begin` to `end`: whether each crossing has fired, at its very beat."""
    fired: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for event in committed.values():
        fired[event["alert_id"], event["symbol"], event["alert_reason"]].append(_beat(market, event))
    for (alert, reason), watched in WATCHED.items():
        if alert in ("cool", "held"):
            continue
        for kind in _KINDS_OF[alert]:
            expected = list(_crossings(kind, watched, begin, end))
            found = fired[alert, f"{kind}.{lane}", reason]
            if expected and [beat for beat in found if expected[0] <= beat <= end] != expected:
                yield f"{alert} on {kind}.{lane} ({reason}) was to fire at {expected}, and fired at {found}"


def _crossings(kind: str, watched: Watched, begin: int, end: int) -> Iterator[int]:
    """The beats at which it becomes true, the first of them after it was seen to be false."""
    over = False
    for beat in range(begin, end + 1):
        if watched.is_over(kind, beat):
            over = True
        elif over and watched.holds(kind, beat):
            yield beat
            over = False
