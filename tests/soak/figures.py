"""The figures of a soak, in words, and the promises that they must keep."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Megabytes an hour; shorter runs cannot tell a slope from the steps of an allocator.
_MAX_SLOPE = 1.0
_SLOPE_NEEDS_SECONDS = 1800.0
_SLOPE_SHOWN_SECONDS = 300.0
# Between the first and the last quarter of the time after the warm-up: megabytes, and objects that Python keeps.
_MAX_GROWTH = 1.5
_MAX_OBJECTS = 2000
_MAX_OBJECTS_A_SYMBOL = 4


@dataclass(frozen=True)
class Sample:
    """`at`: seconds since the start. Taken after a full collection, so that what grows is kept by somebody."""

    at: float
    rss: float
    """Megabytes."""
    objects: int
    """Those that the collector knows."""
    garbage: int
    """Those that it has just freed."""


@dataclass
class Measured:
    """What the harness saw of its own process."""

    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    descriptors: tuple[int, int, int] = (0, 0, 0)
    """Before, when all symbols were live for the first time, and when they were at the end."""
    tasks: tuple[Counter[str], Counter[str], Counter[str]] = (Counter(), Counter(), Counter())
    """The same of tasks, by their coroutines."""
    left_behind: tuple[int, Counter[str]] = (0, Counter())
    """After everything was closed, beyond what there was before."""
    subscribed: int = 0
    symbols: int = 0
    reconnects: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    gaps: int = 0
    late: int = 0
    changes: int = 0
    """Of the watchlist."""
    unwanted: int = 0
    stale: Mapping[str, int] = field(default_factory=dict)
    callback_errors: int = 0

    @property
    def settled(self) -> list[Sample]:
        """The samples after the warm-up."""
        warm = min(60.0, self.seconds / 3)
        return [sample for sample in self.samples if sample.at >= warm] or self.samples

    @property
    def slope(self) -> float:
        """Megabytes an hour after the warm-up."""
        samples = self.settled
        if len(samples) < 2:
            return 0.0
        line = statistics.linear_regression([each.at for each in samples], [each.rss for each in samples])
        return line.slope * 3600

    @property
    def growth(self) -> tuple[float, float]:
        """Megabytes and objects, from the first to the last quarter of the time after the warm-up."""
        samples = self.settled
        part = max(1, len(samples) // 4)
        first, last = samples[:part], samples[-part:]
        return (
            statistics.median(each.rss for each in last) - statistics.median(each.rss for each in first),
            statistics.median(each.objects for each in last) - statistics.median(each.objects for each in first),
        )

    @property
    def garbage(self) -> float:
        """Objects in cycles that each new connection has left to the collector."""
        return sum(each.garbage for each in self.samples) / max(1, sum(self.reconnects.values()))


def broken_promises(measured: Measured, found: Mapping[str, Any]) -> Iterator[str]:
    """Each in a sentence; none if all is well."""
    audit = found["audit"]
    missing = measured.symbols - measured.subscribed
    _, open_once, open_at_end = measured.descriptors
    _, tasks, tasks_at_end = measured.tasks
    # One that is begun when it is first needed is no leak; several of a kind are.
    more = {kind: count for kind, count in tasks_at_end.items() if count > max(1, tasks[kind])}
    steep = measured.seconds >= _SLOPE_NEEDS_SECONDS and measured.slope > _MAX_SLOPE
    promises = (
        (audit["lost_outside"], f"{audit['lost_outside']} ticks were lost that were owed: {audit['examples']}"),
        (audit["duplicates"], f"{audit['duplicates']} ticks came twice: {audit['examples']}"),
        (audit["never_sent"], f"{audit['never_sent']} ticks came that were never sent"),
        (measured.unwanted, f"{measured.unwanted} ticks came of symbols that were wanted no longer"),
        (not audit["sent"], "nothing was sent"),
        (not found["faults"], "nothing was spoiled"),
        (missing, f"{missing} symbols are not subscribed"),
        (found["never_recovered"], f"no recovery from {found['never_recovered']}"),
        (found["violations"], f"the client broke the provider's rules: {found['violations']}"),
        (measured.callback_errors, f"{measured.callback_errors} callbacks raised"),
        (open_at_end > open_once, f"descriptors grew from {open_once} to {open_at_end}"),
        (more, f"tasks grew: at first {dict(tasks)}, at the end {dict(tasks_at_end)}"),
        (measured.left_behind[0] > 0, f"{measured.left_behind[0]} descriptors are left behind"),
        (measured.left_behind[1], f"tasks are left behind: {dict(measured.left_behind[1])}"),
        (steep, f"memory grows by {measured.slope:.1f} MB an hour"),
        (measured.growth[0] > _MAX_GROWTH, f"memory grew by {measured.growth[0]:.1f} MB"),
        (
            measured.growth[1] > max(_MAX_OBJECTS, _MAX_OBJECTS_A_SYMBOL * measured.symbols),
            f"{measured.growth[1]:.0f} more objects are kept",
        ),
    )
    for broken, sentence in promises:
        if broken:
            yield sentence


def lines(measured: Measured, found: Mapping[str, Any], margin: float) -> Iterator[str]:
    """The table that is printed."""
    audit, faults = found["audit"], found["faults"]
    rss = [sample.rss for sample in measured.settled]
    objects = [sample.objects for sample in measured.settled]
    yield f"faults            {sum(faults.values())} ({found['missed_faults']} found nothing to spoil): {_counts(faults)}"
    yield f"ticks sent        {audit['sent']:,} on live connections, {audit['sent'] / measured.seconds:,.0f} a second"
    yield f"ticks received    {audit['received']:,}"
    yield f"lost in margin    {audit['lost_within_margin']:,} ({margin} s before a break; oldest {audit['oldest_loss']:.3f} s; by {_counts(audit['losses'])})"
    yield f"lost outside      {audit['lost_outside']:,}"
    yield f"duplicates        {audit['duplicates']:,}"
    yield f"symbols           {measured.subscribed} of {measured.symbols} subscribed at the end, {measured.changes} changes on the way"
    yield f"connects          {found['connects']}; reconnects {_counts(measured.reconnects)}"
    for kind, times in sorted(found["recoveries"].items()):
        yield f"recovery          {kind:16} {_times(times)}"
    yield f"recovery          {'all':16} {_times([each for times in found['recoveries'].values() for each in times])}"
    yield f"events            {measured.gaps} gaps, {measured.late} late prices, stale {_counts(measured.stale)}, rejected {_counts(measured.rejected)}"
    megabytes, more = measured.growth
    slope = f", {measured.slope:+.2f} MB an hour" if measured.seconds >= _SLOPE_SHOWN_SECONDS else ""
    yield f"memory            {min(rss):.1f} to {max(rss):.1f} MB, {megabytes:+.2f} MB in all{slope}"
    yield f"objects           {min(objects):,} to {max(objects):,}, {more:+,.0f} in all; {measured.garbage:.0f} of garbage a connection"
    yield "descriptors       {} before, {} live, {} at the end".format(*measured.descriptors)
    yield "tasks             {} before, {} live, {} at the end".format(*(tasks.total() for tasks in measured.tasks))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _times(times: Sequence[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0
    middle = statistics.median(ordered) if ordered else 0.0
    return f"{len(ordered):4} times: p50 {middle:.2f} s, p95 {p95:.2f} s, max {max(ordered, default=0.0):.2f} s"
