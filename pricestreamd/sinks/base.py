"""What a sink is: it opens, takes batches of events, and closes. The worker and the outbox lane do everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import CustomEvent, Event, PriceError

# What a backlog is delivered by. Larger batches gain nothing more (measured for file and sqlite), and hold memory.
MOST_AT_ONCE = 5_000

SinkWord = Literal["sink_failed", "sink_away", "sink_spool"]
"""The `error` of a `price.error` about a sink: it could not do something, its destination is away, its spool fails."""
SINK_TROUBLE = frozenset(get_args(SinkWord))


class Sink(Protocol):
    """One place that events go to. What each must do is in `docs/sinks.md`, with the test that holds it.

    `name` is its key in the configuration. `carries` are the names of the events that it can take at all, or `*`.
    `most_at_once` is the largest batch that it is given; 1 where each event is a delivery of its own.
    `concurrent` is how many deliveries it may be given at once, of what must not be lost; otherwise calls come one at a
    time. Any of them may be cancelled, and made again.
    """

    @property
    def name(self) -> str:
        """Its key in the configuration."""

    @property
    def carries(self) -> tuple[str, ...]:
        """Names of the events that it can take, or `*` for all."""

    @property
    def most_at_once(self) -> int:
        """Events in a batch, at most."""

    @property
    def concurrent(self) -> int:
        """Durable deliveries under way at once, at most."""

    async def open(self) -> None:
        """Get ready to deliver; does nothing where it is open already.

        Raises:
            SinkError: it is not open; tried again later, whatever the error says.
        """

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Deliver `batch`, in its order; it stays the worker's. On return its events are where they belong.

        Raises:
            SinkError: nothing of it may be taken for delivered. `transient`: the same batch may succeed later.
        """

    async def close(self) -> None:
        """Let go of everything. Does nothing where it is not open; may be opened again."""


class DestinationGone(SinkError):  # noqa: N818 - says what happened, as its siblings do
    """The destination asked for nothing more, ever: the sink stops until a person starts it again."""

    def __init__(self, message: str, *, sink: str = "") -> None:
        super().__init__(message, sink=sink, transient=False)


class LeaveAlone(SinkError):  # noqa: N818 - says what happened, as its siblings do
    """The destination itself has named the seconds, `retry_after`, for which it wants nothing at all."""


class SpoolFailed(SinkError):  # noqa: N818 - says what happened, as its siblings do
    """The spool of a durable sink cannot be used as it should; what the destination does is another matter."""


def said(error: BaseException) -> str:
    """What `error` says, for people; what is no `SinkError` is a bug of the sink, and says of what kind."""
    if isinstance(error, SinkError):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def is_refusal(error: BaseException) -> bool:
    """Whether the destination is there, and will never take what it was given."""
    return isinstance(error, SinkError) and not error.transient and not isinstance(error, DestinationGone)


def is_sink_trouble(event: Event) -> bool:
    """Whether it tells of what a sink could not do."""
    return isinstance(event, PriceError) and event.error in SINK_TROUBLE


def message_id(event: Event) -> str:
    """What a receiver knows `event` by, at every attempt: the `firing_id` of an alert, else the event's `id`."""
    given = event.data.get("firing_id") if isinstance(event, CustomEvent) else getattr(event, "firing_id", "")
    return given if isinstance(given, str) and given else event.id


ErrorHook = Callable[[str, Exception, int], object]
"""Gets the sink's name, what went wrong, and how many events were lost by it (0: they will be tried again)."""


def ignore(_sink: str, _error: Exception, _lost: int) -> None:
    """Tell nobody."""
