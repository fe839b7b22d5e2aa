"""What the end of a dial or of a connection means for the next attempt.

Three things decide: the provider's own words (by its adapter), the code of the close frame, and the server's
Retry-After. The verdict is either fatal, and then another attempt with the same key is useless, or a floor for the
delay.
"""

from __future__ import annotations

from dataclasses import dataclass

from pricestreamd.feeds.connection.backoff import Dice, close_floor
from pricestreamd.model.errors import AuthenticationFailed, FeedError, HandshakeRejected, TransportError
from pricestreamd.model.retry_after import MAX_RETRY_AFTER
from pricestreamd.providers.base import FATAL, Adapter, FaultKind, ProviderFault

# Stay away, in seconds, from a provider that counts one connection too many: a twin process may hold it.
_CONNECTION_LIMIT_RANGE = (60.0, 120.0)

# Reasons by close code; every other code is `closed`.
_CLOSE_REASONS = {
    1001: "going_away",
    1002: "protocol",
    1006: "eof",
    1008: "policy",
    1009: "too_big",
    1011: "server_error",
    1012: "restart",
    1013: "try_later",
}
EXPECTED = frozenset({"stopped", "closed", "going_away", "restart", "lifetime", "symbols", "farewell"})
"""Reasons that are a way of life and no fault: a server may close whenever it likes, as long as it says so.

`lifetime`, `symbols` and `farewell` are ours: the connection was replaced before its provider closed it, because its
symbols cannot be changed, or because the provider said goodbye.
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """How an open connection ended. `code` is the close frame's, 1006 without one; `text` the reason it gave.

    `status`: the HTTP status of the answer that ended it, where it consists of requests; `retry_after`: the server's
    own floor for the next attempt, in seconds.
    """

    reason: str
    code: int = 1006
    text: str = ""
    status: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is for counters, `error` says it in words; `floor` is the least delay, in seconds."""

    reason: str
    error: FeedError
    floor: float = 0.0

    @property
    def fatal(self) -> bool:
        """Whether a human is needed."""
        return isinstance(self.error, AuthenticationFailed)


def close_reason(code: int) -> str:
    """The reason, for counters, of a close frame with `code`."""
    return _CLOSE_REASONS.get(code, "closed")


def after_refusal(adapter: Adapter, error: FeedError, text: str, dice: Dice) -> Verdict:
    """The dial failed with `error`; `text` is the beginning of what the server answered."""
    floor = error.retry_after or 0.0
    if not isinstance(error, HandshakeRejected):
        return Verdict(error.reason, error, floor)
    fault = adapter.classify_handshake(error.status, text)
    if fault.kind in FATAL:
        return refused(fault, str(error), error.feed)
    reason = fault.kind.value if fault.kind is FaultKind.CONNECTION_LIMIT else error.reason
    return Verdict(reason, error, max(floor, _fault_floor(fault, dice)))


def after_loss(adapter: Adapter, loss: Loss, feed: str, dice: Dice) -> Verdict:
    """The other side, or the network, ended an open connection."""
    if loss.status is not None:
        fault: ProviderFault | None = adapter.classify_handshake(loss.status, loss.text)
        what = f"the server answered with HTTP {loss.status}"
    else:
        fault = adapter.classify_close(loss.code, loss.text)
        closed = loss.code != 1006
        what = (
            f"the server closed the connection ({loss.code})" if closed else f"the connection was lost ({loss.reason})"
        )
    if fault is not None and fault.kind in FATAL:
        return refused(fault, what, feed)
    limit = fault is not None and fault.kind is FaultKind.CONNECTION_LIMIT
    reason = FaultKind.CONNECTION_LIMIT.value if limit else loss.reason
    said = f": {loss.text}" if loss.text and loss.status is None else ""
    error = TransportError(f"{what}{said}", feed=feed, reason=reason)
    return Verdict(reason, error, max(close_floor(loss.code, dice), loss.retry_after or 0.0, _fault_floor(fault, dice)))


def after_complaint(fault: ProviderFault, feed: str, dice: Dice) -> Verdict | None:
    """The provider complained on an open connection: None where the connection may go on."""
    if fault.kind in FATAL:
        return refused(fault, "the provider refused the key", feed)
    if fault.kind not in (FaultKind.CONNECTION_LIMIT, FaultKind.SLOW_CONSUMER):
        return None
    error = TransportError(fault.message, feed=feed, reason=fault.kind.value)
    return Verdict(fault.kind.value, error, _fault_floor(fault, dice))


def crowded_out(feed: str, dice: Dice) -> Verdict:
    """The provider closes our connections without a word because there is one too many."""
    what = "the provider keeps closing the connection without a word: more connections with this key than it allows"
    error = TransportError(what, feed=feed, reason=FaultKind.CONNECTION_LIMIT.value)
    return Verdict(error.reason, error, dice(*_CONNECTION_LIMIT_RANGE))


def silence(reason: str, feed: str) -> Verdict:
    """This side gives the connection up because of what it did not hear."""
    return Verdict(reason, TransportError(f"the connection was given up ({reason})", feed=feed, reason=reason))


def refused(fault: ProviderFault, what: str, feed: str) -> Verdict:
    """Key or plan are not good enough."""
    error = AuthenticationFailed(f"{what}: {fault.message}" if fault.message else what, feed=feed)
    return Verdict(error.reason, error)


def _fault_floor(fault: ProviderFault | None, dice: Dice) -> float:
    if fault is None:
        return 0.0
    floor = dice(*_CONNECTION_LIMIT_RANGE) if fault.kind is FaultKind.CONNECTION_LIMIT else 0.0
    return min(max(floor, fault.retry_after or 0.0), MAX_RETRY_AFTER)
