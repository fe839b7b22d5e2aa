"""The contract between a feed and a provider: an adapter turns bytes into messages and symbols into requests.

An adapter is pure. It opens nothing, waits for nothing and knows no clock: bytes and their receive time go in, messages
come out. One adapter serves one connection and dies with it; what it learns (which exchange the provider means by a
bare ticker) belongs to that connection, but for what the provider holds against the key (`follow`). It owns the table
of wanted symbols, so the ticks it gives are finished: they carry the configured spelling, UTC epoch seconds and the
name of the feed.

`decode` never raises, whatever the bytes. A frame that is no tick is one of the messages below; a frame that ought to
have been a tick is `Rejected` with a reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from pricestreamd.providers.description import Description
from pricestreamd.providers.profile import Channel, Profile
from pricestreamd.providers.symbols import SymbolTable

RejectReason = Literal["json", "utf8", "missing", "type", "not_finite", "not_positive", "unknown_symbol"]
"""Why a frame gave no tick. The stream adds two of its own, `future` and `out_of_order`."""


class FaultKind(StrEnum):
    """What a provider's complaint means for the feed; the session acts by this word and by nothing else."""

    AUTH = "auth"
    """The key is refused: park, and tell a human."""
    ENTITLEMENT = "entitlement"
    """The key is good, the plan is not: park, and tell a human."""
    SYMBOL_REJECTED = "symbol_rejected"
    """One symbol is refused: remember it, keep the connection."""
    OVER_CAP = "over_cap"
    """Too many symbols: keep the connection."""
    CONNECTION_LIMIT = "connection_limit"
    """Too many connections with this key: stay away for a minute or two, there may be a twin process."""
    RATE_LIMITED = "rate_limited"
    """Too many requests: send less, keep the connection."""
    SLOW_CONSUMER = "slow_consumer"
    """We read too slowly: count it and connect again."""
    TRANSIENT = "transient"
    """Anything else: it may be over by the next attempt."""


FATAL = frozenset({FaultKind.AUTH, FaultKind.ENTITLEMENT})
"""The kinds for which another attempt with the same key is useless."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The provider's answer to requests, in configured spelling. All empty: an answer that names no symbol of ours."""

    subscribed: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    unsubscribed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The provider's own sign of life."""


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """The provider complains. `message` is its text, without secrets and bounded; `symbol` is ours, if one is meant."""

    kind: FaultKind
    message: str
    symbol: str | None = None
    retry_after: float | None = None
    """Seconds for which the provider wants to be left alone, where it says so."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The frame ought to have been a tick and cannot be one."""

    reason: RejectReason


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that this product has no use for; `kind` is the provider's word for it, bounded."""

    kind: str


@dataclass(frozen=True, slots=True)
class Missed:
    """By the provider's own numbering `count` prices of `symbols` (ours) have not come."""

    symbols: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Farewell:
    """The provider is about to close this connection: it wants to be replaced now."""

    reason: str


Message = Tick | Ack | Heartbeat | ProviderFault | Rejected | Ignored | Missed | Farewell


@dataclass(frozen=True, slots=True)
class ConnectParams:
    """What to dial. The URL is hidden from `repr`: a user may have written a key into it."""

    url: str = field(repr=False)
    headers: Mapping[str, Secret] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    compress: bool = False


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One GET, and the symbols (configured spelling) that it asks about. The URL may hold a key: it is never shown."""

    url: str = field(repr=False)
    symbols: tuple[str, ...] = ()
    headers: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a user's configuration says to an adapter. `feed` is the name that its ticks carry."""

    feed: str = ""
    api_key: Secret | None = None
    api_secret: Secret | None = None
    endpoint: str | None = None
    channel: Channel | None = None
    description: Description | None = None
    """The protocol itself, where the file describes it."""
    every_symbol: bool = False
    """Take every symbol that comes, wanted or not: for recordings."""


@dataclass(frozen=True, slots=True)
class Request:
    """One control message, and the symbols (configured spelling) that it asks for or gives up."""

    text: str
    symbols: tuple[str, ...]


class Adapter(ABC):
    """One provider's protocol, for one connection."""

    profile: ClassVar[Profile]

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms = terms or Terms()
        self.feed = terms.feed
        self._api_key = terms.api_key
        self._endpoint = terms.endpoint or self.profile.endpoint
        self.channel: Channel = terms.channel or self.profile.channel
        self.symbols = SymbolTable(self.split_symbol, every=terms.every_symbol)

    @classmethod
    def profile_of(cls, description: Description | None) -> Profile:  # noqa: ARG003 - for adapters to override
        """What is known before the first connection; only a protocol that the file describes depends on that."""
        return cls.profile

    @abstractmethod
    def connect_params(self) -> ConnectParams:
        """The address and the headers of the request. A key goes into a header wherever that is possible.

        Where `profile.subscribes` is `connect` the address names all symbols of the table.
        """

    def follow(self, before: Adapter) -> None:  # noqa: B027 - most have nothing to go on with
        """Go on where `before`, the adapter of the dial before, ended, in what the provider holds against the key."""

    def on_open(self) -> Sequence[str]:
        """Texts to send as soon as the connection is open, before any subscription."""
        return ()

    def keepalive(self) -> str | None:
        """The text to send every `profile.heartbeat_interval` seconds; None where the provider wants none."""
        return None

    def next_poll(self, now: float) -> HttpRequest | float:
        """Where the transport polls: the request to make now, or the seconds to wait. One is under way at a time.

        `now` is a monotonic clock. The answer's body goes to `decode`, an answer other than 200 to
        `classify_handshake`.
        """
        raise NotImplementedError(f"{self.profile.name} does not poll")

    def backfill(self, symbols: Sequence[str]) -> Sequence[HttpRequest]:  # noqa: ARG002 - for adapters to override
        """Requests that tell the last price of `symbols`; none where the provider cannot."""
        return ()

    def decode_backfill(self, request: HttpRequest, body: bytes, received_at: float) -> Sequence[Tick]:  # noqa: ARG002
        """The prices in the answer to `request`, marked `late`. Never raises; what is no price is left out."""
        return ()

    @abstractmethod
    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """Requests that together subscribe `symbols` (configured spelling), each within the provider's limits."""

    @abstractmethod
    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """Requests that together give up `symbols`."""

    @abstractmethod
    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """The messages in one frame, in its order. Never raises. `received_at`: epoch seconds."""

    def classify_handshake(self, status: int, text: str) -> ProviderFault:
        """What an upgrade answered with HTTP `status` means; `text` is the beginning of the body."""
        kind = {401: FaultKind.AUTH, 403: FaultKind.ENTITLEMENT, 429: FaultKind.RATE_LIMITED}.get(status)
        return ProviderFault(kind or FaultKind.TRANSIENT, text)

    def classify_close(self, code: int, reason: str) -> ProviderFault | None:  # noqa: ARG002 - for adapters to override
        """What a close frame means beyond its code; None where the code says it all."""
        return None

    def refusal(self, symbol: str) -> str | None:  # noqa: ARG002 - for adapters to override
        """Why `symbol` cannot even be asked for in this protocol; None where it can."""
        return None

    @abstractmethod
    def to_native(self, symbol: str) -> str:
        """The provider's spelling of `symbol`."""

    @abstractmethod
    def from_native(self, native_symbol: str, *venues: str) -> str | None:
        """The configured spelling of the provider's symbol, as told by any of `venues`; None if it is not wanted."""

    @staticmethod
    def split_symbol(symbol: str) -> tuple[str, str]:
        """The part of a native symbol that the provider always echoes, and the venue that it may leave out."""
        return symbol, ""
