"""What a sink that decides itself says of an event when nothing was delivered and nothing has failed.

`NotYet`: it will take the event, and not now. `Counted`: it needs it no more. `ToldBefore`: it has delivered it before,
with others. None says anything of the destination.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event


class NothingTried(SinkError):  # noqa: N818 - says what happened, as its siblings do
    """The destination was not tried: neither a success nor a failure."""


class NotYet(NothingTried):
    """The sink asks for the event again in `seconds`, and keeps nothing that a crash could lose meanwhile."""

    def __init__(self, seconds: float, *, sink: str = "") -> None:
        super().__init__(f"wants the event again in {seconds:.1f} s", sink=sink, retry_after=seconds)
        self.seconds = seconds


COUNTED = "counted for the next message"
"""What is noted of an event of which a later message tells the number only."""


class ToldBefore(NothingTried):
    """The event was delivered together with others, when one of those had its turn."""


class Counted(NothingTried):
    """The sink has added the event to the number that it tells with another one, and needs it no more."""

    def __init__(self, *, sink: str = "") -> None:
        super().__init__(COUNTED, sink=sink)


@runtime_checkable
class TakesInTurn(Protocol):
    """A sink that decides itself when an event out of the outbox is delivered."""

    async def deliver_in_turn(self, event: Event) -> bool:
        """Deliver `event`, alone or together with others that were asked for. On return it needs no further delivery.

        False: it was delivered before, together with others, and the destination was not tried now.

        Raises:
            NotYet: its turn comes later.
            Counted: it needs no further delivery, and was not delivered.
            SinkError: as of `Sink.deliver`.
        """
