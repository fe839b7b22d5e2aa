"""What was tried to deliver an alert's last firings, as lines of a terminal: where, when, and with which result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pricestreamd.cli.tables import cell, table
from pricestreamd.model.ages import ahead, utc
from pricestreamd.sinks.not_yet import COUNTED

if TYPE_CHECKING:
    from pricestreamd.http.control import PastFiring

_COLUMNS = ("tried at", "sink", "attempt", "result", "error")
_RESULTS: Mapping[str, str] = {"delivered": "delivered", "retry": "failed", "dead": "failed, and given up"}
_NEXT: Mapping[str, str] = {
    "stopped": "when its sink is started again",
    "unclaimed": "when such a sink is configured",
}
# Of one firing, the newest.
_MOST = 20


def delivery_log(firings: Iterable[PastFiring], now: float) -> list[str]:
    """The attempts of each firing, oldest first, and the next ones; `now` in epoch seconds."""
    lines: list[str] = []
    for firing in firings:
        tried = firing["deliveries"]
        rows: list[Sequence[object]] = [
            (utc(one["at"]), one["sink"], one["attempts"], *_came_of(one["result"], one["error"]))
            for one in tried[-_MOST:]
        ]
        for owed in firing["owed"]:
            if owed["state"] != "dead":
                after = owed["next_attempt_at"]
                when = _NEXT.get(owed["state"]) or ahead((now if after is None else after) - now)
                rows.append((when, owed["sink"], owed["attempts"] + 1, "to come", None))
        if rows:
            lines.append(cell(f"deliveries of {firing['firing_id']}:"))
            if len(tried) > _MOST:
                lines.append(f"  {len(tried) - _MOST} earlier attempts are not shown")
            lines += [f"  {line}" for line in table(_COLUMNS, rows)]
    return lines


def _came_of(result: str, error: str | None) -> tuple[str, str | None]:
    if error == COUNTED:
        return COUNTED, None
    return _RESULTS.get(result, result), error
