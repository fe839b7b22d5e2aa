"""How a destination has behaved since the start: its last success, its last failure, since when nothing succeeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pricestreamd.sinks.base import is_refusal, said
from pricestreamd.sinks.not_yet import NothingTried
from pricestreamd.state.reasons import kept_error

# An attempt that takes longer, in seconds, is told of: no sink needs that, but one that hangs (a network disk) does.
HANGING_SECONDS = 60.0


class Standing:
    """Of one destination, as both ways into its sink find it. `wall` gives epoch seconds; so are all times here.

    `clock` is monotonic.

    What a destination refuses for good says nothing against it: it is its last error, and no failing.
    """

    __slots__ = ("_began", "_clock", "_wall", "failing_since", "last_error", "last_error_at", "last_success")

    def __init__(self, wall: Callable[[], float] = time.time, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._clock = clock
        # When the attempts that are under way have begun, by that clock.
        self._began: list[float] = []
        self.last_success: float | None = None
        self.last_error: str | None = None
        self.last_error_at: float | None = None
        self.failing_since: float | None = None
        """The first failure after which nothing has succeeded; None where the last attempt did."""

    @property
    def hanging(self) -> float | None:
        """The seconds that the oldest attempt has been under way, where they are more than `HANGING_SECONDS`."""
        seconds = self._clock() - min(self._began) if self._began else 0.0
        return seconds if seconds > HANGING_SECONDS else None

    @contextmanager
    def delivering(self) -> Iterator[None]:
        """A delivery is made inside. Cancelled, or without an attempt, it is neither a success nor a failure."""
        began = self._begin()
        try:
            yield
        except NothingTried:
            raise
        except Exception as exc:
            self._note(exc, failing=not is_refusal(exc))
            raise
        finally:
            self._began.remove(began)
        self.last_success, self.failing_since = self._wall(), None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """The sink is opened inside; that it is open is no success yet."""
        began = self._begin()
        try:
            yield
        except Exception as exc:
            self._note(exc, failing=True)
            raise
        finally:
            self._began.remove(began)

    def _begin(self) -> float:
        self._began.append(began := self._clock())
        return began

    def _note(self, error: Exception, *, failing: bool) -> None:
        now = self._wall()
        self.last_error, self.last_error_at = kept_error(said(error)), now
        if failing and self.failing_since is None:
            self.failing_since = now
