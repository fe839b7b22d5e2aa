"""Whether going on makes sense: the one judgement over all feeds that ends the process."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.interface import ConnectionState


class Judged(Protocol):
    """What is asked of a feed."""

    @property
    def state(self) -> ConnectionState:
        """`parked`: its key was refused, and a person is needed."""

    @property
    def was_live(self) -> bool:
        """Whether its key ever worked in this process."""


def verdict(feeds: Collection[Judged]) -> ExitCode | None:
    """REFUSED when every feed was tried and refused with a key that never worked; None: go on."""
    refused = bool(feeds) and all(feed.state == "parked" and not feed.was_live for feed in feeds)
    return ExitCode.REFUSED if refused else None
