"""Adapters of no provider, for tests of the transports: they say which address to dial, and what to poll when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import Adapter, ConnectParams, HttpRequest, Message, Request, Terms
from pricestreamd.providers.profile import Profile

KEY = "canary-key-0815"


class _Plain(Adapter):
    compress = False

    def connect_params(self) -> ConnectParams:
        return ConnectParams(self._endpoint, {"X-Api-Key": Secret(KEY)}, compress=self.compress)

    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        return ()

    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        return ()

    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        return ()

    def to_native(self, symbol: str) -> str:
        return symbol

    def from_native(self, native_symbol: str, *venues: str) -> str | None:
        return native_symbol


class Streamed(_Plain):
    profile = Profile(
        name="streamed",
        documentation="",
        transport="sse",
        subscribes="connect",
        endpoint="https://stream.example.org/",
        auth="query",
        channels={"trades": "none"},
        control_messages=1,
        time_unit="s",
    )


class Polled(_Plain):
    """Takes `steps` one after the other; a number says how long to wait, a text what to ask for. Then it waits."""

    profile = Profile(
        name="polled",
        documentation="",
        transport="poll",
        subscribes="implicit",
        endpoint="https://poll.example.org/",
        auth="query",
        channels={"trades": "none"},
        control_messages=60,
        time_unit="s",
    )

    def __init__(self, endpoint: str, steps: Iterable[str | float] = ()) -> None:
        super().__init__(Terms(endpoint=endpoint))
        self.steps = list(steps)
        self.asked_at: list[float] = []

    def next_poll(self, now: float) -> HttpRequest | float:
        self.asked_at.append(now)
        if not self.steps:
            return 3600.0
        step = self.steps.pop(0)
        if isinstance(step, str):
            return HttpRequest(f"{self._endpoint}{step}", headers={"X-Api-Key": Secret(KEY)})
        return step


class Socketed(_Plain):
    profile = Profile(
        name="socketed",
        documentation="",
        endpoint="wss://socket.example.org/",
        auth="query",
        channels={"trades": "none"},
        control_messages=1,
        time_unit="s",
    )
