"""What the alerts of all symbols share: the clocks, the deadlines, and the list of what has changed."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pricestreamd.stream.alerts.alert import AlertState
    from pricestreamd.stream.alerts.condition import ConditionState
    from pricestreamd.stream.alerts.firing import Hold

Clock = Callable[[], float]
# So many deadlines may be called off before anybody looks.
_ROOM = 64


class LargestTime:
    """The clock of a stream that has none: the largest time that it was shown, 0 before the first."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0.0

    def read(self) -> float:
        """The time."""
        return self.latest

    def show(self, at: float) -> None:
        """It is `at`, or later."""
        self.latest = max(self.latest, at)


class Deadlines:
    """Conditions that fire when they have held long enough, the earliest first. Times are those of the timers' clock.

    What was called off stays in the heap until its turn comes, or until it is most of the heap. `earliest` is a time
    before which nothing is due; `on_earlier` hears of it when it moves forward, so that a timer can be set.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, ConditionState, Hold]] = []
        self._room = _ROOM
        self._numbers = itertools.count()
        self.earliest = math.inf
        self.on_earlier: Callable[[float], object] | None = None

    def add(self, due: float, condition: ConditionState, hold: Hold) -> None:
        """`condition` is to be asked at `due`, if it still holds by `hold` then."""
        if len(self._heap) >= self._room:
            self._heap = [entry for entry in self._heap if entry[2].hold is entry[3]]
            heapq.heapify(self._heap)
            self._room = max(_ROOM, 2 * len(self._heap))
        heapq.heappush(self._heap, (due, next(self._numbers), condition, hold))
        if due < self.earliest:
            self.earliest = due
            if self.on_earlier is not None:
                self.on_earlier(due)

    def next(self) -> float:
        """The earliest; infinity where there is none."""
        heap = self._heap
        while heap and heap[0][2].hold is not heap[0][3]:
            heapq.heappop(heap)
        self.earliest = heap[0][0] if heap else math.inf
        return self.earliest

    def pop(self, now: float) -> tuple[ConditionState, Hold] | None:
        """A condition whose time has come by `now`, the earliest first; None where there is none."""
        if not (self.next() <= now and self._heap):
            return None
        return heapq.heappop(self._heap)[2:]


class News(NamedTuple):
    """An alert became blind, or sees again, for this reason at this time."""

    alert: AlertState
    reason: str
    blind: bool
    timestamp: float


@dataclass(slots=True, eq=False)
class AlertLedger:
    """`now` is the clock of timers (monotonic, or a replay's), `wall` gives UTC epoch seconds; `run` names the run.

    `changed` are the alerts whose record differs from the one taken last, `gone` the (alert id, symbol) of those that
    are no more; `turned`: one of the changes must not be lost, a firing or an arming. `news` are alerts that have
    become blind or can see again, in order.
    """

    now: Clock
    wall: Clock
    deadlines: Deadlines = field(default_factory=Deadlines)
    changed: dict[AlertState, None] = field(default_factory=dict)
    gone: dict[tuple[str, str], None] = field(default_factory=dict)
    turned: bool = False
    run: str = ""
    news: list[News] = field(default_factory=list)
    blind: dict[AlertState, None] = field(default_factory=dict)
    revision: int = 0
    """Grows whenever an alert is set, removed or done, or a symbol comes or goes."""

    def forget(self, alert: AlertState) -> None:
        """`alert` is no more, or another has taken its place."""
        self.blind.pop(alert, None)
        self.changed.pop(alert, None)
        self.gone[(alert.rule.alert_id, alert.key)] = None
        self.revision += 1
