"""The state: one SQLite file of what must outlast the process, as the loop sees it. It never waits for the disk here.

Kept are where alerts stand, what was made over the API, last prices, events that must not be lost with what sinks owe
of them, and the last watchlist of each feed. The database is in WAL mode with `synchronous=FULL`: what a call has
returned from survives a loss of power. Every statement runs in one thread of the store's own.

    store       this: one call after the other, each with a deadline       thread      runs them
    file        the lock, the open file, damage                            migrations  the schema and its versions
    facts, outbox, dead_letters   the statements                           bounds      how much of the past is kept
    backup      a copy while it is in use                                  remedies    errors in plain words

The first call that needs the file opens it, made where it is not there, and takes its lock; a store that nobody asks
makes none. A file of a newer version, and a database of another program, are refused with `ForeignStateError`, one in
use by another process with `StateLocked`: nothing in them is touched. A file that is no sound database is put aside as
`<name>.corrupt-<time>`, a new one is begun, and `on_damage` is told. Whatever else fails raises `StateError`, and the
next call tries again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pricestreamd.model.errors import StateError
from pricestreamd.state import dead_letters, facts, outbox
from pricestreamd.state.backup import back_up
from pricestreamd.state.bounds import TRIM_EVERY, Bounds, tidy
from pricestreamd.state.file import StateFile
from pricestreamd.state.lock import StateLocked
from pricestreamd.state.migrations import SCHEMA_VERSION, ForeignStateError
from pricestreamd.state.outbox import Numbers
from pricestreamd.state.patience import within
from pricestreamd.state.remedies import explained
from pricestreamd.state.rows import (
    Backlog,
    Delivery,
    DeliveryReport,
    EventRow,
    Letter,
    Outcome,
    SavedState,
    StateChange,
)
from pricestreamd.state.sqlite_file import transaction
from pricestreamd.state.thread import OneThread

__all__ = ["SCHEMA_VERSION", "ForeignStateError", "SavedWatchlist", "StateLocked", "StateStore"]

# A disk that has not answered after so long is not waited for any more.
ANSWER_SECONDS = 10.0
CLOSE_SECONDS = 1.0

_T = TypeVar("_T")

_log = logging.getLogger(__name__)
_texts = msgspec.json.Decoder(tuple[str, ...])


@dataclass(frozen=True, slots=True)
class SavedWatchlist:
    """The symbols of a watchlist when it was last read; `saved_at` in epoch seconds."""

    symbols: tuple[str, ...]
    saved_at: float


class StateStore:
    """What must last, in the file at `path`. `on_damage` gets a sentence, in the loop.

    Calls are done one after the other. Each waits `timeout` seconds at most; while the disk owes an answer to an
    earlier call, later ones fail at once. What is written may be written yet after such a failure, and after the call
    was cancelled: never a part of it, and before whatever is written next. It does no harm to write it again.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_damage: Callable[[str], object],
        timeout: float = ANSWER_SECONDS,
        bounds: Bounds | None = None,
    ) -> None:
        self.path = path
        self._on_damage = on_damage
        self._timeout = timeout
        self._bounds = bounds or Bounds()
        self._file = StateFile(path)
        self._thread = OneThread("state")
        self._backup_thread = OneThread("state backup")
        self._turn = asyncio.Lock()
        self._unanswered = False
        # What an earlier run has left is trimmed with the first change.
        self._untrimmed = TRIM_EVERY

    async def open(self) -> None:
        """Take the lock, open the file, check it, and bring it to the present version. May be called again.

        Raises:
            StateLocked: another process uses it; it has its pid.
            ForeignStateError: it is of a newer version, or of another program.
            StateError: it could not be opened; later calls try again.
        """
        await self._call(lambda _: None)

    async def load(self) -> SavedState:
        """What earlier runs have kept.

        Raises:
            StateError: it could not be read.
        """
        return await self._call(facts.read_facts)

    async def commit(self, change: StateChange) -> Numbers:
        """Write all of `change`, durably, in one transaction. It must not be altered any more.

        Returns the numbers of the deliveries that are owed from now on; those that were owed or made before have none.

        Raises:
            StateError: it is not written (but see above).
        """
        if not change:
            return {}
        numbers = await self._call(_write_change, change, time.time())
        await self._tidy(len(change.events))
        return numbers

    # --- the outbox

    async def pending(self, sink: str, *, after: int = 0, limit: int = 1000) -> list[Delivery]:
        """What `sink` owes and has not given up, in the order of `number`, beyond `after`.

        Raises:
            StateError: it could not be read.
        """
        return await self._call(outbox.read_pending, sink, after, limit)

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Keep what came of attempts, in one transaction. Of what is not owed (any more), only the report is kept.

        Raises:
            StateError: nothing of it is written (but see above).
        """
        if outcomes:
            await self._call(_write_outcomes, outcomes)
            await self._tidy(len(outcomes))

    async def backlogs(self) -> dict[str, Backlog]:
        """Sink to what it owes; sinks that owe nothing are not in it.

        Raises:
            StateError: it could not be read.
        """
        return await self._call(outbox.read_backlogs)

    async def events_of(self, alert_id: str, symbol: str | None = None, limit: int = 100) -> list[EventRow]:
        """The past firings of an alert, on `symbol` or on all, newest first.

        Raises:
            StateError: they could not be read.
        """
        return await self._call(outbox.read_events, alert_id, symbol, limit)

    async def deliveries_of(self, event_ids: Sequence[str]) -> list[DeliveryReport]:
        """What was tried to deliver these events, oldest first.

        Raises:
            StateError: it could not be read.
        """
        return await self._call(outbox.read_reports, event_ids)

    # --- what was given up

    async def keep(self, letters: Sequence[Letter]) -> None:
        """Keep events with what one sink owes of each: given up, or to be tried by the outbox from now on.

        Raises:
            StateError: nothing of it is written (but see above).
        """
        if letters:
            await self._call(dead_letters.keep, letters)
            await self._tidy(len(letters))

    async def owed(self, sink: str | None = None, *, dead: bool | None = None, limit: int = 1000) -> list[Delivery]:
        """What sinks owe, or one, newest first; `dead`: only what is given up, or only what is not.

        Raises:
            StateError: it could not be read.
        """
        return await self._call(dead_letters.select, sink, dead, limit)

    async def owed_these(self, numbers: Sequence[int] = (), event_ids: Sequence[str] = ()) -> list[Delivery]:
        """What is owed under these numbers, and of these events, in the order of `number`.

        Raises:
            StateError: it could not be read.
        """
        return await self._call(dead_letters.select_these, numbers, event_ids)

    async def revive(self, sink: str | None = None, numbers: Sequence[int] | None = None) -> dict[str, int]:
        """Owe what was given up once more, with a whole schedule: of `sink` or all, these `numbers` or all.

        Returns sink to how many; their lanes must be told (`rescan`).

        Raises:
            StateError: nothing is changed.
        """
        return await self._call(dead_letters.revive, sink, numbers, time.time())

    async def discard(
        self, sink: str | None = None, numbers: Sequence[int] | None = None, *, waiting: Sequence[str] = ()
    ) -> dict[str, int]:
        """Forget what was given up, of `sink` or all, these `numbers` or all; returns sink to how many.

        Of the sinks in `waiting`, which nobody delivers to any more, what still waits is forgotten too.

        Raises:
            StateError: nothing is changed.
        """
        return await self._call(dead_letters.discard, sink, numbers, waiting)

    # --- watchlists

    async def watchlists(self) -> dict[str, SavedWatchlist]:
        """Feed to its last watchlist.

        Raises:
            StateError: it could not be read.
        """
        rows = await self._call(facts.select_watchlists)
        found = {}
        for feed, symbols, saved_at in rows:
            try:
                found[feed] = SavedWatchlist(_texts.decode(symbols), float(saved_at))
            except (msgspec.DecodeError, TypeError, ValueError) as exc:
                _log.error("%s: the watchlist of feed %s cannot be read: %s", self.path, feed, exc)
        return found

    async def save_watchlist(self, feed: str, symbols: Sequence[str]) -> None:
        """Keep `symbols` as the last watchlist of `feed`.

        Raises:
            StateError: it could not be written; what was kept before still is.
        """
        await self._call(facts.upsert_watchlist, feed, json.dumps(list(symbols)), time.time())

    async def forget_watchlist(self, feed: str) -> None:
        """Forget the last watchlist of `feed`.

        Raises:
            StateError: it could not be forgotten.
        """
        await self._call(facts.delete_watchlist, feed)

    # --- the file

    async def backup(self, path: Path) -> None:
        """Copy the state as it is now to `path`, which is replaced. Other calls need not wait for it.

        Raises:
            StateError: there is no copy; `path` is as it was.
        """
        try:
            await self._backup_thread.call(back_up, self.path, path)
        finally:
            self._backup_thread.stop()

    async def close(self) -> None:
        """Close the file, if it is open, and give its lock back; a disk that does not answer is soon left alone."""
        self._backup_thread.stop()
        if not self._thread.running:
            return
        try:
            async with asyncio.timeout(min(CLOSE_SECONDS, self._timeout)):
                await self._thread.call(self._file.close)
        except (TimeoutError, sqlite3.Error) as exc:
            _log.warning("%s: not closed: %r", self.path, exc)
        self._thread.stop()

    async def _tidy(self, written: int) -> None:
        """Trim, when enough has been written. That it fails is no failure of what was written."""
        self._untrimmed += written
        if self._untrimmed < TRIM_EVERY:
            return
        self._untrimmed = 0
        try:
            tidied = await self._call(tidy, self._bounds)
        except StateError as exc:
            _log.warning("%s; what is older than needed is not deleted yet", exc)
            return
        if tidied.lost:
            text = "%s: %d deliveries that were given up are forgotten: more than %d are not kept"
            _log.warning(text, self.path, tidied.lost, self._bounds.dead)
        if tidied.held_bytes > self._bounds.held_bytes:
            text = "%s: a program that reads it for long keeps %d MiB of its WAL from being freed"
            _log.warning(text, self.path, tidied.held_bytes // 2**20)

    async def _call(self, work: Callable[..., _T], *args: Any) -> _T:
        async with self._turn:
            if self._unanswered and self._thread.busy:
                raise StateError(f"{self.path}: the disk does not answer")
            self._unanswered = False
            try:
                return await within(self._timeout, self._thread.call(self._file.run, work, *args))
            except TimeoutError as exc:
                self._unanswered = True
                raise StateError(f"{self.path}: no answer within {self._timeout:g} s") from exc
            except (sqlite3.Error, OSError, ValueError, OverflowError) as exc:
                raise StateError(explained(self.path, exc)) from exc
            finally:
                while self._file.damage:
                    self._on_damage(self._file.damage.pop(0))


def _write_change(connection: sqlite3.Connection, change: StateChange, now: float) -> Numbers:
    with transaction(connection):
        facts.write_facts(connection, change)
        return outbox.write_events(connection, change, now)


def _write_outcomes(connection: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
    with transaction(connection):
        outbox.write_outcomes(connection, outcomes)
