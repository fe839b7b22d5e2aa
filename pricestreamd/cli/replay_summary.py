"""What a replay came to, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pricestreamd.replay.delivery import DeliveryAccount
from pricestreamd.replay.firings import AlertAccount, Firings
from pricestreamd.replay.runner import ReplaySummary

# With so many alerts the last firing of each is told, too.
_FEW_ALERTS = 10
# Of an alert on more symbols those that fired most are named.
_NAMED_SYMBOLS = 10


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What was changed, as it was asked for, and what the alerts came to then, by their ids."""

    changes: tuple[str, ...]
    accounts: Mapping[str, AlertAccount]


@dataclass(frozen=True, slots=True)
class Played:
    """All that a replay came to."""

    summary: ReplaySummary
    what_if: WhatIf | None = None
    delivery: DeliveryAccount | None = None

    def to_json(self) -> dict[str, Any]:
        """As a mapping that JSON can hold; its names are those of `docs/commands.md`."""
        found = self.summary.to_dict()
        if self.what_if is not None:
            accounts = {alert: asdict(account) for alert, account in self.what_if.accounts.items()}
            before = self.summary.alert_accounts
            difference = {
                alert: account.firings - before[alert].firings for alert, account in self.what_if.accounts.items()
            }
            changes = list(self.what_if.changes)
            found["what_if"] = {"changes": changes, "alert_accounts": accounts, "difference": difference}
        if self.delivery is not None:
            found["delivery"] = {**asdict(self.delivery), "lost": self.delivery.lost}
        return found

    def to_lines(self, no_alerts: str) -> list[str]:
        """Line by line; `no_alerts` is said where there are none."""
        lines = _about_ticks(self.summary)
        lines += _about_alerts(self.summary.alert_accounts) if self.summary.alerts else [no_alerts]
        if self.what_if is not None:
            lines += ["", *_about_what_if(self.summary.alert_accounts, self.what_if)]
        if self.delivery is not None:
            lines += ["", *_about_delivery(self.delivery)]
        return lines


def _about_ticks(summary: ReplaySummary) -> list[str]:
    lines = [f"ticks     {summary.ticks}", *_about_frames(summary)]
    if summary.first is not None and summary.last is not None:
        lines.append(f"from      {_clock(summary.first, 'milliseconds')}")
        lines.append(f"to        {_clock(summary.last, 'milliseconds')}")
    lines += [f"changes   {summary.changes}", f"spikes    {summary.spikes}"]
    lines += [f"suspect   {summary.suspect}"] if summary.suspect else []
    lines += [f"rejected  {count} ({reason})" for reason, count in summary.rejected.items()]
    if summary.rejected_at:
        lines.append(f"          first unreadable {'frame' if summary.frames else 'row'}: {summary.rejected_at}")
    return [*lines, "updates", *(f"  {symbol:<12} {count}" for symbol, count in summary.updates.items())]


def _about_frames(summary: ReplaySummary) -> list[str]:
    """What files of frames held besides ticks."""
    lines = [f"frames    {summary.frames}"] if summary.frames else []
    lines += [f"ignored   {count} ({kind})" for kind, count in summary.ignored.items()]
    if summary.malformed:
        lines.append(f"malformed {summary.malformed} (lines that are no frames, the first at {summary.malformed_at})")
    if summary.lost:
        lines.append(f"lost      {summary.lost} (frames that the disk was too slow for when they were recorded)")
    if summary.undated:
        lines.append(f"undated   {summary.undated} (no time in the frame or the file: each got the latest before it)")
    return [*lines, *(f"cut off   {file} ends in the middle" for file in summary.cut_off)]


# --- alerts


