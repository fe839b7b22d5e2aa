"""Every error answers two questions: whose fault is it, and is it worth trying again?

One root, `PriceStreamError`; its branches name the part of the house. Foreign exceptions are mapped to these at the
door they come in by, `from exc`, so that no text of theirs (which may hold a key) travels further.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class PriceStreamError(Exception):
    """Root of all errors that pricestreamd raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a configuration, with its place.

    `line` and `column` count from 1; both are 0 where the fault has no place in the file (the file is missing).
    `key` is the dotted path of the setting, empty for a fault of the text itself.
    """

    path: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(PriceStreamError):
    """The configuration cannot be used. Holds every problem of one reading, in the order of the file.

    `warnings`: what the same reading found that alone would not have stopped it; not part of the text.
    """

    def __init__(self, *problems: Problem, warnings: Iterable[Problem] = ()) -> None:
        self.problems = problems
        self.warnings = tuple(warnings)
        super().__init__("\n".join(map(str, problems)))


class FeedError(PriceStreamError):
    """A feed could not do what was asked.

    `transient`: the same attempt may succeed later. `retry_after`: the server's own floor for the next attempt, in
    seconds, or None. `reason`: a stable word for counters.
    """

    transient = True
    reason = "error"

    def __init__(self, message: str, *, feed: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.feed = feed
        self.retry_after = retry_after


class TransportError(FeedError):
    """The network: name resolution, TCP, TLS, a deadline, a socket that broke."""

    def __init__(
        self,
        message: str,
        *,
        feed: str = "",
        retry_after: float | None = None,
        reason: str = "network",
    ) -> None:
        super().__init__(message, feed=feed, retry_after=retry_after)
        self.reason = reason


class HandshakeRejected(FeedError):
    """The server answered with another HTTP status than the transport needs: 101 for a WebSocket, otherwise 200."""

    reason = "handshake"

    def __init__(self, message: str, *, status: int, feed: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, feed=feed, retry_after=retry_after)
        self.status = status


class ProtocolError(FeedError):
    """The peer broke the protocol that it should speak."""

    reason = "protocol"


class SubscriptionRejected(FeedError):
    """The provider refused a symbol. The connection is none the worse for it."""

    transient = False
    reason = "subscription"

    def __init__(self, message: str, *, symbol: str, feed: str = "") -> None:
        super().__init__(message, feed=feed)
        self.symbol = symbol


class AuthenticationFailed(FeedError):
    """The provider refused the key. Fatal: trying again with the same key does not help."""

    transient = False
    reason = "auth"


class SinkError(PriceStreamError):
    """A sink could not deliver. `transient`: the same batch may succeed later; `retry_after`: seconds, or None."""

    def __init__(
        self, message: str, *, sink: str = "", transient: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.sink = sink
        self.transient = transient
        self.retry_after = retry_after


class StateError(PriceStreamError):
    """What must last could not be read or written."""
