"""What to ask the provider for next: the difference between wanted and confirmed, within the provider's pace.

One rolling window holds every text of ours, heartbeats and the user's own messages too, and it outlives connections. A
burst of subscriptions leaves room in it for the heartbeats of one window, for without those the connection dies.
Where symbols are named by the address or by each poll, or all come anyway, nothing is sent, and what is asked for
counts as subscribed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pricestreamd.feeds.connection.commands import Command, Send
from pricestreamd.feeds.connection.pacing import RollingWindow
from pricestreamd.feeds.connection.subscriptions import Subscriptions
from pricestreamd.providers.base import Adapter, Request
from pricestreamd.providers.profile import Profile


class Requests:
    """Paced requests for `subscriptions`. Times are those of one monotonic clock."""

    def __init__(self, subscriptions: Subscriptions, profile: Profile) -> None:
        self._subscriptions = subscriptions
        self._profile = profile
        self._window = RollingWindow(profile.control_messages, profile.control_window)
        beat = profile.heartbeat_interval
        self._reserve = int(profile.control_window / beat) if beat else 0
        self._renewals: dict[str, None] = {}
        self.blocked_until: float | None = None
        """When the pace allows the request that it held back; None if it held none back."""

    def reconcile(self, adapter: Adapter, now: float) -> Iterator[Command]:
        """Give up what is not wanted, then ask for what is; what the pace does not allow waits for `blocked_until`."""
        self.blocked_until = None
        subscriptions = self._subscriptions
        if self._profile.subscribes != "in_band":
            subscriptions.given_up(subscriptions.to_unsubscribe())
            if self._profile.subscribes == "implicit":
                self.take_as_subscribed(subscriptions.to_subscribe(now), now)
            return
        for request in self._allowed(adapter.encode_unsubscribe(subscriptions.to_unsubscribe()), now):
            subscriptions.given_up(request.symbols)
            yield Send(request.text)
        yield from self._subscribe(subscriptions.to_subscribe(now), adapter, now)
        if self._renewals:
            yield from self._renew(adapter, now)

    def _subscribe(self, symbols: Sequence[str], adapter: Adapter, now: float) -> Iterator[Command]:
        for request in self._allowed(adapter.encode_subscribe(symbols), now):
            if self._profile.acknowledges:
                self._subscriptions.asked(request.symbols, now)
            else:
                self.take_as_subscribed(request.symbols, now)
            yield Send(request.text)

    def _renew(self, adapter: Adapter, now: float) -> Iterator[Command]:
        """Batch by batch, so that none has been given up for long when it is asked for again."""
        held = [symbol for symbol in self._renewals if self._subscriptions.is_confirmed(symbol)]
        self._renewals = dict.fromkeys(held)
        for request in self._allowed(adapter.encode_unsubscribe(held), now):
            self._subscriptions.given_up(request.symbols)
            for symbol in request.symbols:
                self._renewals.pop(symbol, None)
            yield Send(request.text)
            yield from self._subscribe(request.symbols, adapter, now)
        if self.blocked_until is None:
            self._renewals.clear()

    def renew(self, symbols: Iterable[str]) -> None:
        """Give up `symbols` although they are wanted, and ask for them anew, as soon as the pace allows it."""
        self._renewals.update(dict.fromkeys(symbols))

    def take_as_subscribed(self, symbols: Iterable[str], now: float) -> None:
        """`symbols` were asked for, and no answer to that will come."""
        symbols = list(symbols)
        self._subscriptions.asked(symbols, now)
        self._subscriptions.acknowledge(symbols, {}, now)

    def farewell(self, adapter: Adapter, now: float) -> Iterator[Command]:
        """Give up everything, as far as the pace allows."""
        if self._profile.subscribes != "in_band":
            return
        for request in adapter.encode_unsubscribe(self._subscriptions.confirmed):
            if not self._window.take(now):
                return
            yield Send(request.text)

    def is_due(self, now: float) -> bool:
        """Whether there may be something to ask for: a request was held back or lost."""
        times = (self.blocked_until, self._subscriptions.overdue_at())
        return any(at is not None and now >= at for at in times)

    def next_time(self) -> float | None:
        """When `is_due` will be true."""
        return self._subscriptions.overdue_at() if self.blocked_until is None else self.blocked_until

    def wait(self, now: float, *, urgent: bool = False) -> float:
        """Seconds until one more text may go out. `urgent`: a heartbeat, which may take the room kept for it."""
        return self._window.wait(now, 0 if urgent else self._reserve)

    def count(self, now: float) -> None:
        """One more text goes out."""
        self._window.take(now)

    def pause(self, until: float) -> None:
        """Send nothing before `until`."""
        self._window.close(until)

    def _allowed(self, requests: Iterable[Request], now: float) -> Iterator[Request]:
        for request in requests:
            if not self._window.take(now, self._reserve):
                self.blocked_until = now + self._window.wait(now, self._reserve)
                return
            yield request
