"""The event records: what happened, typed and immutable, and one flat JSON object on every wire.

Every record has `event` (its name), `id` (`<run>-<number>`, unique and ordered within a run) and `timestamp` (UTC
epoch seconds). Further fields are attributes of the record, keys of `record[...]` and of `to_dict()`, and members of
the JSON object, under one name everywhere. Source: `docs/events.md`.

`number` is drawn for every detected event, whether anyone hears it or not, so that the same input gives the same ids.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import msgspec

Severity = Literal["info", "warning", "critical"]


class Run:
    """One life of the stream: its name, and the number of the next event."""

    __slots__ = ("name", "next_number")

    def __init__(self, name: str) -> None:
        self.name = name
        self.next_number: Callable[[], int] = itertools.count(1).__next__


class Event(msgspec.Struct, frozen=True, gc=False):
    """What every event has. `event` belongs to the class; `id` is made when it is asked for."""

    event: ClassVar[str] = ""

    run: str
    number: int
    timestamp: float

    @property
    def id(self) -> str:
        """`<run>-<number>`."""
        return f"{self.run}-{self.number}"

    def __getitem__(self, key: str) -> Any:
        if key in self.__struct_fields__ or key in ("event", "id"):
            return getattr(self, key)
        raise KeyError(key)

    def to_dict(self) -> dict[str, Any]:
        """The flat mapping that goes on the wire, a fresh one at each call."""
        fields = msgspec.structs.asdict(self)
        del fields["run"], fields["number"]
        return {"event": self.event, "id": self.id, **fields}


class PriceUpdate(Event, frozen=True, gc=False):
    """Every accepted tick. See the contract for each field; `suspect` marks a print that awaits confirmation."""

    event: ClassVar[str] = "price.update"

    symbol: str
    price: float
    volume: float | None
    last_price: float | None
    change: float
    change_percent: float
    currency: str | None
    feed: str
    received_at: float
    sequence: int
    suspect: bool = False


class PriceChange(PriceUpdate, frozen=True, gc=False):
    """The price moved by `min_change_percent` or more; `reported_change_percent` since the last price.change."""

    event: ClassVar[str] = "price.change"

    reported_change_percent: float = 0.0


class PriceSpike(PriceUpdate, frozen=True, gc=False):
    """The move reached `spike.percent`; `spike_percent` is signed."""

    event: ClassVar[str] = "price.spike"

    spike_percent: float = 0.0


class PriceAlert(PriceUpdate, frozen=True, gc=False):
    """An alert fired. `alert_text` is a sentence to read on a phone; `firing_id` names this firing everywhere."""

    event: ClassVar[str] = "price.alert"

    alert_id: str = ""
    alert_name: str | None = None
    alert_reason: str = ""
    alert_conditions: Mapping[str, Any] = MappingProxyType({})
    alert_text: str = ""
    alert_value: float = 0.0
    alert_threshold: float = 0.0
    alert_baseline: float | None = None
    firing_id: str = ""
    late: bool = False
    after_gap: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As `Event.to_dict`; the conditions are a copy, too: the alert's own are not for changing."""
        fields = super().to_dict()
        fields["alert_conditions"] = dict(self.alert_conditions)
        return fields


class PriceStale(Event, frozen=True, gc=False):
    """Silence longer than allowed. `symbol` is None for a whole connection."""

    event: ClassVar[str] = "price.stale"

    symbol: str | None
    feed: str
    silent_seconds: float


class PriceResumed(PriceStale, frozen=True, gc=False):
    """Data again after price.stale."""

    event: ClassVar[str] = "price.resumed"


class PriceError(Event, frozen=True, gc=False, kw_only=True):
    """Anything the operator should know of. `error` is a stable word, `message` a sentence."""

    event: ClassVar[str] = "price.error"

    severity: Severity
    error: str
    message: str
    feed: str | None = None
    symbol: str | None = None
    fatal: bool = False


class PriceGap(Event, frozen=True, gc=False):
    """Data was missed between two times (epoch seconds; `from` on the wire is `from_time` in Python)."""

    event: ClassVar[str] = "price.gap"

    feed: str
    symbols: tuple[str, ...]
    from_time: float
    to_time: float
    reason: str

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def to_dict(self) -> dict[str, Any]:
        """As `Event.to_dict`; `from` and `to` are words that Python keeps for itself."""
        return {
            "event": self.event,
            "id": self.id,
            "timestamp": self.timestamp,
            "feed": self.feed,
            "symbols": list(self.symbols),
            "from": self.from_time,
            "to": self.to_time,
            "reason": self.reason,
        }


class FeedEvent(Event, frozen=True, gc=False, kw_only=True):
    """Life of a connection. `connection` is its slot, from 0."""

    feed: str
    connection: int = 0
    host: str | None = None
    port: int | None = None
    attempt: int | None = None
    delay_seconds: float | None = None
    reason: str | None = None


class FeedConnected(FeedEvent, frozen=True, gc=False, kw_only=True):
    """A connection is open."""

    event: ClassVar[str] = "feed.connected"


class FeedDisconnected(FeedEvent, frozen=True, gc=False, kw_only=True):
    """A connection is closed; `reason` says why."""

    event: ClassVar[str] = "feed.disconnected"


