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

from collections.abc import Callable, Iterable
from copy import copy

from pricestreamd.feeds.connection.attempts import Attempts, Next
from pricestreamd.feeds.connection.backoff import Dice
from pricestreamd.feeds.connection.commands import (
    Abort,
    Answered,
    Command,
    Commands,
    Connected,
    Disconnected,
    Open,
    Resumed,
    Send,
    WaitUntil,
)
from pricestreamd.feeds.connection.lasting import Lasting
from pricestreamd.feeds.connection.opened import Opened
from pricestreamd.feeds.connection.requests import Requests
from pricestreamd.feeds.connection.staleness import Staleness
from pricestreamd.feeds.connection.subscriptions import Subscriptions
from pricestreamd.feeds.connection.verdict import EXPECTED, Loss, Verdict, after_loss, after_refusal
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.errors import FeedError, TransportError
from pricestreamd.model.interface import ConnectionState
from pricestreamd.providers.base import Adapter, Message


class Session:
    """One connection's life. `new_adapter` makes the adapter of each dial; `dice` throws between two numbers."""

    def __init__(self, name: str, settings: FeedSettings, new_adapter: Callable[[], Adapter], dice: Dice) -> None:
        adapter = new_adapter()
        self.name = name
        self.subscriptions = Subscriptions(settings.subscribe_timeout)
        self.error: FeedError | None = None
        """Why the session ended by itself; None while it has not, or when the user ended it."""
        self._new_adapter = new_adapter
        requests = Requests(self.subscriptions, adapter.profile)
        self._lasting = Lasting(name, settings, dice, adapter, self.subscriptions, requests)
        self._attempts = Attempts(settings.reconnect, dice, evicts=adapter.profile.evicts_in_silence)
        # Where no connection is open, or it is to be the last.
        self._state: ConnectionState = "stopped"
        self._opened: Opened | None = None
        self._frames = self._ticks = 0
        self._retry_at: float | None = None

    @property
    def state(self) -> ConnectionState:
        """See the table."""
        return self._state if self._opened is None or self._state == "stopped" else self._opened.state

    @property
    def adapter(self) -> Adapter:
        """Of the present or the last dial."""
        return self._lasting.adapter

    @property
    def last_heartbeat(self) -> float | None:
        """When a pong or a heartbeat was heard last, on the clock of `now`."""
        return self._lasting.last_heartbeat

    @property
    def market_open(self) -> bool:
        """Whether prices may be expected of any symbol here; whoever knows the hours says so."""
        return self._lasting.market_open

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
        if self._state != "stopped" or self._opened is not None:
            return []
        self._attempts.begin(supervised=supervised, patient=supervised if patient is None else patient)
        self.error = None
        return self._dial(now)

    def stop(self, now: float, *, deliberate: bool = True, reason: str = "stopped") -> Commands:
        """Give up the symbols as far as the pace allows, say goodbye, and dial no more.

        `deliberate`: the user wants no prices for a while; otherwise those that come meanwhile are a gap. `reason`: one
        of `verdict.EXPECTED`.
        """
        self._state = "stopped"
        if deliberate:
            self._lasting.missing = False
            self._lasting.staleness.excuse()
        self._retry_at = None
        opened = self._current
        return self._answer(now, *(opened.say_goodbye(now, reason) if opened is not None else ()))

    def redial(self, now: float, reason: str) -> Commands:
        """Say goodbye, and dial again by the schedule."""
        opened = self._current
        return [] if opened is None else self._answer(now, *opened.say_goodbye(now, reason))

    def retry_now(self, now: float) -> Commands:
        """Dial at once if the session is waiting to: something has changed, the key perhaps."""
        return self._dial(now) if self.state in ("backoff", "parked") else []

    def want(self, symbols: Iterable[str], now: float) -> Commands:
        """Want `symbols`; they are asked for now, or as soon as that is possible."""
        symbols = list(symbols)
        self.subscriptions.want(symbols)
        refused = self._lasting.take_in(symbols)
        return self._answer(now, *self._lasting.refuse(refused, now), *self._reconcile(now))

    def unwant(self, symbols: Iterable[str], now: float) -> Commands:
        """Want `symbols` no longer. Their late prices count as unknown from now on."""
        for symbol in self.subscriptions.unwant(symbols):
            self.adapter.symbols.remove(symbol)
        if not self.subscriptions.wanted:
            self._lasting.staleness.excuse()
        return self._answer(now, Answered(), *self._reconcile(now))

    def resubscribe(self, symbols: Iterable[str], now: float) -> Commands:
        """Give up `symbols` and ask for them anew, where that can be said on an open connection."""
        if self._current is None or self.adapter.profile.subscribes != "in_band":
            return []
        self._lasting.requests.renew(symbols)
        return self._answer(now, *self._reconcile(now))

    def expect_gap(self) -> None:
        """Prices may have been missed before this session began: its first `Live` says so."""
        self._lasting.missing = True

    @property
    def is_silent(self) -> bool:
        """Whether no price has come for too long: from then on until one comes, over all connections."""
        return self._lasting.staleness.since is not None

    def silence(self, now: float) -> Staleness:
        """How long no price has come, for whoever goes on from here."""
        if self._opened is not None:
            self._opened.keep_waiting(now)
        return copy(self._lasting.staleness)

    def go_on_from(self, silence: Staleness, now: float) -> Commands:
        """No price has come here yet, and `silence` is that of the session before."""
        self._lasting.staleness = silence
        opened = self._current
        if opened is None:
            return []
        opened.go_on(now)
        return self._answer(now)

    def set_market_open(self, now: float, *, is_open: bool) -> Commands:
        """Prices may be expected, or not; silence counts only while they may."""
        self._lasting.market_open = is_open
        if not is_open:
            # Whatever was silent before the bell has a reason to be so now.
            self._lasting.staleness.excuse()
            if self._opened is not None:
                self._opened.excuse()
        opened = self._current
        if opened is None:
            return []
        opened.expect_data(now)
        return self._answer(now)

    def give_up_as_stale(self, seconds: float, now: float) -> Commands:
        """No price for `seconds`, by a judgement that was made elsewhere: the connection is replaced."""
        opened = self._current
        return [] if opened is None else self._answer(now, *opened.silent(seconds, now))

    def configure(self, settings: FeedSettings, now: float) -> Commands:
        """Take new settings of reconnection, heartbeat and silence; a delay that has begun is not changed."""
        self._lasting.settings = settings
        self._attempts.configure(settings.reconnect)
        if self._opened is not None:
            self._opened.configure()
        return self._answer(now)

    def send_wait(self, now: float) -> float:
        """Seconds until a message of the user's own may be sent."""
        return self._lasting.requests.wait(now)

    def send(self, text: str, now: float) -> Commands:
        """Send a message of the user's own, which has waited for its turn.

        Raises:
            TransportError: there is no open connection.
        """
        if self._current is None:
            raise TransportError("not connected", feed=self.name, reason="closed")
        self._lasting.requests.count(now)
        return self._answer(now, Send(text))

    # --- the transport. `frames` and `ticks` count all messages and all prices received so far, over all connections

    def opened(self, now: float, frames: int, ticks: int) -> Commands:
        """The upgrade is done."""
        # The last prices of the connection before, which ended before anybody looked.
        ended = self._lasting.staleness.end(now) if ticks != self._ticks else None
        self._frames, self._ticks = frames, ticks
        if self.state != "connecting":
            return self._answer(now, Abort())
        opened = self._opened = Opened(self._lasting, now)
        told: Commands = [Connected()] if ended is None else [Resumed(ended), Connected()]
        return self._answer(now, *told, *opened.begin(now))

    def refused(self, error: FeedError, now: float, text: str = "") -> Commands:
        """The dial failed. `text`: the beginning of the server's answer, where it gave one."""
        if self.state != "connecting":
            return []
        verdict = after_refusal(self.adapter, error, text, self._lasting.dice)
        return self._answer(now, *self._go_on(verdict, self._attempts.after_dial(verdict, now)))

    def lost(self, loss: Loss, now: float) -> Commands:
        """The connection is closed, by whichever side."""
        opened, self._opened = self._opened, None
        if opened is None:
            return []
        told = list(opened.end(now))
        self.subscriptions.reset(now)
        live_seconds = opened.live_seconds(now)
        if live_seconds is not None:
            self._attempts.succeeded()
        verdict = opened.ending or after_loss(self.adapter, loss, self.name, self._lasting.dice)
        verdict = self._attempts.judge(verdict, live_seconds if opened.proof else None)
        told.append(Disconnected(verdict.reason, verdict.reason in EXPECTED))
        if self._state == "stopped":
            return self._answer(now, *told)
        return self._answer(now, *told, *self._go_on(verdict, self._attempts.after_loss(verdict, now)))

    def message(self, message: Message, now: float) -> Commands:
        """Anything decoded that is no price: answers, heartbeats and complaints."""
        opened = self._current
        return [] if opened is None else self._answer(now, *opened.message(message, now))

    def pinged(self, payload: bytes, now: float) -> Commands:
        """A ping frame has come."""
        opened = self._current
        return [] if opened is None else self._answer(now, *opened.pinged(payload, now))

    def ponged(self, now: float) -> Commands:
        """A pong frame has come, asked for or not."""
        opened = self._current
        return [] if opened is None else self._answer(now, *opened.ponged(now))

    def wake(self, now: float, frames: int, ticks: int) -> Commands:
        """Look at the clocks."""
        commands: Commands = []
        opened = self._current
        if self._retry_at is not None and now >= self._retry_at:
            return self._dial(now)
        if opened is not None:
            commands += opened.look(now, heard=frames != self._frames, data=ticks != self._ticks)
            if opened.is_proven(now):
                self._attempts.proven()
        self._frames, self._ticks = frames, ticks
        return self._answer(now, *commands)

    # --- steps

    @property
    def _current(self) -> Opened | None:
        """The open connection, unless it is ending."""
        return self._opened if self._opened is not None and self._opened.ending is None else None

    def _dial(self, now: float) -> Commands:
        self._state = "connecting"
        self._retry_at = None
        self._lasting.dial_with(self._new_adapter())
        return self._answer(now, Open())

    def _reconcile(self, now: float) -> Iterable[Command]:
        return () if self._current is None else self._current.reconcile(now)

    def _go_on(self, verdict: Verdict, then: Next) -> tuple[Command, ...]:
        self._state, self._retry_at = then.state, then.retry_at
        if then.state == "stopped":
            self.error = verdict.error
        return then.told

    def _answer(self, now: float, *commands: Command) -> Commands:
        opened = self._current
        return [*commands, WaitUntil(self._retry_at if opened is None else opened.next_look(now))]
