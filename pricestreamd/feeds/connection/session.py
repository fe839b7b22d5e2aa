"""The life of one connection, as a state machine that opens no socket and reads no clock.

Events go in as method calls with `now` (seconds of one monotonic clock); commands come out, to be performed in their
order, `WaitUntil` last. Every method may be called in every state: an event that comes too late (an acknowledgement
after a close) changes nothing.

| state       | it means                                    | and becomes                                             |
|-------------|---------------------------------------------|---------------------------------------------------------|
| stopped     | not begun; or ended, by `stop` or `error`   | `start` -> connecting                                   |
| connecting  | from name resolution to upgrade             | `opened` -> live, and at once subscribing where the     |
|             |                                             | provider owes an answer; `refused` -> backoff, parked   |
|             |                                             | or stopped                                              |
| subscribing | open; no answer to any subscription yet     | answer, price -> live; timeout -> abort                 |
| live        | open, and answered or nothing to answer     | first symbols wanted -> subscribing; silence -> stale   |
| stale       | no price for too long: given up. So is its  | price -> live                                           |
|             | replacement called until a price comes      |                                                         |
| backoff     | waiting to dial again                       | its time, `retry_now` -> connecting                     |
| parked      | key or plan refused; a human is needed      | a quarter of an hour, `retry_now` -> connecting         |

From subscribing, live and stale, `lost` leads to backoff, parked or stopped. `stop` leads to stopped from everywhere.
What holds in all states:

- The count of attempts returns to 0 only after 10 s of live with prices or heartbeats. An open socket, an upgrade and
  an acknowledgement prove nothing: a server may accept and close for ever.
- A fatal refusal parks a supervised session, and ends any other with `AuthenticationFailed`. The first dial of a
  session that is not patient is tried once.
- A connection that cannot be changed (its symbols are in its address), or that its provider is about to close, asks to
  be replaced, and goes on until it is told to stop.
- After `Abort` or `Close` the connection is ending: nothing more is sent, and only `lost` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field

from pricestreamd.feeds.connection.attempts import Attempts, Next
from pricestreamd.feeds.connection.backoff import Dice
from pricestreamd.feeds.connection.commands import (
    Abort,
    Answered,
    CapReached,
    Close,
    Command,
    Commands,
    Connected,
    Disconnected,
    Failed,
    Live,
    Open,
    Ping,
    Pong,
    PricesMissed,
    Replace,
    Resumed,
    Send,
    Stale,
    SymbolsRejected,
    WaitUntil,
)
from pricestreamd.feeds.connection.liveness import Liveness
from pricestreamd.feeds.connection.pacing import RollingWindow
from pricestreamd.feeds.connection.requests import Requests
from pricestreamd.feeds.connection.staleness import Staleness
from pricestreamd.feeds.connection.subscriptions import Subscriptions
from pricestreamd.feeds.connection.verdict import (
    EXPECTED,
    Loss,
    Verdict,
    after_complaint,
    after_loss,
    after_refusal,
    silence,
)
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.errors import FeedError, TransportError
from pricestreamd.model.interface import ConnectionState
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.base import Ack, Adapter, Farewell, FaultKind, Heartbeat, Message, Missed, ProviderFault

# Live with prices or heartbeats for so many seconds: the server means it, and the next loss begins a new count.
_PROVEN_AFTER = 10.0
# Silence, in seconds, after the provider complained of too many requests.
_RATE_LIMIT_PAUSE = 30.0
# More control frames in a second than this are an attack or a fault, not a question.
_MAX_CONTROL_FRAMES = 100
# Whatever the clocks say, the next look is so many seconds away at least.
_SHORTEST_WAIT = 0.005


@dataclass(slots=True)
class _Opened:
    """What lasts as long as one open connection.

    `ending`: why this side has given it up. `replacing`: why it has asked to be replaced.
    """

    liveness: Liveness
    control_frames: RollingWindow = field(default_factory=lambda: RollingWindow(_MAX_CONTROL_FRAMES, 1.0))
    live_since: float | None = None
    proof: bool = False
    ending: Verdict | None = None
    replacing: str | None = None


class Session:
    """One connection's life. `new_adapter` makes the adapter of each dial; `dice` throws between two numbers."""

    def __init__(self, name: str, settings: FeedSettings, new_adapter: Callable[[], Adapter], dice: Dice) -> None:
        self.name = name
        self.settings = settings
        self.adapter = new_adapter()
        self._new_adapter = new_adapter
        self._dice = dice
        self.state: ConnectionState = "stopped"
        self.error: FeedError | None = None
        """Why the session ended by itself; None while it has not, or when the user ended it."""
        self.last_heartbeat: float | None = None
        """When a pong or a heartbeat was heard last, on the clock of `now`."""
        self.market_open = True
        """Whether prices may be expected of any symbol here; whoever knows the hours says so."""
        profile = self.adapter.profile
        self.subscriptions = Subscriptions(settings.subscribe_timeout)
        self._dialled: frozenset[str] = frozenset()
        self._requests = Requests(self.subscriptions, profile)
        self._attempts = Attempts(settings.reconnect, dice, evicts=profile.evicts_in_silence)
        self._complaints = OncePer(60.0)
        self._opened: _Opened | None = None
        self._frames = self._ticks = 0
        self._retry_at: float | None = None
        # These two outlive an end that the user did not ask for: who begins again has missed what came meanwhile.
        self._missing = False
        self._staleness = Staleness()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that may be sent on."""
        return self._current is not None

    @property
    def replacement(self) -> str | None:
        """Why the open connection wants to be replaced; None while it does not."""
        return None if self._current is None else self._current.replacing

    # --- the user

    def start(self, now: float, *, supervised: bool, patient: bool | None = None) -> Commands:
        """Dial. `supervised`: parked when refused, instead of ended.

        `patient`: the first dial is repeated like any other; without it, as supervised sessions are.
        """
        if self.state != "stopped" or self._opened is not None:
            return []
        self._attempts.begin(supervised=supervised, patient=supervised if patient is None else patient)
        self.error = None
        return self._dial(now)

    def stop(self, now: float, *, deliberate: bool = True, reason: str = "stopped") -> Commands:
        """Give up the symbols as far as the pace allows, say goodbye, and dial no more.

        `deliberate`: the user wants no prices for a while; otherwise those that come meanwhile are a gap. `reason`: one
        of `verdict.EXPECTED`.
        """
        self.state = "stopped"
        if deliberate:
            self._missing = False
            self._staleness.excuse()
        self._retry_at = None
        opened = self._current
        if opened is None:
            return self._answer(now)
        return self._say_goodbye(opened, now, reason)

    def redial(self, now: float, reason: str) -> Commands:
        """Say goodbye, and dial again by the schedule."""
        opened = self._current
        return [] if opened is None else self._say_goodbye(opened, now, reason)

    def _say_goodbye(self, opened: _Opened, now: float, reason: str) -> Commands:
        farewell = list(self._requests.farewell(self.adapter, now))
        opened.ending = silence(reason, self.name)
        return self._answer(now, *farewell, Close())

    def retry_now(self, now: float) -> Commands:
        """Dial at once if the session is waiting to: something has changed, the key perhaps."""
        return self._dial(now) if self.state in ("backoff", "parked") else []

    def want(self, symbols: Iterable[str], now: float) -> Commands:
        """Want `symbols`; they are asked for now, or as soon as that is possible."""
        symbols = list(symbols)
        self.subscriptions.want(symbols)
        refused = self._take_in(symbols)
        return self._answer(now, *self._refuse(refused, now), *self._reconcile(now))

    def unwant(self, symbols: Iterable[str], now: float) -> Commands:
        """Want `symbols` no longer. Their late prices count as unknown from now on."""
        for symbol in self.subscriptions.unwant(symbols):
            self.adapter.symbols.remove(symbol)
        if not self.subscriptions.wanted:
            self._staleness.excuse()
        return self._answer(now, Answered(), *self._reconcile(now))

    def resubscribe(self, symbols: Iterable[str], now: float) -> Commands:
        """Give up `symbols` and ask for them anew, where that can be said on an open connection."""
        if self._current is None or self.adapter.profile.subscribes != "in_band":
            return []
        self._requests.renew(symbols)
        return self._answer(now, *self._reconcile(now))

    def expect_gap(self) -> None:
        """Prices may have been missed before this session began: its first `Live` says so."""
        self._missing = True

    def silence(self, now: float) -> Staleness:
        """How long no price has come, for whoever goes on from here."""
        if self._opened is not None:
            self._keep_waiting(self._opened, now)
        return copy(self._staleness)

    def go_on_from(self, silence: Staleness, now: float) -> Commands:
        """No price has come here yet, and `silence` is that of the session before."""
        self._staleness = silence
        opened = self._current
        if opened is None:
            return []
        if self.state == "live" and silence.since is not None:
            self.state = "stale"
        opened.liveness.expect_data(None, now)
        self._expect_data(opened, now)
        return self._answer(now)

    def set_market_open(self, now: float, *, is_open: bool) -> Commands:
        """Prices may be expected, or not; silence counts only while they may."""
        opened, self.market_open = self._current, is_open
        if not is_open:
            # Whatever was silent before the bell has a reason to be so now.
            self._staleness.excuse()
            if self.state == "stale":
                self.state = "live"
        if opened is None:
            return []
        self._expect_data(opened, now)
        return self._answer(now)

    def give_up_as_stale(self, seconds: float, now: float) -> Commands:
        """No price for `seconds`, by a judgement that was made elsewhere: the connection is replaced."""
        opened = self._current
        return [] if opened is None else self._answer(now, *self._silent(opened, seconds, now))

    def configure(self, settings: FeedSettings, now: float) -> Commands:
        """Take new settings of reconnection, heartbeat and silence; a delay that has begun is not changed."""
        self.settings = settings
        self._attempts.configure(settings.reconnect)
        if self._opened is not None:
            self._opened.liveness.heartbeat = settings.heartbeat
        return self._answer(now)

    def send_wait(self, now: float) -> float:
        """Seconds until a message of the user's own may be sent."""
        return self._requests.wait(now)

    def send(self, text: str, now: float) -> Commands:
        """Send a message of the user's own, which has waited for its turn.

        Raises:
            TransportError: there is no open connection.
        """
        if self._current is None:
            raise TransportError("not connected", feed=self.name, reason="closed")
        self._requests.count(now)
        return self._answer(now, Send(text))

    # --- the transport. `frames` and `ticks` count all messages and all prices received so far, over all connections

    def opened(self, now: float, frames: int, ticks: int) -> Commands:
        """The upgrade is done."""
        # The last prices of the connection before, which ended before anybody looked.
        ended = self._staleness.end(now) if ticks != self._ticks else None
        self._frames, self._ticks = frames, ticks
        if self.state != "connecting":
            return self._answer(now, Abort())
        self._opened = _Opened(Liveness(self.settings.heartbeat, self.adapter.profile, now))
        commands: Commands = [Connected()] if ended is None else [Resumed(ended), Connected()]
        for text in self.adapter.on_open():
            self._requests.count(now)
            commands.append(Send(text))
        self.state = "subscribing"
        if self.adapter.profile.subscribes == "connect":
            self._requests.take_as_subscribed(
                [s for s in self.subscriptions.wanted if symbol_key(s) in self._dialled], now
            )
        commands += self._refuse(self._take_in(self.subscriptions.wanted), now)
        return self._answer(now, *commands, *self._reconcile(now))

    def refused(self, error: FeedError, now: float, text: str = "") -> Commands:
        """The dial failed. `text`: the beginning of the server's answer, where it gave one."""
        if self.state != "connecting":
            return []
        verdict = after_refusal(self.adapter, error, text, self._dice)
        return self._answer(now, *self._go_on(verdict, self._attempts.after_dial(verdict, now)))

    def lost(self, loss: Loss, now: float) -> Commands:
        """The connection is closed, by whichever side."""
        opened, self._opened = self._opened, None
        if opened is None:
            return []
        told: Commands = []
        if opened.ending is None or opened.ending.reason != "stale":
            self._keep_waiting(opened, now)
            # Where connections are so short that nobody looks at them, it shows here.
            silent = opened.liveness.silent(now)
            if silent is not None and self._staleness.give_up(silent, now):
                told.append(Stale(silent))
        self.subscriptions.reset(now)
        live_seconds = None if opened.live_since is None else now - opened.live_since
        if live_seconds is not None:
            self._attempts.succeeded()
        verdict = opened.ending or after_loss(self.adapter, loss, self.name, self._dice)
        verdict = self._attempts.judge(verdict, live_seconds if opened.proof else None)
        told.append(Disconnected(verdict.reason, verdict.reason in EXPECTED))
        if self.state == "stopped":
            return self._answer(now, *told)
        return self._answer(now, *told, *self._go_on(verdict, self._attempts.after_loss(verdict, now)))

    def message(self, message: Message, now: float) -> Commands:
        """Anything decoded that is no price: answers, heartbeats and complaints."""
        opened = self._current
        if opened is None:
            return []
        match message:
            case Ack():
                news = self.subscriptions.acknowledge(message.subscribed, message.rejected, now)
                return self._answer(now, Answered(), *_rejections(news), *self._reconcile(now))
            case Heartbeat():
                opened.proof = True
                self.last_heartbeat = now
            case ProviderFault():
                return self._answer(now, *self._complaint(message, opened, now))
            case Missed():
                return self._answer(now, PricesMissed(message.symbols, message.count))
            case Farewell():
                return self._answer(now, *self._replace(opened, "farewell"))
            case _:
                pass
        return self._answer(now)

    def pinged(self, payload: bytes, now: float) -> Commands:
        """A ping frame has come."""
        if self._opened is not None and self.adapter.profile.pings:
            self._opened.proof = True
            self._opened.liveness.heard(now, data=False)
            self.last_heartbeat = now
        return self._control_frame(now, Pong(payload))

    def ponged(self, now: float) -> Commands:
        """A pong frame has come, asked for or not."""
        self.last_heartbeat = now
        if self._opened is not None and self.adapter.profile.heartbeat_interval is None:
            self._opened.proof = True  # a provider without a heartbeat of its own has only this one
        return self._control_frame(now)

    def wake(self, now: float, frames: int, ticks: int) -> Commands:
        """Look at the clocks."""
        commands: Commands = []
        opened = self._current
        if self._retry_at is not None and now >= self._retry_at:
            return self._dial(now)
        if opened is not None:
            commands += self._look(opened, now, heard=frames != self._frames, data=ticks != self._ticks)
        self._frames, self._ticks = frames, ticks
        return self._answer(now, *commands)

    # --- looking

    def _look(self, opened: _Opened, now: float, *, heard: bool, data: bool) -> Iterator[Command]:
        if heard:
            opened.liveness.heard(now, data=data)
        if data:
            yield from self._priced(opened, now)
        if opened.proof and opened.live_since is not None and now - opened.live_since >= _PROVEN_AFTER:
            self._attempts.proven()
        due = opened.liveness.look(now)
        if due.death is not None:
            yield self._give_up(opened, due.death)
        elif due.silent_seconds is not None:
            yield from self._silent(opened, due.silent_seconds, now)
        elif self.state == "subscribing" and _passed(self.subscriptions.overdue_at(), now):
            yield self._give_up(opened, "subscribe_timeout")
        else:
            if due.ping:
                opened.liveness.pinged(now)
                yield Ping()
            if due.keepalive:
                yield from self._keep_alive(opened, now)
            if self._requests.is_due(now):
                yield from self._reconcile(now)

    def _keep_alive(self, opened: _Opened, now: float) -> Iterator[Command]:
        text = self.adapter.keepalive()
        if text is not None and (wait := self._requests.wait(now, urgent=True)) > 0:
            opened.liveness.keep_alive_at(now + wait)
            return
        opened.liveness.keep_alive_at(now + (self.adapter.profile.heartbeat_interval or 0.0))
        if text is not None:
            self._requests.count(now)
            yield Send(text)

    def _priced(self, opened: _Opened, now: float) -> Iterator[Command]:
        """Prices have come since the last look: they prove more than any acknowledgement."""
        opened.proof = True
        if (seconds := self._staleness.end(now)) is not None:
            yield Resumed(seconds)
            self._expect_data(opened, now)
        if self.state == "stale":
            self.state = "live"
        if self.state == "subscribing":
            self.subscriptions.answered = True
            yield from self._settle(opened, now)

    def _silent(self, opened: _Opened, seconds: float, now: float) -> Iterator[Command]:
        self.state = "stale"
        if self._staleness.give_up(seconds, now):
            yield Stale(seconds)
        yield self._give_up(opened, "stale")

    # --- steps

    @property
    def _current(self) -> _Opened | None:
        """The open connection, unless it is ending."""
        return self._opened if self._opened is not None and self._opened.ending is None else None

    def _dial(self, now: float) -> Commands:
        self.state = "connecting"
        self._retry_at = None
        self.adapter = self._new_adapter()
        self._take_in(self.subscriptions.wanted)
        self._dialled = frozenset(map(symbol_key, self.adapter.symbols))
        return self._answer(now, Open())

    def _reconcile(self, now: float) -> Iterator[Command]:
        """Ask for what is missing, and see what that makes of the state."""
        if (opened := self._current) is not None:
            yield from self._requests.reconcile(self.adapter, now)
            yield from self._settle(opened, now)
            if (
                self.adapter.profile.subscribes == "connect"
                and frozenset(map(symbol_key, self.adapter.symbols)) != self._dialled
            ):
                yield from self._replace(opened, "symbols")

    @staticmethod
    def _replace(opened: _Opened, reason: str) -> Iterator[Command]:
        if opened.replacing is None:
            opened.replacing = reason
            yield Replace(reason)

    def _settle(self, opened: _Opened, now: float) -> Iterator[Command]:
        owed = not self.subscriptions.answered and self.subscriptions.waiting
        if self.state == "live" and owed:
            self.state = "subscribing"
        elif self.state == "subscribing" and not owed:
            self.state = "live" if self._staleness.since is None else "stale"
            if opened.live_since is None:
                opened.live_since = now
                yield Live(again=self._missing)
                self._missing = True
        self._expect_data(opened, now)

    def _expect_data(self, opened: _Opened, now: float) -> None:
        limit = self.settings.stale_after.connection
        # How often a provider may be polled is its own business: only who says so expects a price by a certain time.
        rare = self.adapter.profile.transport == "poll" and not self.settings.stale_after.connection_is_written
        silent_by_nature = not self.market_open or rare
        expected = opened.live_since is not None and not silent_by_nature and self.subscriptions.confirmed_count
        if limit == "learned" or not expected:
            limit = None  # whoever knows the rhythm of the symbols says when it is too long
        if limit is not None:
            limit = self._staleness.allowed(limit)
        opened.liveness.expect_data(limit, now, self._staleness.waited)

    def _keep_waiting(self, opened: _Opened, now: float) -> None:
        if (waited := opened.liveness.waited(now)) is not None:
            self._staleness.waited = waited

    def _take_in(self, symbols: Iterable[str]) -> dict[str, str]:
        """Let the adapter know `symbols`; return those that cannot even be said in its protocol, and why."""
        refused = {}
        for symbol in symbols:
            # One after the other: a symbol may be refused because of one that came before it.
            if (reason := self.adapter.refusal(symbol)) is None:
                self.adapter.symbols.add(symbol)
            else:
                self.adapter.symbols.remove(symbol)
                refused[symbol] = reason
        return refused

    def _refuse(self, symbols: Mapping[str, str], now: float) -> Iterator[Command]:
        yield from _rejections(self.subscriptions.refuse(symbols, now))

    def _control_frame(self, now: float, *answer: Command) -> Commands:
        opened = self._current
        if opened is None:
            return []
        opened.liveness.ponged()
        if not opened.control_frames.take(now):
            return self._answer(now, self._give_up(opened, "abuse"))
        return self._answer(now, *answer)

    def _complaint(self, fault: ProviderFault, opened: _Opened, now: float) -> Iterator[Command]:
        if fault.kind is FaultKind.SYMBOL_REJECTED and fault.symbol is not None:
            yield Answered()
            yield from _rejections(self.subscriptions.refuse({fault.symbol: fault.message}, now))
            return
        if fault.kind is FaultKind.RATE_LIMITED:
            self._requests.pause(now + (fault.retry_after or _RATE_LIMIT_PAUSE))
        if fault.kind is FaultKind.OVER_CAP and self.subscriptions.confirmed_count:
            yield CapReached(self.subscriptions.confirmed_count)
        opened.ending = after_complaint(fault, self.name, self._dice)
        if opened.ending is not None:
            yield Close()
        elif self._complaints.admit(fault.kind, now) is not None:
            yield Failed(fault.kind.value, FeedError(fault.message, feed=self.name))

    def _give_up(self, opened: _Opened, reason: str) -> Command:
        opened.ending = silence(reason, self.name)
        return Abort()

    def _go_on(self, verdict: Verdict, then: Next) -> tuple[Command, ...]:
        self.state, self._retry_at = then.state, then.retry_at
        if then.state == "stopped":
            self.error = verdict.error
        return then.told

    def _answer(self, now: float, *commands: Command) -> Commands:
        opened = self._current
        if opened is None:
            return [*commands, WaitUntil(self._retry_at)]
        times = (opened.liveness.next_look(now), self._requests.next_time())
        return [*commands, WaitUntil(max(now + _SHORTEST_WAIT, min(time for time in times if time is not None)))]


def _rejections(symbols: dict[str, str]) -> Iterator[Command]:
    if symbols:
        yield SymbolsRejected(symbols)


def _passed(time: float | None, now: float) -> bool:
    return time is not None and now >= time
