"""When is a failed delivery tried again, and when is it given up? One decision, no clock and no dice in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.delivery.queue import DropReason
from pricestreamd.sinks.settings import RetrySettings

# A schedule may end in 0 s. Repeated for ever, that would keep a core busy with failing.
SHORTEST_REPEAT_SECONDS = 0.1

Dice = Callable[[float, float], float]
"""A number between two others, as `random.uniform`."""


class Verdict(NamedTuple):
    """Try again after `delay` seconds, unless there is a reason to `give_up`."""

    delay: float
    give_up: DropReason | None = None


def judge(settings: RetrySettings, error: BaseException, *, failures: int, age: float, dice: Dice) -> Verdict:
    """What to do after failure number `failures` (from 1) of a batch first tried `age` seconds ago.

    The delays are waited one after the other; after the last one the batch is given up, or, with `max_age`, the last
    one repeats until the batch is that old. A sink's own `retry_after` only makes a delay longer, and never longer than
    there is time for one more attempt. An error that is no
    `SinkError` is a bug, and may be one of this batch alone: it has the listed delays and no more.
    """
    if isinstance(error, DestinationGone):
        return Verdict(0.0, "stopped")
    if isinstance(error, SinkError) and not error.transient:
        return Verdict(0.0, "refused")
    delays = settings.delays
    if not delays or (failures > len(delays) and (settings.max_age is None or not isinstance(error, SinkError))):
        return Verdict(0.0, "retries")
    delay = delays[failures - 1] if failures <= len(delays) else max(delays[-1], SHORTEST_REPEAT_SECONDS)
    delay *= dice(1 - settings.jitter, 1 + settings.jitter)
    if settings.max_age is not None and age + delay > settings.max_age:
        return Verdict(0.0, "expired")
    delay = max(delay, getattr(error, "retry_after", None) or 0.0)
    # What the sink asks for costs nobody the last attempt.
    return Verdict(delay if settings.max_age is None else min(delay, settings.max_age - age))


def endless_delay(settings: RetrySettings, verdict: Verdict, error: BaseException, longest: float) -> float:
    """The wait before another attempt of what is never given up: by the schedule, then its last delay, seldom longer.

    A delay is at most `longest` seconds, so that the end of an outage is soon noticed; but a server's `retry_after` is
    heeded.
    """
    delay = verdict.delay
    if verdict.give_up:
        delay = settings.delays[-1] if settings.delays else 1.0
    delay = min(longest, max(delay, SHORTEST_REPEAT_SECONDS if verdict.give_up else 0.0))
    return max(delay, getattr(error, "retry_after", None) or 0.0)


def longest_delay(settings: RetrySettings, failures: int) -> float:
    """The longest wait that `settings` allow after failure number `failures`; 0 where there was none."""
    if not failures or not settings.delays:
        return 0.0
    return settings.delays[min(failures, len(settings.delays)) - 1] * (1 + settings.jitter)
