"""How a destination has behaved since the start: its last success, its last failure, since when nothing succeeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.not_yet import NotYet
from pricestreamd.state.reasons import kept_error


class Standing:
    """Of one destination, as both ways into its sink find it. `wall` gives epoch seconds; so are all times here.

    What a destination refuses for good says nothing against it: it is its last error, and no failing.
    """

    __slots__ = ("_wall", "failing_since", "last_error", "last_error_at", "last_success")

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.last_success: float | None = None
        self.last_error: str | None = None
        self.last_error_at: float | None = None
        self.failing_since: float | None = None
        """The first failure after which nothing has succeeded; None where the last attempt did."""

    @contextmanager
    def delivering(self) -> Iterator[None]:
        """A delivery is made inside. One that is cancelled, or put off, is neither a success nor a failure."""
        try:
            yield
        except NotYet:
            raise
        except Exception as exc:
            refused = isinstance(exc, SinkError) and not exc.transient and not isinstance(exc, DestinationGone)
            self._note(exc, failing=not refused)
            raise
        self.last_success, self.failing_since = self._wall(), None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """The sink is opened inside; that it is open is no success yet."""
        try:
            yield
        except Exception as exc:
            self._note(exc, failing=True)
            raise

    def _note(self, error: Exception, *, failing: bool) -> None:
        now = self._wall()
        text = str(error) if isinstance(error, SinkError) else f"{type(error).__name__}: {error}"
        self.last_error, self.last_error_at = kept_error(text), now
        if failing and self.failing_since is None:
            self.failing_since = now