def _about_alerts(accounts: Mapping[str, AlertAccount]) -> list[str]:
    """A row for each alert, and, where it is on several symbols, for each of these."""
    parts = [account for one in accounts.values() for account in (one, *one.symbols.values())]
    held = any(part.held_back for part in parts)
    stormy = any(part.storms for part in parts)
    head = ["alerts", "firings", "first (UTC)", "last (UTC)"]
    head += ["held back"] * held + ["storms", "longest storm", "worst minute", "saved"] * stormy

    def row(name: str, of: Firings) -> list[str]:
        cells = [name, str(of.firings), _clock(of.first), _clock(of.last)]
        cells += [str(of.held_back)] * held
        if stormy:
            cells += [str(of.storms), f"{of.longest_storm_seconds:.0f} s", str(of.worst_minute)]
            cells.append(str(of.saved_deliveries))
        return cells

    rows: list[list[str] | str] = [head]
    for alert, account in accounts.items():
        rows.append(row(f"  {alert}", account))
        if account.covered > 1:
            most = sorted(account.symbols.items(), key=lambda pair: -pair[1].firings)
            rows += [row(f"    {symbol}", one) for symbol, one in most[:_NAMED_SYMBOLS]]
            rows += _more(len(most) - _NAMED_SYMBOLS)
        if len(accounts) <= _FEW_ALERTS and account.last_text is not None:
            rows.append(f"    last: {account.last_text}")
    lines = _table(rows)
    if stormy:
        lines.append(
            "storms: more firings of an alert and symbol in a minute than alert_storm.per_minute; saved are the"
        )
        lines.append("deliveries that grouping them spares")
    return lines


def _about_what_if(before: Mapping[str, AlertAccount], what_if: WhatIf) -> list[str]:
    rows: list[list[str] | str] = [[f"what if {', '.join(what_if.changes)}", "as configured", "what if", "difference"]]
    for alert, after in what_if.accounts.items():
        rows.append(_compared(f"  {alert}", before[alert], after))
        if after.covered > 1:
            none = Firings()
            symbols = dict.fromkeys([*before[alert].symbols, *after.symbols])
            pairs = [(name, before[alert].symbols.get(name, none), after.symbols.get(name, none)) for name in symbols]
            pairs.sort(key=lambda pair: -abs(pair[2].firings - pair[1].firings))
            rows += [_compared(f"    {name}", one, other) for name, one, other in pairs[:_NAMED_SYMBOLS]]
            rows += _more(len(pairs) - _NAMED_SYMBOLS)
    return _table(rows)


def _compared(name: str, before: Firings, after: Firings) -> list[str]:
    difference = after.firings - before.firings
    return [name, str(before.firings), str(after.firings), f"{difference:+d}" if difference else "0"]


def _more(count: int) -> list[str]:
    return [f"    and {count} more"] if count > 0 else []


# --- deliveries


def _about_delivery(delivery: DeliveryAccount) -> list[str]:
    lines = []
    if delivery.sinks:
        rows: list[list[str] | str] = [["sinks", "received", "delivered", "dropped", "left"]]
        for name, sink in delivery.sinks.items():
            counts = (sink.received, sink.delivered, sum(sink.dropped.values()), sink.left)
            rows.append([f"  {name}", *map(str, counts)])
        lines += _table(rows)
    if delivery.listeners:
        rows = [["listeners", "errors", "dropped"]]
        rows += [[f"  {name}", str(one.errors), str(one.dropped)] for name, one in delivery.listeners.items()]
        lines += _table(rows)
    return lines or ["no sinks and no listeners in the configuration"]


# --- layout


def _table(rows: Sequence[list[str] | str]) -> list[str]:
    """Rows of cells in columns, the first to the left and numbers to the right; a text alone stays as it is."""
    cells = [row for row in rows if not isinstance(row, str)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [row if isinstance(row, str) else _line(row, widths) for row in rows]


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    first, *others = row
    padded = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
    return "  ".join([f"{first:<{widths[0]}}", *padded]).rstrip()


def _clock(timestamp: float | None, precision: str = "seconds") -> str:
    if timestamp is None:
        return "-"
    told = datetime.fromtimestamp(timestamp, UTC).isoformat(sep=" ", timespec=precision)
    # The head of a column says that it is UTC.
    return told if precision == "milliseconds" else told.removesuffix("+00:00")
