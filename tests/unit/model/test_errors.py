"""Errors: one root, and each answers whose fault it is and whether another try is worth it."""

import pytest

from pricestreamd.model import errors
from pricestreamd.model.errors import (
    AuthenticationFailed,
    ConfigError,
    FeedError,
    HandshakeRejected,
    PriceStreamError,
    Problem,
    ProtocolError,
    SinkError,
    StateError,
    SubscriptionRejected,
    TransportError,
)
from pricestreamd.model.units import Unit


def test_every_error_has_the_one_root() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 10
    assert all(issubclass(kind, PriceStreamError) for kind in kinds)
    assert issubclass(StateError, PriceStreamError)


def test_a_configuration_error_says_every_problem_with_its_place() -> None:
    error = ConfigError(
        Problem("c.yaml", 3, 5, "feeds.us.reconnect.max_delay", "expected a duration such as 30s, got 'soon'"),
        Problem("c.yaml", 0, 0, "", "no such file"),
        Problem("c.yaml", 7, 1, "", "duplicate key"),
    )
    assert str(error).splitlines() == [
        "c.yaml:3:5: feeds.us.reconnect.max_delay: expected a duration such as 30s, got 'soon'",
        "c.yaml: no such file",
        "c.yaml:7:1: duplicate key",
    ]
    assert len(error.problems) == 3


@pytest.mark.parametrize(
    ("error", "transient", "reason"),
    [
        (FeedError("x"), True, "error"),
        (TransportError("x"), True, "network"),
        (TransportError("x", reason="reset"), True, "reset"),
        (HandshakeRejected("x", status=503, retry_after=30.0), True, "handshake"),
        (ProtocolError("x"), True, "protocol"),
        (SubscriptionRejected("x", symbol="AAPL"), False, "subscription"),
        (AuthenticationFailed("x"), False, "auth"),
    ],
)
def test_a_feed_error_says_whether_another_try_is_worth_it(error: FeedError, transient: bool, reason: str) -> None:
    assert (error.transient, error.reason, str(error), error.feed) == (transient, reason, "x", "")


def test_errors_carry_what_belongs_to_them() -> None:
    handshake = HandshakeRejected("x", status=429, feed="us", retry_after=30.0)
    assert (handshake.status, handshake.feed, handshake.retry_after) == (429, "us", 30.0)
    assert SubscriptionRejected("x", symbol="AAPL", feed="us").symbol == "AAPL"
    sink = SinkError("x", sink="cache", transient=False, retry_after=5.0)
    assert (str(sink), sink.sink, sink.transient, sink.retry_after) == ("x", "cache", False, 5.0)


def test_a_unit_is_a_word_of_its_own() -> None:
    assert Unit("duration") != Unit("delay")
