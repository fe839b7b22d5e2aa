"""What the HTTP side needs of the daemon about deliveries: how each sink is, trying one out, what is owed.

Times are epoch seconds. What cannot be is a `RefusalError`, and then nothing has changed; a disk that refuses is a
`StateError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypedDict

SinkState = Literal["delivering", "failing", "breaker_open", "stopped", "unclaimed"]


class SinkReport(TypedDict):
    """How one sink is. All counts begin with the sink, but for `owed` and `given_up`, which are those of the outbox.

    `state`: `failing` since its last attempts failed, or since the beginning of one that takes over a minute;
    `breaker_open` where so many failed that little is tried until it is back; `stopped` where the destination wants
    nothing more; `unclaimed` is no sink of the configuration, but events wait for one of this name (its `type` is
    None). `why` tells of any state but `delivering`, `since` when. `received` is always `delivered`, all that was
    `dropped` and `queued` together; `queued` wait in memory or in the spool. `owed` wait in the outbox although the
    sink wants them, and `given_up` are kept there for a person; None where the disk does not say.
    """

    sink: str
    type: str | None
    state: SinkState
    why: str | None
    since: float | None
    received: int
    queued: int
    owed: int | None
    given_up: int | None
    oldest_owed_at: float | None
    delivered: int
    dropped: Mapping[str, int]
    retries: int
    last_success: float | None
    last_error: str | None
    last_error_at: float | None


class SinkTest(TypedDict):
    """How trying a sink out went.

    `trial`: it got the event `event_id` (`event`), its destination was asked whether it would take a price (`asked`),
    or it was opened (`opened`). `seconds` it took, the wait for its turn included. `sentences` tell it in plain words.
    """

    sink: str
    ok: bool
    trial: Literal["event", "asked", "opened"]
    event_id: str | None
    seconds: float
    error: str | None
    sentences: list[str]


class OwedDelivery(TypedDict):
    """What one sink owes of one event. `event_id` is the `firing_id` of an alert.

    `state`: `waiting` for its next attempt at `next_attempt_at`, or, where that is past, as soon as the destination is
    tried; `put_off` by the sink itself, which wants it at `next_attempt_at`; `stopped` until somebody starts its sink
    again; `unclaimed` until a sink of that name is configured; `dead`, given up and kept. `attempts` were made so far.
    `id` 0: it is in memory only, as the disk could not take it yet.
    """

    id: int
    sink: str
    event_id: str
    event: str
    symbol: str | None
    alert_id: str | None
    text: str | None
    state: Literal["waiting", "put_off", "stopped", "unclaimed", "dead"]
    attempts: int
    created_at: float
    next_attempt_at: float | None
    last_error: str | None


class RetriedOutbox(TypedDict):
    """What is tried now: sink to how many deliveries, those among them that were `revived`, and sinks `started` again.

    `events`: those of these sinks that are failing, to how many events wait in their queue or spool: the first of them
    are tried now, too, and the others when they are taken. `unclaimed`: sink to how many that nobody can try, for it is
    not configured. `unknown` are not in the outbox.
    """

    retried: dict[str, int]
    revived: dict[str, int]
    started: list[str]
    events: dict[str, int]
    unclaimed: dict[str, int]
    unknown: list[int]


class DroppedOutbox(TypedDict):
    """What was dropped: sink to how many, and the first of them. `unknown` are not in the outbox."""

    dropped: dict[str, int]
    deliveries: list[OwedDelivery]
    unknown: list[int]


class DeliveryControl(Protocol):
    """The part of `Control` that is about deliveries."""

    async def sinks(self) -> list[SinkReport]:
        """Every sink, and every name for which something waits that is none."""

    async def test_sink(self, name: str, *, call: bool) -> SinkTest:
        """Try a sink out, and wait for what comes of it. `call`: the function of a sink `call` may be called.

        Raises:
            RefusalError: there is none of that name (404), or it is being tried out already (409).
        """

    async def outbox(self, sink: str | None, *, dead: bool | None, limit: int) -> list[OwedDelivery]:
        """What is owed, by `sink` or all, newest first; `dead`: only what is given up, or only what is not.

        Raises:
            RefusalError: there is no such sink, and nothing waits for it (404).
        """

    async def retry_outbox(self, sink: str | None, ids: Sequence[int] | None) -> RetriedOutbox:
        """Try now what `sink` owes, or these, or all; what is given up has a whole schedule before it again.

        Raises:
            RefusalError: nothing of it is in the outbox (404), or nobody can try it (409).
        """

    async def drop_outbox(self, sink: str | None, ids: Sequence[int] | None, *, dead: bool) -> DroppedOutbox:
        """Forget for good what was given up, of `sink` or these; what waits, only of a sink that is not configured.

        Without `dead`, `sink` means all that waits for it.

        Raises:
            RefusalError: nothing of it is in the outbox (404), or some of it will yet be delivered (409).
        """
