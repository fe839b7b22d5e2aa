"""What a sink says of an event that it will take, and not now. It is no failure: nothing of the schedule is used up."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event


class NotYet(SinkError):  # noqa: N818 - says what happened, as its siblings do
    """The sink asks for the event again in `seconds`, and keeps nothing that a crash could lose meanwhile."""

    def __init__(self, seconds: float, *, sink: str = "") -> None:
        super().__init__(f"wants the event again in {seconds:.1f} s", sink=sink, retry_after=seconds)
        self.seconds = seconds


@runtime_checkable
class TakesInTurn(Protocol):
    """A sink that decides itself when an event out of the outbox is delivered."""

    async def deliver_in_turn(self, event: Event) -> None:
        """Deliver `event`, alone or together with others that were asked for. On return it needs no further delivery.

        Raises:
            NotYet: its turn comes later.
            SinkError: as of `Sink.deliver`.
        """
