"""What a session answers: commands to perform, and facts to tell, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pricestreamd.model.errors import FeedError

# --- commands


@dataclass(frozen=True, slots=True)
class Open:
    """Dial, with the session's fresh `adapter`."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping frame."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Send a pong frame with this payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Say goodbye with a close frame, after everything that was to be sent before."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the socket at once; there is nobody to say goodbye to."""


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Call `wake` at this time; None: not at all. It replaces the one before."""

    when: float | None


@dataclass(frozen=True, slots=True)
class Replace:
    """Begin another connection for the same symbols, and end this one when that is live. `reason` is a stable word."""

    reason: str


# --- facts


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is open."""


@dataclass(frozen=True, slots=True)
class Live:
    """Subscribed. `again`: it was live before, and not ended by the user since: prices may have been missed."""

    again: bool


@dataclass(frozen=True, slots=True)
class Disconnected:
    """An open connection is closed. `expected`: by us, or by a server that said goodbye."""

    reason: str
    expected: bool


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """Attempt number `attempt` begins in `delay` seconds."""

    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class Stale:
    """No price for so long, first noticed."""

    silent_seconds: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """A price again after `Stale`."""

    silent_seconds: float


@dataclass(frozen=True, slots=True)
class SymbolsRejected:
    """Symbols were refused: configured spelling to reason."""

    symbols: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answered:
    """Requests were answered; somebody may be waiting for it."""


@dataclass(frozen=True, slots=True)
class PricesMissed:
    """By the provider's numbering `count` prices of `symbols` have not come."""

    symbols: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class CapReached:
    """The provider holds no more than the `symbols` that it has confirmed on this connection."""

    symbols: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that the operator should know of. `word` is stable."""

    word: str
    error: FeedError


Fact = (
    Connected
    | Live
    | Disconnected
    | Reconnecting
    | Stale
    | Resumed
    | SymbolsRejected
    | Answered
    | PricesMissed
    | CapReached
    | Failed
)
Command = Open | Send | Ping | Pong | Close | Abort | WaitUntil | Replace | Fact
Commands = list[Command]