class FeedReconnecting(FeedEvent, frozen=True, gc=False, kw_only=True):
    """Attempt number `attempt` begins in `delay_seconds`."""

    event: ClassVar[str] = "feed.reconnecting"


class AlertBlind(Event, frozen=True, gc=False):
    """An alert cannot see what it waits for. `reason` is a stable word, such as `stale`."""

    event: ClassVar[str] = "alert.blind"

    alert_id: str
    alert_name: str | None
    symbol: str
    reason: str


class AlertSighted(AlertBlind, frozen=True, gc=False):
    """An alert that was blind, for this reason, sees again."""

    event: ClassVar[str] = "alert.sighted"


class CustomEvent(Event, frozen=True, gc=True):
    """An event of the user's own, made by `dispatch(name, mapping)`. `data` may hold anything, so `gc` is on."""

    name: str
    data: Mapping[str, Any]

    @classmethod
    def of(cls, run: Run, name: str, data: Mapping[str, Any], clock: Callable[[], float]) -> CustomEvent:
        """The next event of `run`, with a copy of `data`; its time is a number under `timestamp`, or `clock()`."""
        time = data.get("timestamp")
        timestamp = time if isinstance(time, int | float) and not isinstance(time, bool) else clock()
        return cls(run.name, run.next_number(), timestamp, name, MappingProxyType(dict(data)))

    @property
    def event(self) -> str:  # type: ignore[override]
        """The name it was dispatched under."""
        return self.name

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def to_dict(self) -> dict[str, Any]:
        """The user's mapping, with `event`, `id` and `timestamp` in front: these three are always the event's own."""
        own = {"event": self.name, "id": self.id, "timestamp": self.timestamp}
        return {**own, **self.data, **own}


EVENTS: tuple[type[Event], ...] = (
    PriceUpdate,
    PriceChange,
    PriceSpike,
    PriceAlert,
    PriceStale,
    PriceResumed,
    PriceGap,
    PriceError,
    FeedConnected,
    FeedDisconnected,
    FeedReconnecting,
    AlertBlind,
    AlertSighted,
)
"""Every event that the product itself makes."""

_BY_NAME = {kind.event: kind for kind in EVENTS}
_decode_mapping = msgspec.json.Decoder(dict[str, Any]).decode
# On the wire these are words that Python keeps for itself.
_GAP_TIMES = {"from": "from_time", "to": "to_time"}


def event_of(body: bytes) -> Event:
    """The record whose flat JSON object `body` is: `to_json` the other way round.

    An event of an unknown name, or one that lacks fields of its name, becomes a `CustomEvent` with all of them. Fields
    that this version does not know are left out. What JSON has no form for comes back as it was written: null, a list.

    Raises:
        ValueError: it is no JSON object with `event`, `id` and `timestamp`.
    """
    fields = _decode_mapping(body)
    name, label, timestamp = (fields.pop(key, None) for key in ("event", "id", "timestamp"))
    run, dash, number = label.rpartition("-") if isinstance(label, str) else ("", "", "")
    named = isinstance(name, str) and dash and number.isascii() and number.isdigit()
    timed = isinstance(timestamp, int | float) and not isinstance(timestamp, bool)
    if not (named and timed):
        raise ValueError("no event of ours: it lacks event, an id such as run-1, or a time")
    head = {"run": run, "number": int(number), "timestamp": timestamp}
    if (kind := _BY_NAME.get(name)) is not None:
        known = {_GAP_TIMES.get(key, key): value for key, value in fields.items()} if kind is PriceGap else fields
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert({**known, **head}, kind)
    return CustomEvent(run, head["number"], timestamp, name, MappingProxyType(fields))


class _Topic(msgspec.Struct):
    alert_id: str = ""
    symbol: str | None = None


_decode_topic = msgspec.json.Decoder(_Topic).decode


def topic_of(body: bytes) -> tuple[str, ...]:
    """The alert and the symbol that a flat JSON object is about; nothing where it is about none, or cannot be read."""
    with contextlib.suppress(msgspec.MsgspecError):
        found = _decode_topic(body)
        return (found.alert_id, found.symbol or "") if found.alert_id or found.symbol else ()
    return ()


_encode = msgspec.json.Encoder().encode
# What a record's wire form begins with. Only of classes that do not write their own mapping.
_HEADS = {kind: b'{"event":"%b","id":' % kind.event.encode() for kind in EVENTS if kind.to_dict is Event.to_dict}
_NUMBER = b',"number":'
_AFTER_RUN = len(b'{"run":')


def to_json(event: Event) -> bytes:
    """One flat JSON object, UTF-8, without a line end. Not a finite number: `null`.

    The same bytes as `to_dict` would give, in half the time: msgspec writes `{"run":"r","number":7,...` of a record,
    and only this head is exchanged for `{"event":"price.update","id":"r-7",...`.
    """
    head = _HEADS.get(type(event))
    if head is None:
        return _encode(event.to_dict())
    text = _encode(event)
    # Inside a JSON text a quotation mark is escaped, so this cannot be found in the run's name.
    run_end = text.index(_NUMBER, _AFTER_RUN)
    number = run_end + len(_NUMBER)
    number_end = text.index(b",", number)
    return b"".join((head, text[_AFTER_RUN : run_end - 1], b"-", text[number:number_end], b'"', text[number_end:]))
