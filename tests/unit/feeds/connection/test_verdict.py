"""What an end means for the next attempt: floors, reasons, and what is fatal (rows W11 to W15, H1, H2)."""

from __future__ import annotations

import pytest

from pricestreamd.feeds.connection.verdict import (
    EXPECTED,
    Loss,
    after_complaint,
    after_loss,
    after_refusal,
    close_reason,
)
from pricestreamd.model.errors import AuthenticationFailed, FeedError, HandshakeRejected, TransportError
from pricestreamd.providers.base import FaultKind, ProviderFault, Terms
from pricestreamd.providers.twelvedata import TwelveData


def low(low: float, _high: float) -> float:
    return low


@pytest.mark.parametrize(
    ("code", "text", "reason", "floor", "expected"),
    [
        (1000, "", "closed", 0, True),
        (1001, "", "going_away", 0, True),
        (1005, "", "closed", 0, True),
        (1006, "", "eof", 0, False),
        (1008, "policy", "policy", 30, False),
        (1011, "", "server_error", 0, False),
        (1012, "", "restart", 5, True),
        (1013, "", "try_later", 30, False),
        (4001, "", "closed", 0, True),
        (1000, "too many connections", "connection_limit", 60, False),
    ],
)
def test_a_close_code_gives_reason_and_floor(code: int, text: str, reason: str, floor: float, expected: bool) -> None:
    verdict = after_loss(TwelveData(Terms()), Loss(close_reason(code), code, text), "us", low)
    assert (verdict.reason, verdict.floor, verdict.fatal) == (reason, floor, False)
    assert (verdict.reason in EXPECTED) is expected
    assert verdict.error.feed == "us"


def test_a_close_that_mentions_the_key_is_fatal() -> None:
    verdict = after_loss(TwelveData(Terms()), Loss("policy", 1008, "invalid api key"), "us", low)
    assert verdict.fatal
    assert isinstance(verdict.error, AuthenticationFailed)
    assert str(verdict.error) == "the server closed the connection (1008): invalid api key"


@pytest.mark.parametrize(
    ("error", "text", "fatal", "floor"),
    [
        (TransportError("no route", reason="network"), "", False, 0),
        (HandshakeRejected("HTTP 401", status=401), "", True, 0),
        (HandshakeRejected("HTTP 403", status=403), "", True, 0),
        (HandshakeRejected("HTTP 400", status=400), "your api key?", True, 0),
        (HandshakeRejected("HTTP 400", status=400), "", False, 0),
        (HandshakeRejected("HTTP 404", status=404), "", False, 0),
        (HandshakeRejected("HTTP 429", status=429, retry_after=77.0), "", False, 77),
        (HandshakeRejected("HTTP 400", status=400), "too many connections", False, 60),
    ],
)
def test_a_refused_dial_is_fatal_only_when_the_key_is_to_blame(
    error: FeedError, text: str, fatal: bool, floor: float
) -> None:
    verdict = after_refusal(TwelveData(Terms()), error, text, low)
    assert (verdict.fatal, verdict.floor) == (fatal, floor)


@pytest.mark.parametrize(
    ("kind", "fatal", "floor"),
    [
        (FaultKind.AUTH, True, 0),
        (FaultKind.ENTITLEMENT, True, 0),
        (FaultKind.CONNECTION_LIMIT, False, 60),
        (FaultKind.SLOW_CONSUMER, False, 0),
    ],
)
def test_some_complaints_end_the_connection(kind: FaultKind, fatal: bool, floor: float) -> None:
    verdict = after_complaint(ProviderFault(kind, "text"), "us", low)
    assert verdict is not None
    assert (verdict.fatal, verdict.floor) == (fatal, floor)


@pytest.mark.parametrize(
    "kind", [FaultKind.TRANSIENT, FaultKind.OVER_CAP, FaultKind.RATE_LIMITED, FaultKind.SYMBOL_REJECTED]
)
def test_the_others_leave_it_open(kind: FaultKind) -> None:
    assert after_complaint(ProviderFault(kind, "text"), "us", low) is None
