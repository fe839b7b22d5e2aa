"""What the HTTP side needs from the daemon: one Protocol, and the shapes of its answers.

Nothing else of the daemon is known here. Every call is made in the event loop, answers at once, and returns data that
the caller may keep: texts, numbers, lists and mappings that `msgspec` can write as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, NotRequired, Protocol, TypedDict

from pricestreamd.dispatch.listener import ListenerId
from pricestreamd.http.health import FeedHealth
from pricestreamd.model.events import Event
from pricestreamd.model.interface import FeedReport, StreamStats, SymbolReport


class PriceReport(TypedDict):
    """The last price of one symbol. `change` and `change_percent` are those of its last tick."""

    price: float
    change: float
    change_percent: float
    volume: float | None
    timestamp: float
    feed: str
    stale: bool


class HistoryPoint(TypedDict):
    """One entry of a symbol's history."""

    timestamp: float
    price: float
    volume: float | None


class AlertPlace(TypedDict):
    """Where an alert stands for one of its symbols. `price` is the last one, None before the first.

    `distance_percent`: the smallest move from there, in per cent and with its sign, at which it could fire. None where
    that is not known, no price decides, or each of its conditions has fired and has to be false first.
    """

    state: str
    price: float | None
    distance_percent: float | None
    firings: int


class AlertReport(TypedDict):
    """One alert as it was set. `state` where it stands: for each of its symbols that is wanted.

    `conditions` are conditions and modifiers that are not at their defaults, `text` the same in one line; `written` is
    the whole alert as it would stand in the YAML, and as a POST takes it. `firings` are those of all its symbols;
    `places` tell more of each.
    """

    alert_id: str
    name: str | None
    symbols: list[str]
    conditions: Mapping[str, Any]
    text: NotRequired[str]
    notify: NotRequired[list[str]]
    source: Literal["yaml", "api"]
    state: NotRequired[Mapping[str, str]]
    written: NotRequired[Mapping[str, Any]]
    firings: NotRequired[int]
    places: NotRequired[Mapping[str, AlertPlace]]


class Check(NamedTuple):
    """One line of `/livez?verbose` or `/readyz?verbose`."""

    name: str
    ok: bool
    detail: str = ""


class EventSource(Protocol):
    """The part of the dispatcher that the HTTP side uses."""

    def attach(
        self, event: str, listener: Callable[[Event], object], *, name: str, priority: int = 0, ours: bool = False
    ) -> ListenerId:
        """Call `listener` with each event of this name or family."""

    def off(self, listener: ListenerId) -> bool:
        """Call it no more."""

    def error(self, error: str, message: str, **fields: Any) -> None:
        """Dispatch a `price.error`."""


class DaemonView(Protocol):
    """The running daemon, as far as those who ask over HTTP may see it."""

    @property
    def dispatcher(self) -> EventSource:
        """Where the live stream listens while it has readers."""

    def stats(self) -> StreamStats:
        """`PriceStreamService.get_stats()`."""

    def feeds(self) -> Mapping[str, FeedReport]:
        """Every feed by its name."""

    def health(self) -> Mapping[str, FeedHealth]:
        """The judgement on each of these feeds, of now."""

    def symbols(self) -> Sequence[SymbolReport]:
        """Every wanted symbol."""

    def find_symbol(self, symbol: str) -> str | None:
        """The configured spelling of a wanted symbol (case and surrounding space do not matter), or None."""

    def prices(self, symbol: str | None = None) -> Mapping[str, PriceReport]:
        """The last price of each symbol that has had one; with `symbol` (configured spelling) of that one only."""

    def history(self, symbol: str, limit: int | None) -> Sequence[HistoryPoint]:
        """The newest `limit` entries (None: all that are kept) of `symbol` (configured spelling), oldest first."""

    def alerts(self) -> Sequence[AlertReport]:
        """Every alert, in the order in which they were set."""

    def config(self) -> Mapping[str, Any]:
        """The configuration in force, in the shape of the YAML, with every secret masked."""

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the format that the `Accept` header asks for, and their content type."""

    def liveness(self) -> Sequence[Check]:
        """Whether the process works. Nothing remote belongs here: a failed check asks for a restart."""

    def readiness(self) -> Sequence[Check]:
        """Whether the daemon may be used, apart from its feeds, which are judged by `health`."""
