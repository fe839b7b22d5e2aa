"""The contract between a feed and a provider: an adapter turns bytes into messages and symbols into requests.

An adapter is pure. It opens nothing, waits for nothing and knows no clock: bytes and their receive time go in, messages
come out. One adapter serves one connection and dies with it; what it learns (which exchange the provider means by a
bare ticker) belongs to that connection. It owns the table of wanted symbols, so the ticks it gives are finished: they
carry the configured spelling, UTC epoch seconds and the name of the feed.

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
from pricestreamd.providers.profile import Profile
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


@dataclass(frozen=True, slots=True)
class Rejected:
    """The frame ought to have been a tick and cannot be one."""

    reason: RejectReason


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that this product has no use for; `kind` is the provider's word for it, bounded."""

    kind: str


Message = Tick | Ack | Heartbeat | ProviderFault | Rejected | Ignored


@dataclass(frozen=True, slots=True)
class ConnectParams:
    """What to dial. The URL is hidden from `repr`: a user may have written a key into it."""

    url: str = field(repr=False)
    headers: Mapping[str, Secret] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    compress: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One control message, and the symbols (configured spelling) that it asks for or gives up."""

    text: str
    symbols: tuple[str, ...]


class Adapter(ABC):
    """One provider's protocol, for one connection. `feed` is the name that its ticks carry."""

    profile: ClassVar[Profile]

    def __init__(self, *, feed: str = "", api_key: Secret | None = None, endpoint: str | None = None) -> None:
        self.feed = feed
        self._api_key = api_key
        self._endpoint = endpoint or self.profile.endpoint
        self.symbols = SymbolTable(self.split_symbol)

    @abstractmethod
    def connect_params(self) -> ConnectParams:
        """The address and the headers of the upgrade request. A key goes into a header wherever that is possible."""

    def on_open(self) -> Sequence[str]:
        """Texts to send as soon as the connection is open, before any subscription."""
        return ()

    def keepalive(self) -> str | None:
        """The text to send every `profile.heartbeat_interval` seconds; None where the provider wants none."""
        return None

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
