"""What an adapter is without saying anything about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from pricestreamd.providers.base import (
    FATAL,
    Adapter,
    ConnectParams,
    FaultKind,
    HttpRequest,
    Message,
    Request,
    Terms,
)
from pricestreamd.providers.profile import Profile


class Plain(Adapter):
    """The least that an adapter can be."""

    profile: ClassVar[Profile] = Profile(
        name="plain",
        documentation="https://example.org/",
        endpoint="wss://example.org/",
        auth="none",
        control_messages=1,
        channels={"trades": "none"},
        time_unit="none",
    )

    def connect_params(self) -> ConnectParams:
        return ConnectParams(self._endpoint)

    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        return [Request("+", tuple(symbols))]

    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        return [Request("-", tuple(symbols))]

    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        return ()

    def to_native(self, symbol: str) -> str:
        return symbol

    def from_native(self, native_symbol: str, *venues: str) -> str | None:
        return self.symbols.resolve(native_symbol, venues)


def test_an_adapter_says_nothing_of_its_own_accord() -> None:
    plain = Plain()
    assert plain.on_open() == ()
    assert plain.keepalive() is None
    assert plain.refusal("ANY") is None
    assert plain.classify_close(1008, "text") is None
    assert plain.backfill(["A"]) == ()
    assert plain.decode_backfill(HttpRequest("https://example.org/?key=k", ("A",)), b"5", 0.0) == ()
    assert Plain.profile_of(None) is plain.profile


def test_only_a_provider_that_is_polled_can_be() -> None:
    with pytest.raises(NotImplementedError, match="plain does not poll"):
        Plain().next_poll(0.0)


def test_terms_say_what_the_user_wants_and_the_profile_what_the_provider_has() -> None:
    assert Plain().channel == "trades"
    assert Plain(Terms(channel="ticker")).channel == "ticker"
    assert Plain().connect_params().url == "wss://example.org/"
    assert Plain(Terms(endpoint="wss://other.example/")).connect_params().url == "wss://other.example/"
    assert Plain(Terms(feed="us")).feed == "us"
    assert Plain().from_native("ANY") is None
    assert Plain(Terms(every_symbol=True)).symbols.every


def test_addresses_show_in_no_text() -> None:
    for shown in (ConnectParams("wss://h/?key=canary"), HttpRequest("https://h/?key=canary", ("A",))):
        assert "canary" not in repr(shown)
        assert "canary" not in str(shown)


def test_a_symbol_has_no_venue_unless_the_provider_knows_venues() -> None:
    plain = Plain()
    plain.symbols.add("A:B")
    assert plain.from_native("A:B") == "A:B"
    assert plain.from_native("A") is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, FaultKind.AUTH),
        (403, FaultKind.ENTITLEMENT),
        (429, FaultKind.RATE_LIMITED),
        (400, FaultKind.TRANSIENT),
        (500, FaultKind.TRANSIENT),
    ],
)
def test_statuses_mean_what_they_mean_everywhere(status: int, kind: FaultKind) -> None:
    fault = Plain().classify_handshake(status, "text")
    assert (fault.kind, fault.message) == (kind, "text")
    assert (fault.kind in FATAL) == (status in (401, 403))
