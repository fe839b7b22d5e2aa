"""What comes of an attempt of the durable lane: delivered, counted, tried again at its time, or given up and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.base import ErrorHook, said
from pricestreamd.sinks.delivery.breaker import Breaker, no_longer_taken
from pricestreamd.sinks.delivery.queue import DropReason
from pricestreamd.sinks.delivery.retry import Dice, judge
from pricestreamd.sinks.not_yet import Counted, NothingTried
from pricestreamd.sinks.outbox.deliveries import Deliveries, Entry
from pricestreamd.sinks.outbox.outcomes import Outcomes
from pricestreamd.sinks.settings import RetrySettings
from pricestreamd.state.rows import Outcome


class Aftermath:
    """Of the attempts of the sink `name`. `left` hears of the id of each event that is settled for good.

    `wall` gives epoch seconds, `dice` a number between two others.
    """

    def __init__(
        self,
        name: str,
        deliveries: Deliveries,
        outcomes: Outcomes,
        breaker: Breaker,
        retry: RetrySettings,
        *,
        left: Callable[[str], object],
        on_error: ErrorHook,
        wall: Callable[[], float],
        dice: Dice,
    ) -> None:
        self.delivered = 0
        self.dropped: dict[str, int] = dict.fromkeys(get_args(DropReason), 0)
        self._name = name
        self._deliveries = deliveries
        self._outcomes = outcomes
        self._breaker = breaker
        self._retry = retry
        self._left = left
        self._on_error = on_error
        self._wall = wall
        self._dice = dice

    def delivered_now(self, entry: Entry, now: float) -> None:
        """`entry` was delivered, at `now` by the lane's clock."""
        self.delivered += 1
        self._leave(entry)
        self._outcomes.add(self._outcome(entry, "delivered", entry.attempts + 1))
        self._breaker.succeeded(now)

    def settled_untried(self, entry: Entry, why: NothingTried) -> None:
        """`entry` was delivered before, with others, or (`Counted`) needs no delivery, and then is in no counter.

        It says nothing of the destination.
        """
        counted = isinstance(why, Counted)
        if counted:
            self._deliveries.received -= 1
        else:
            self.delivered += 1
        self._leave(entry)
        self._outcomes.add(self._outcome(entry, "delivered", entry.attempts + 1, error=why if counted else None))

    def failed(self, entry: Entry, error: Exception, now: float, *, early: bool) -> None:
        """The attempt at `entry` that ended `now` has failed; `early`: it was made before its time."""
        failures = entry.attempts + 1
        verdict = judge(self._retry, error, failures=failures, age=now - entry.born, dice=self._dice)
        floor = getattr(error, "retry_after", None) or 0.0
        was_open, opened = self._breaker.open, False
        if verdict.give_up != "refused":
            opened = self._breaker.failed(now, error)
        if verdict.give_up == "refused" or (verdict.give_up and not early):
            self.dropped[verdict.give_up] += 1
            self._leave(entry)
            self._outcomes.add(self._outcome(entry, "dead", failures, error=error))
            text = f"{entry.delivery.event} {entry.id} is given up after {failures} attempts: {said(error)}"
            self._on_error(self._name, SinkError(text, sink=self._name, transient=False), 1)
            return
        if early:
            self._deliveries.tried_early(entry)
            due = max(entry.due, now + floor)
        else:
            entry.attempts = failures
            due = now + verdict.delay
        entry.settled = False
        self._deliveries.again(entry, due=due, at=due)
        due_at = self._wall() + due - now
        self._outcomes.add(self._outcome(entry, "retry", entry.attempts, due_at=due_at, error=error))
        if opened:
            self._on_error(self._name, no_longer_taken(error, self._name), 0)
        elif not was_open:
            self._on_error(self._name, error, 0)

    def _outcome(
        self,
        entry: Entry,
        result: Literal["delivered", "retry", "dead"],
        attempts: int,
        *,
        due_at: float = 0.0,
        error: Exception | None = None,
    ) -> Outcome:
        text = None if error is None else said(error)
        return Outcome(entry.id, self._name, result, attempts, self._wall(), due_at, text)

    def _leave(self, entry: Entry) -> None:
        self._deliveries.finish(entry)
        self._left(entry.id)
