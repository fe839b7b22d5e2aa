"""What the state keeps, as plain rows: texts, numbers and JSON bytes that other rooms make and read.

One `StateChange` is one transaction: all of it lasts, or nothing. An event that must be delivered is kept once
(`EventRow`) with one delivery for each sink that owes it; (event id, sink) identifies a delivery for good.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Place = tuple[str, str]
"""(alert id, symbol in the form in which symbols are compared)."""


@dataclass(frozen=True, slots=True)
class AlertStateRow:
    """Where one alert stands for one symbol; `record` is JSON."""

    alert_id: str
    symbol: str
    record: bytes


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert that was made over the API; `definition` is the JSON of its symbols, conditions and modifiers."""

    alert_id: str
    definition: bytes


@dataclass(frozen=True, slots=True)
class SymbolRow:
    """A symbol that was added over the API to `feed`."""

    feed: str
    symbol: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The last price of a symbol, in its configured spelling. Times in epoch seconds."""

    symbol: str
    price: float
    timestamp: float
    received_at: float
    volume: float | None
    currency: str | None
    feed: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event that must not be lost; `event_id` is the `firing_id` of an alert, else the event's `id`.

    `body` is the event as one flat JSON object. `alert_id` is None for what is no alert. Times in epoch seconds.
    """

    event_id: str
    event: str
    symbol: str | None
    alert_id: str | None
    timestamp: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event that one sink owes. `number` orders deliveries by the commit of their events; times in epoch seconds.

    `attempts` were made so far; the next is due at `due_at` (0: at once). `dead`: given up, kept for a person.
    """

    number: int
    sink: str
    event_id: str
    event: str
    body: bytes
    created_at: float
    attempts: int = 0
    due_at: float = 0.0
    last_error: str | None = None
    dead: bool = False


Letter = tuple[EventRow, Delivery]
"""An event with what one sink owes of it. The number of the delivery is the outbox's to give."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt to deliver: settled for good (`delivered`, `dead`), or to be tried again at `due_at`.

    `attempts` counts this one too; `at` is its time in epoch seconds.
    """

    event_id: str
    sink: str
    result: Literal["delivered", "retry", "dead"]
    attempts: int
    at: float
    due_at: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """An attempt that was made, for who asks why a message did (not) come. `attempts` counts it too; `at` as above."""

    event_id: str
    sink: str
    result: Literal["delivered", "retry", "dead"]
    attempts: int
    at: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one sink owes: deliveries that wait, those given up, and when the oldest that waits was committed."""

    pending: int
    dead: int
    oldest_at: float | None


@dataclass(slots=True)
class StateChange:
    """Everything that one transaction writes. `owed` are (event id, sink) of `events`, kept before or in this change.

    What is gone goes first: of the same key in both, the row stays. A row replaces the one of its key, but for events
    and what is owed of them: these stay as they are when they come again.
    """

    alert_states: list[AlertStateRow] = field(default_factory=list)
    alert_states_gone: list[Place] = field(default_factory=list)
    alerts: list[AlertRow] = field(default_factory=list)
    alerts_gone: list[str] = field(default_factory=list)
    symbols: list[SymbolRow] = field(default_factory=list)
    symbols_gone: list[SymbolRow] = field(default_factory=list)
    prices: list[PriceRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    owed: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return any(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class SavedState:
    """What an earlier run has kept, but for watchlists and deliveries."""

    alert_states: tuple[AlertStateRow, ...] = ()
    alerts: tuple[AlertRow, ...] = ()
    symbols: tuple[SymbolRow, ...] = ()
    prices: tuple[PriceRow, ...] = ()
