"""A session on a fake clock: performs its commands, keeps what it says, and plays the server."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pricestreamd.feeds.connection.commands import (
    Abort,
    Close,
    Command,
    Fact,
    Open,
    Ping,
    Pong,
    Replace,
    Send,
    WaitUntil,
)
from pricestreamd.feeds.connection.session import Session
from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.errors import FeedError
from pricestreamd.providers.base import Adapter, Message
from pricestreamd.providers.twelvedata import TwelveData

_F = TypeVar("_F")


def middle(low: float, high: float) -> float:
    return (low + high) / 2


class Driver:
    """`on_open` plays the server at each dial: it answers with `opened`, `refused` or not at all."""

    def __init__(
        self,
        *symbols: str,
        settings: FeedSettings | None = None,
        on_open: Callable[[Driver], None] | None = None,
        supervised: bool = True,
        dice: Callable[[float, float], float] = middle,
        new_adapter: Callable[[], Adapter] = TwelveData,
    ) -> None:
        self.session = Session("us", settings or FeedSettings(provider="twelvedata"), new_adapter, dice)
        self.session.subscriptions.want(symbols)
        self.on_open = on_open or Driver.accept
        self.now = 1000.0
        self.frames = self.ticks = 0
        self.pongs = True
        self.heartbeats = True
        self.prices_every: float | None = None
        self.dials: list[float] = []
        self.sent: list[dict[str, Any]] = []
        self.sent_at: list[float] = []
        self.pings: list[float] = []
        self.pong_payloads: list[bytes] = []
        self.facts: list[Fact] = []
        self.replacements: list[str] = []
        self.aborts = self.closes = 0
        self._until: float | None = None
        self._todo: deque[Command] = deque()
        self._doing = False
        self._supervised = supervised

    # --- time

    def start(self) -> Driver:
        self.do(self.session.start(self.now, supervised=self._supervised))
        return self

    def advance(self, seconds: float) -> None:
        """Let time pass, waking the session whenever it wants to be."""
        end = self.now + seconds
        while self._until is not None and self._until <= end:
            assert self._until >= self.now
            assert self._until > self.now or not self.session.is_open, "woken without a pause"
            self._pass(self._until)
            self.do(self.session.wake(self.now, self.frames, self.ticks))
        self._pass(end)

    def _pass(self, now: float) -> None:
        if self.prices_every is not None and self.session.is_open and now > self.now:
            self.price(int(now / self.prices_every) - int(self.now / self.prices_every))
        self.now = now

    # --- the server

    def accept(self) -> None:
        self.do(self.session.opened(self.now, self.frames, self.ticks))

    def refuse(self, error: FeedError, text: str = "") -> None:
        self.do(self.session.refused(error, self.now, text))

    def lose(self, reason: str = "eof", code: int = 1006, text: str = "") -> None:
        self.do(self.session.lost(Loss(reason, code, text), self.now))

    def price(self, count: int = 1) -> None:
        self.frames += count
        self.ticks += count

    def say(self, message: Message) -> None:
        self.frames += 1
        self.do(self.session.message(message, self.now))

    def say_json(self, **message: object) -> None:
        for decoded in self.session.adapter.decode(json.dumps(message), self.now):
            self.say(decoded)

    def acknowledge(self, symbols: Iterable[str] | None = None, **fails: str) -> None:
        """Answer the last subscription, in whole or as told."""
        asked = self.asked()[-1] if self.asked() else []
        self.say_json(
            event="subscribe-status",
            status="warning" if fails else "ok",
            success=[{"symbol": symbol} for symbol in (asked if symbols is None else symbols) if symbol not in fails],
            fails=[{"symbol": symbol, "message": text} for symbol, text in fails.items()],
        )

    # --- what was said

    @property
    def state(self) -> str:
        return str(self.session.state)

    def asked(self, action: str = "subscribe") -> list[list[str]]:
        return [each["params"]["symbols"].split(",") for each in self.sent if each["action"] == action]

    def told(self, kind: type[_F]) -> list[_F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def do(self, commands: Iterable[Command]) -> None:
        """Perform `commands`; those that this leads to wait for their turn, as in a real connection."""
        self._todo.extend(commands)
        if self._doing:
            return
        self._doing = True
        while self._todo:
            self._do(self._todo.popleft())
        self._doing = False

    def _do(self, command: Command) -> None:
        match command:
            case WaitUntil(when):
                self._until = when
            case Open():
                self.dials.append(self.now)
                self.on_open(self)
            case Send(text):
                self._sent(json.loads(text))
            case Ping():
                self.pings.append(self.now)
                if self.pongs:
                    self.do(self.session.ponged(self.now))
            case Pong(payload):
                self.pong_payloads.append(payload)
            case Abort():
                self.aborts += 1
                self.lose("eof")
            case Close():
                self.closes += 1
                self.lose("closed", 1000)
            case Replace(reason):
                self.replacements.append(reason)
            case _:
                self.facts.append(command)

    def _sent(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self.sent_at.append(self.now)
        if message["action"] == "heartbeat" and self.heartbeats:
            self.say_json(event="heartbeat", status="ok")
