"""Trouble that the operator should know of: a line in the log and a `price.error`, and of the state not too often."""

from __future__ import annotations

import logging
import time

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import PriceError, Severity
from pricestreamd.model.sampling import OncePer

# A state that cannot be written stays so until somebody does something about it.
STATE_SECONDS = 3600.0

_log = logging.getLogger(__name__)


class Trouble:
    """Tells of it; where a sink writes `price.error` to the log, only as that event."""

    def __init__(self, dispatcher: EventDispatcher) -> None:
        self._dispatcher = dispatcher
        self._said_of_state = OncePer(STATE_SECONDS)

    def tell(
        self, severity: Severity, error: str, message: str, suppressed: int = 0, *, feed: str | None = None
    ) -> None:
        """Tell of `message` now. `suppressed`: so many like it were not told of before."""
        level = logging.WARNING if severity == "warning" else logging.ERROR
        _log.log(level, "%s", message, extra={"told_as": PriceError.event, "suppressed": suppressed})
        self._dispatcher.error(error, message, severity=severity, feed=feed)

    def state_damaged(self, message: str) -> None:
        """The file of the state was no sound database."""
        self.tell("critical", "state", message)

    def state_failed(self, message: str) -> None:
        """The state cannot be read or written; told of once an hour."""
        held = self._said_of_state.admit("state", time.monotonic())
        if held is not None:
            self.tell("critical", "state", message, held)

    def state_works(self) -> None:
        """It can be written again: the next failure is a new one."""
        self._said_of_state = OncePer(STATE_SECONDS)
