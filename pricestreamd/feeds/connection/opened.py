"""One open connection of a session, from its upgrade to its end: subscribing, live or stale.

Whatever is said on it goes through here: requests for symbols, heartbeats, and the answers to what the provider says.
The states, and what holds in all of them, are in `session`. Times are those of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pricestreamd.feeds.connection.commands import (
    Abort,
    Answered,
    CapReached,
    Close,
    Command,
    Commands,
    Failed,
    Live,
    Ping,
    Pong,
    PricesMissed,
    Replace,
    Resumed,
    Send,
    Stale,
    SymbolsRejected,
)
from pricestreamd.feeds.connection.lasting import Lasting
from pricestreamd.feeds.connection.liveness import Liveness
from pricestreamd.feeds.connection.pacing import RollingWindow
from pricestreamd.feeds.connection.verdict import Verdict, after_complaint, silence
from pricestreamd.model.errors import FeedError
from pricestreamd.providers.base import Ack, Farewell, FaultKind, Heartbeat, Message, Missed, ProviderFault

# Live with prices or heartbeats for so many seconds: the server means it, and the next loss begins a new count.
_PROVEN_AFTER = 10.0
# Silence, in seconds, after the provider complained of too many requests.
_RATE_LIMIT_PAUSE = 30.0
# More control frames in a second than this are an attack or a fault, not a question.
_MAX_CONTROL_FRAMES = 100
# Whatever the clocks say, the next look is so many seconds away at least.
_SHORTEST_WAIT = 0.005


class Opened:
    """The connection that opened at `now`, with what its session keeps.

    `proof`: it has brought prices or heartbeats. `ending`: why this side has given it up. `replacing`: why it has asked
    to be replaced.
    """

    __slots__ = ("_control_frames", "_lasting", "_live_since", "_liveness", "ending", "proof", "replacing", "state")

    def __init__(self, lasting: Lasting, now: float) -> None:
        self.state: Literal["subscribing", "live", "stale"] = "subscribing"
        self.proof = False
        self.ending: Verdict | None = None
        self.replacing: str | None = None
        self._lasting = lasting
        self._liveness = Liveness(lasting.settings.heartbeat, lasting.adapter.profile, now)
        self._control_frames = RollingWindow(_MAX_CONTROL_FRAMES, 1.0)
        self._live_since: float | None = None

    def live_seconds(self, now: float) -> float | None:
        """How long it has been live; None: never."""
        return None if self._live_since is None else now - self._live_since

    def is_proven(self, now: float) -> bool:
        """Whether the server means it."""
        seconds = self.live_seconds(now)
        return self.proof and seconds is not None and seconds >= _PROVEN_AFTER

    def next_look(self, now: float) -> float:
        """When to look next."""
        times = (self._liveness.next_look(now), self._lasting.requests.next_time())
        return max(now + _SHORTEST_WAIT, min(time for time in times if time is not None))

    # --- from the upgrade to the end

    def begin(self, now: float) -> Iterator[Command]:
        """Say what the provider wants to hear first, and ask for the symbols."""
        lasting = self._lasting
        for text in lasting.adapter.on_open():
            lasting.requests.count(now)
            yield Send(text)
        if lasting.adapter.profile.subscribes == "connect":
            lasting.requests.take_as_subscribed(lasting.dialled(), now)
        yield from lasting.refuse(lasting.take_in(lasting.subscriptions.wanted), now)
        yield from self.reconcile(now)

    def say_goodbye(self, now: float, reason: str) -> Commands:
        """Give up the symbols as far as the pace allows, and close."""
        farewell = self._lasting.requests.farewell(self._lasting.adapter, now)
        self.ending = silence(reason, self._lasting.name)
        return [*farewell, Close()]

    def replace(self, reason: str) -> Iterator[Command]:
        """Ask to be replaced, once."""
        if self.replacing is None:
            self.replacing = reason
            yield Replace(reason)

    def end(self, now: float) -> Iterator[Command]:
        """It is closed, by whichever side."""
        if self.ending is not None and self.ending.reason == "stale":
            return
        self.keep_waiting(now)
        # Where connections are so short that nobody looks at them, it shows here.
        silent = self._liveness.silent(now)
        if silent is not None and self._lasting.staleness.give_up(silent, now):
            yield Stale(silent)

    # --- what the other side says

    def message(self, message: Message, now: float) -> Iterator[Command]:
        """Anything decoded that is no price: answers, heartbeats and complaints."""
        match message:
            case Ack():
                yield Answered()
                news = self._lasting.subscriptions.acknowledge(message.subscribed, message.rejected, now)
                if news:
                    yield SymbolsRejected(news)
                yield from self.reconcile(now)
            case Heartbeat():
                self._beat(now)
            case ProviderFault():
                yield from self._complaint(message, now)
            case Missed():
                yield PricesMissed(message.symbols, message.count)
            case Farewell():
                yield from self.replace("farewell")
            case _:
                pass

    def pinged(self, payload: bytes, now: float) -> Iterator[Command]:
        """A ping frame has come."""
        if self._lasting.adapter.profile.pings:
            self._beat(now)
            self._liveness.heard(now, data=False)
        return self._control_frame(now, Pong(payload))

    def ponged(self, now: float) -> Iterator[Command]:
        """A pong frame has come, asked for or not."""
        self._lasting.last_heartbeat = now
        if self._lasting.adapter.profile.heartbeat_interval is None:
            self.proof = True  # a provider without a heartbeat of its own has only this one
        return self._control_frame(now)

    def _beat(self, now: float) -> None:
        self.proof = True
        self._lasting.last_heartbeat = now

    def _control_frame(self, now: float, *answer: Command) -> Iterator[Command]:
        self._liveness.ponged()
        if self._control_frames.take(now):
            yield from answer
        else:
            yield self._give_up("abuse")

    def _complaint(self, fault: ProviderFault, now: float) -> Iterator[Command]:
        lasting = self._lasting
        if fault.kind is FaultKind.SYMBOL_REJECTED and fault.symbol is not None:
            yield Answered()
            yield from lasting.refuse({fault.symbol: fault.message}, now)
            return
        if fault.kind is FaultKind.RATE_LIMITED:
            lasting.requests.pause(now + (fault.retry_after or _RATE_LIMIT_PAUSE))
        if fault.kind is FaultKind.OVER_CAP and lasting.subscriptions.confirmed_count:
            yield CapReached(lasting.subscriptions.confirmed_count)
        self.ending = after_complaint(fault, lasting.name, lasting.dice)
        if self.ending is not None:
            yield Close()
        elif lasting.complaints.admit(fault.kind, now) is not None:
            yield Failed(fault.kind.value, FeedError(fault.message, feed=lasting.name))

    # --- asking for symbols

    def reconcile(self, now: float) -> Iterator[Command]:
        """Ask for what is missing, and see what that makes of the state."""
        lasting = self._lasting
        yield from lasting.requests.reconcile(lasting.adapter, now)
        yield from self._settle(now)
        if lasting.adapter.profile.subscribes == "connect" and lasting.has_other_symbols:
            yield from self.replace("symbols")

    def _settle(self, now: float) -> Iterator[Command]:
        lasting = self._lasting
        owed = not lasting.subscriptions.answered and lasting.subscriptions.waiting
        if self.state == "live" and owed:
            self.state = "subscribing"
        elif self.state == "subscribing" and not owed:
            self.state = "live" if lasting.staleness.since is None else "stale"
            if self._live_since is None:
                self._live_since = now
                yield Live(again=lasting.missing)
                lasting.missing = True
        self.expect_data(now)

    # --- looking at the clocks

    def look(self, now: float, *, heard: bool, data: bool) -> Iterator[Command]:
        """`heard`: messages have come since the last look; `data`: prices among them."""
        lasting = self._lasting
        if heard:
            self._liveness.heard(now, data=data)
        if data:
            yield from self._priced(now)
        due = self._liveness.look(now)
        if due.death is not None:
            yield self._give_up(due.death)
        elif due.silent_seconds is not None:
            yield from self.silent(due.silent_seconds, now)
        elif self.state == "subscribing" and self._is_overdue(now):
            yield self._give_up("subscribe_timeout")
        else:
            if due.ping:
                self._liveness.pinged(now)
                yield Ping()
            if due.keepalive:
                yield from self._keep_alive(now)
            if lasting.requests.is_due(now):
                yield from self.reconcile(now)

    def _is_overdue(self, now: float) -> bool:
        at = self._lasting.subscriptions.overdue_at()
        return at is not None and now >= at

    def _keep_alive(self, now: float) -> Iterator[Command]:
        lasting = self._lasting
        text = lasting.adapter.keepalive()
        if text is not None and (wait := lasting.requests.wait(now, urgent=True)) > 0:
            self._liveness.keep_alive_at(now + wait)
            return
        self._liveness.keep_alive_at(now + (lasting.adapter.profile.heartbeat_interval or 0.0))
        if text is not None:
            lasting.requests.count(now)
            yield Send(text)

    def _priced(self, now: float) -> Iterator[Command]:
        """Prices have come since the last look: they prove more than any acknowledgement."""
        self.proof = True
        if (seconds := self._lasting.staleness.end(now)) is not None:
            yield Resumed(seconds)
            self.expect_data(now)
        self.excuse()
        if self.state == "subscribing":
            self._lasting.subscriptions.answered = True
            yield from self._settle(now)

    def silent(self, seconds: float, now: float) -> Iterator[Command]:
        """No price for `seconds`: it is given up."""
        self.state = "stale"
        if self._lasting.staleness.give_up(seconds, now):
            yield Stale(seconds)
        yield self._give_up("stale")

    def _give_up(self, reason: str) -> Command:
        self.ending = silence(reason, self._lasting.name)
        return Abort()

    # --- how long it may be silent

    def excuse(self) -> None:
        """The silence is over, or has a reason."""
        if self.state == "stale":
            self.state = "live"

    def expect_data(self, now: float) -> None:
        """See anew by when a price is expected."""
        limit = self._lasting.data_limit() if self._live_since is not None else None
        self._liveness.expect_data(limit, now, self._lasting.staleness.waited)

    def go_on(self, now: float) -> None:
        """The silence that counts is another one now."""
        if self.state == "live" and self._lasting.staleness.since is not None:
            self.state = "stale"
        self._liveness.expect_data(None, now)
        self.expect_data(now)

    def keep_waiting(self, now: float) -> None:
        """Leave to the next connection how long this one has waited for a price."""
        if (waited := self._liveness.waited(now)) is not None:
            self._lasting.staleness.waited = waited

    def configure(self) -> None:
        """The settings are others now."""
        self._liveness.heartbeat = self._lasting.settings.heartbeat
