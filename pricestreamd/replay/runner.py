"""A replay: recorded ticks through the same engine and dispatcher as live ones, and the account of it.

Nothing here is connected to anything, and time is the ticks' own, so the same input gives the same events, byte for
byte: the run is named `replay`, events are numbered from 1, and whatever needs a time asks the virtual clock.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice, tee
from pathlib import Path
from typing import Any, BinaryIO

from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.events import Event, PriceChange, PriceSpike, PriceUpdate, to_json
from pricestreamd.model.tick import Tick
from pricestreamd.replay.clock import schedule
from pricestreamd.replay.delivery import Delivery
from pricestreamd.replay.firings import AlertAccount
from pricestreamd.replay.frames import Descriptions, FrameFormat, FrameTally
from pricestreamd.replay.market_hours import ReplayHours
from pricestreamd.replay.readers import read_ticks
from pricestreamd.replay.virtual_stream import VirtualStream
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import AlertStormSettings, StreamSettings

# Ticks between two writes to the events file: few enough that their records stay in the cache of the processor.
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay came to. `ticks == sum(updates) + suspect + sum(rejected)`.

    `updates` per symbol are believed ticks, `suspect` those that were doubted; `alerts` are firings per alert id, with
    0 for those that never fired, and `alert_accounts` tell more of each; `rejected` per reason, `rejected_at` the place
    of the first row or frame that could not be read; `first` is the time of the first tick and `last` the largest, UTC
    epoch seconds, None without ticks. From `frames` to `cut_off` it is about files of frames, and explained in
    `replay.frames.FrameTally`.
    """

    ticks: int
    rejected: dict[str, int]
    rejected_at: str | None
    updates: dict[str, int]
    suspect: int
    changes: int
    spikes: int
    alerts: dict[str, int]
    first: float | None
    last: float | None
    frames: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    malformed: int = 0
    malformed_at: str | None = None
    lost: int = 0
    undated: int = 0
    cut_off: list[str] = field(default_factory=list)
    alert_accounts: dict[str, AlertAccount] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same as a mapping that JSON can hold."""
        return asdict(self)


class ReplayRun:
    """One replay. Attach listeners to `dispatcher`, then `run` or `play` the ticks, once.

    `events`: a binary file that gets every event, one JSON object a line, in order. It stays open. `feeds` gives those
    of a configuration, for their market hours (see `ReplayHours`). `storm` and `keep_history` as in `VirtualStream`.
    """

    def __init__(
        self,
        settings: StreamSettings | None = None,
        *,
        alerts: Iterable[AlertRule] = (),
        events: BinaryIO | None = None,
        keep_history: bool = False,
        feeds: Callable[[], Mapping[str, FeedSettings]] = dict,
        storm: AlertStormSettings | None = None,
    ) -> None:
        self._tally = FrameTally()
        hours_of = ReplayHours(feeds, self._tally.profiles.get).of

        def stream(rules: Iterable[AlertRule]) -> VirtualStream:
            return VirtualStream(settings or StreamSettings(), rules, hours_of, storm=storm, keep_history=keep_history)

        self._another = stream
        self._stream = stream(alerts)
        self._beside: list[VirtualStream] = []
        self.clock = self._stream.clock
        self.dispatcher = self._stream.dispatcher
        self.engine = self._stream.engine
        self._file = events
        self._unwritten: list[Event] = []
        if events is not None:
            # Only the append is a listener: a full disk must end the replay, not count as a listener that failed.
            self.dispatcher.attach("*", self._unwritten.append, name="replay events file", ours=True)
        self._unread_rows: Counter[str] = Counter()
        self._unread_at: str | None = None

    def beside(self, alerts: Iterable[AlertRule]) -> VirtualStream:
        """Another stream, with these alerts and all else the same, that gets the same ticks in the same pass."""
        other = self._another(alerts)
        self._beside.append(other)
        return other

    def read(
        self,
        paths: Iterable[str | Path],
        *,
        symbols: str | Iterable[str] | None = None,
        progress: Callable[[int], object] | None = None,
        raw: FrameFormat | None = None,
        descriptions: Descriptions | None = None,
    ) -> Iterator[Tick]:
        """The ticks of files, as `read_ticks` gives them; what cannot be read is counted as rejected."""
        return read_ticks(
            paths,
            symbols=symbols,
            on_reject=self._row_rejected,
            progress=progress,
            raw=raw,
            descriptions=descriptions,
            tally=self._tally,
        )

    def run(self, ticks: Iterable[Tick]) -> ReplaySummary:
        """Replay `ticks` as fast as it goes.

        Raises:
            ReplayInputError: from `ticks`; what came before is in the events file.
            OSError: the events file cannot be written.
        """
        ticks = iter(ticks)
        try:
            while self._feed(islice(ticks, _BATCH)):
                self._write()
        finally:
            self._write()
        return self.summary()

    async def play(
        self,
        ticks: Iterable[Tick],
        speed: float,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> ReplaySummary:
        """Replay `ticks` in their own rhythm, `speed` times as fast. Raises as `run` does."""
        started = monotonic()
        try:
            for due, batch in schedule(ticks, speed):
                await sleep(max(0.0, started + due - monotonic()))
                self._feed(batch)
                self._write()
        finally:
            self._write()
        return self.summary()

    async def deliver(self, ticks: Iterable[Tick], delivery: Delivery) -> ReplaySummary:
        """Replay `ticks` as fast as those get on who are handed the events. Raises as `run` does."""
        ticks = iter(ticks)
        try:
            while self._feed(islice(ticks, delivery.batch)):
                self._write()
                await delivery.room()
        finally:
            self._write()
        return self.summary()

    def summary(self) -> ReplaySummary:
        """The account so far."""
        engine, counts, tally = self.engine, self.dispatcher.event_counts, self._tally
        rejected = self._unread_rows.copy()
        for (_, reason), count in engine.rejected.items():
            rejected[reason] += count
        updates = {state.symbol: state.updates for state in engine.board.by_symbol.values()}
        published = counts.get(PriceUpdate.event, 0)
        return ReplaySummary(
            ticks=published + rejected.total(),
            rejected=dict(sorted(rejected.items())),
            rejected_at=self._unread_at,
            updates=updates,
            suspect=published - sum(updates.values()),
            changes=counts.get(PriceChange.event, 0),
            spikes=counts.get(PriceSpike.event, 0),
            alerts={rule.alert_id: engine.firings.get(rule.alert_id, 0) for rule in engine.board.alerts()},
            first=self._stream.first,
            last=self.clock.now if self._stream.first is not None else None,
            frames=tally.frames,
            ignored=dict(sorted(tally.ignored.items())),
            malformed=tally.malformed,
            malformed_at=tally.malformed_at,
            lost=tally.lost,
            undated=tally.undated,
            cut_off=list(tally.cut_off),
            alert_accounts=self._stream.alert_accounts(),
        )

    def _feed(self, ticks: Iterable[Tick]) -> bool:
        """Hand ticks to the stream, and to those beside it. False: there was none."""
        if not self._beside:
            return self._stream.feed(ticks)
        mine, *others = tee(ticks, 1 + len(self._beside))
        fed = self._stream.feed(mine)
        for stream, copy in zip(self._beside, others, strict=True):
            stream.feed(copy)
        return fed

    def _write(self) -> None:
        if self._file is not None and self._unwritten:
            self._file.write(b"\n".join([*map(to_json, self._unwritten), b""]))
            self._unwritten.clear()

    def _row_rejected(self, reason: str, place: str) -> None:
        self._unread_rows[reason] += 1
        self._unread_at = self._unread_at or place
