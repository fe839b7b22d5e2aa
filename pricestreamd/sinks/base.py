"""What a sink is: it opens, takes batches of events, and closes. The worker does everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pricestreamd.model.events import Event


class Sink(Protocol):
    """One place that events go to. What each must do is in `docs/sinks.md`, with the test that holds it.

    `name` is its key in the configuration. `carries` are the names of the events that it can take at all, or `*`.
    Calls come one at a time, but any of them may be cancelled, and made again.
    """

    @property
    def name(self) -> str:
        """Its key in the configuration."""

    @property
    def carries(self) -> tuple[str, ...]:
        """Names of the events that it can take, or `*` for all."""

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
