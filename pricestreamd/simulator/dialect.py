"""What a simulated provider must be able to say: the contract between the server and a provider's dialect.

A dialect is plain code: texts and `now` in, texts out. Sockets, timers and scripted faults are the server's business,
so a further provider is one file beside `twelvedata.py` and one line in `dialects.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pricestreamd.model.tick import Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the provider allows. None: no limit. Times in seconds."""

    connections_per_key: int | None = None
    """One more, and the oldest is closed without a word."""
    messages_per_minute: int | None = None
    """Messages of a client beyond that are answered by an error and have no effect."""
    idle_timeout: float | None = None
    """A client that says nothing for so long is dropped."""
    max_symbols: int | None = None
    """Symbols per connection."""
    max_message_size: int = 1_000_000
    """Bytes of a client's message; a larger one ends the connection (1009)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One text for the client. `subscribed`: the subscriptions that hold from this reply on; None: as before."""

    text: str
    subscribed: tuple[str, ...] | None = None


class Session(Protocol):
    """One connection's side of the conversation."""

    def receive(self, text: str, now: float) -> list[Reply]:
        """Answer a message of the client, whatever it is. `now`: seconds of any clock that never goes back."""


class Dialect(Protocol):
    """One provider: its address, its words, its limits. Symbols are named by *keys*: one key, one instrument."""

    @property
    def path(self) -> str:
        """Where on the server clients connect."""

    @property
    def limits(self) -> Limits:
        """What it allows."""

    def credential(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        """The key that the upgrade request carries; empty if none."""

    def refusal(self, status: int) -> str:
        """The body of an upgrade refused with an HTTP status, as JSON."""

    def refusal_in_band(self) -> str:
        """The message that refuses a key after the connection is open."""

    def session(self) -> Session:
        """A new conversation."""

    def key(self, symbol: str) -> str | None:
        """The key of the instrument that `symbol` names, in any spelling; None where it cannot name one."""

    def frame(self, tick: Tick) -> str:
        """The message that tells of `tick`, in ASCII. Its `volume` is the size of a trade."""
