"""Too many connections with one key: recognised in each provider's way, and never fought over.

Some providers say so, by a status, a message or a close frame; the adapter knows the words. Others close the oldest
connection without a word: then two programs, or two of our own connections, take the place from each other for ever,
each of them healthy for some seconds. That is recognised by its pattern: connections that brought prices and then
ended in silence, within a minute, several times in a row.

Whoever has too many stays away for one to two minutes, and for twice as long each further time: a session that died
uncleanly is counted by some servers for a minute and a half.
"""

from __future__ import annotations

from dataclasses import replace

from pricestreamd.feeds.connection.backoff import Dice
from pricestreamd.feeds.connection.verdict import Verdict, crowded_out
from pricestreamd.model.retry_after import MAX_RETRY_AFTER
from pricestreamd.providers.base import FaultKind

# A connection that lived for longer was not pushed out by one that came at the same time.
_SHORT_LIFE = 60.0
# One or two such ends may be chance.
_SHORT_LIVES = 4
_SILENT_ENDS = frozenset({"eof", "closed"})


class Crowding:
    """Judges the ends of one slot's connections. `evicts`: this provider closes the oldest without a word."""

    def __init__(self, dice: Dice, *, evicts: bool) -> None:
        self._dice = dice
        self._evicts = evicts
        self._short_lives = 0
        self._times = 0

    def judge(self, verdict: Verdict, live_seconds: float | None) -> Verdict:
        """What `verdict` means in the light of those before.

        `live_seconds`: how long it was live and brought prices or heartbeats; None: it never did.
        """
        if self._evicts and self._looks_pushed_out(verdict, live_seconds):
            verdict = crowded_out(verdict.error.feed, self._dice)
        if verdict.reason != FaultKind.CONNECTION_LIMIT.value:
            if live_seconds is not None and live_seconds >= _SHORT_LIFE:
                self._times = 0
            return verdict
        verdict = replace(verdict, floor=min(verdict.floor * 2.0**self._times, MAX_RETRY_AFTER))
        self._times = min(self._times + 1, 16)
        return verdict

    def _looks_pushed_out(self, verdict: Verdict, live_seconds: float | None) -> bool:
        """Whether this end is one of several in a row of the same kind."""
        if verdict.reason not in _SILENT_ENDS or (live_seconds is not None and live_seconds >= _SHORT_LIFE):
            self._short_lives = 0
            return False
        if live_seconds is None:
            # Before the first price: that tells neither of another one nor of none.
            return False
        self._short_lives += 1
        return self._short_lives >= _SHORT_LIVES
