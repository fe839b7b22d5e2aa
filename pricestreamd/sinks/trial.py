"""A sink is tried out: with an event that nobody can take for a price, or by asking its destination.

takes every event       gets the event `test`, past its `events` and `symbols`
takes prices only       is asked whether it would take one (`Probes`), and nothing is written
neither                 is opened, which is all that can be done without a price
call                    its function is called only where that was asked for: it may buy and sell whatever the event
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from pricestreamd.model.events import CustomEvent
from pricestreamd.sinks.base import Sink

TEST_EVENT = "test"

Trial = Literal["event", "asked", "opened"]
"""What is done to try a sink out: it gets an event, is asked, or is opened."""


@runtime_checkable
class Probes(Protocol):
    """A sink that can find out, without an event, whether its destination would take one."""

    async def probe(self) -> None:
        """Ask the destination, as far as it lets itself be asked. Nothing is written; opens the sink where need be.

        Raises:
            SinkError: as of `Sink.deliver`.
        """


def trial_of(sink: Sink, kind: str, *, call: bool) -> Trial:
    """What trying `sink`, of the type `kind`, out means; `call`: a function of the user's may be called."""
    if kind == "call" and not call:
        return "opened"
    if "*" in sink.carries:
        return "event"
    return "asked" if isinstance(sink, Probes) else "opened"


async def try_out(sink: Sink, trial: Trial, event: CustomEvent) -> None:
    """Do it; raises what `sink` raises."""
    await sink.open()
    if trial == "event":
        await sink.deliver([event])
    elif isinstance(sink, Probes):
        await sink.probe()
