"""What follows a failed dial or a lost connection: another attempt after a while, a long pause, or the end.

- A fatal refusal (the key, the plan) is no matter of patience: a supervised feed is parked, any other ends.
- Anything else is tried again after a delay that grows; it returns to its start when `proven`, and not before.
- Where reconnecting is switched off or its attempts are used up, the feed ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pricestreamd.feeds.connection.backoff import Backoff, Dice
from pricestreamd.feeds.connection.commands import Command, Failed, Reconnecting
from pricestreamd.feeds.connection.crowding import Crowding
from pricestreamd.feeds.connection.verdict import EXPECTED, Verdict
from pricestreamd.feeds.settings import ReconnectSettings

# A key refused now may be good after a human has acted. Until then it is tried so often, give or take a fifth.
_PARKED_RETRY = 900.0
_PARKED_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Next:
    """What is next: the state, when to dial (None: not at all), and what to tell."""

    state: Literal["backoff", "parked", "stopped"]
    retry_at: float | None
    told: tuple[Command, ...] = ()


class Attempts:
    """The attempts of one connection, one after the other. `evicts`: see `Crowding`."""

    def __init__(self, settings: ReconnectSettings, dice: Dice, *, evicts: bool) -> None:
        self._backoff = Backoff(settings, dice)
        self._crowding = Crowding(dice, evicts=evicts)
        self._dice = dice
        self._supervised = self._patient = False
        self._succeeded = False

    def begin(self, *, supervised: bool, patient: bool) -> None:
        """Begin anew. `supervised`: parked when refused. `patient`: the first dial is repeated like any other."""
        self._supervised, self._patient = supervised, patient
        self._succeeded = False
        self._backoff.reset()

    def configure(self, settings: ReconnectSettings) -> None:
        """Take new settings; a delay that has begun is not changed."""
        self._backoff.settings = settings

    def proven(self) -> None:
        """The connection has lived and delivered for long enough: the next loss begins a new count."""
        self._backoff.reset()

    def succeeded(self) -> None:
        """A connection was live, for however short a time."""
        self._succeeded = True

    def judge(self, verdict: Verdict, live_seconds: float | None) -> Verdict:
        """The end of a connection in the light of those before; see `Crowding.judge`."""
        return self._crowding.judge(verdict, live_seconds)

    def after_dial(self, verdict: Verdict, now: float) -> Next:
        """A dial has failed."""
        if not self._succeeded and not self._backoff.attempts and not self._patient:
            return Next("stopped", None)
        return self.after_loss(verdict, now)

    def after_loss(self, verdict: Verdict, now: float) -> Next:
        """A connection is lost, or one more dial has failed."""
        exhausted = not self._backoff.settings.enabled or self._backoff.exhausted
        if (verdict.fatal and not self._supervised) or (exhausted and not verdict.fatal):
            return Next("stopped", None)
        failed = () if verdict.reason in EXPECTED else (Failed(verdict.reason, verdict.error),)
        if verdict.fatal:
            pause = _PARKED_RETRY * self._dice(1 - _PARKED_JITTER, 1 + _PARKED_JITTER)
            return Next("parked", now + pause, failed)
        delay = self._backoff.next_delay(verdict.floor)
        return Next("backoff", now + delay, (*failed, Reconnecting(self._backoff.attempts, delay, verdict.reason)))
