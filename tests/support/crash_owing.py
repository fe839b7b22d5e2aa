"""A state that owes a sink the alerts of an earlier life."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pricestreamd.model.events import PriceAlert, to_json
from pricestreamd.state.rows import EventRow, StateChange
from pricestreamd.state.store import StateStore


def owed(number: int) -> EventRow:
    """An alert of an earlier life."""
    firing = f"{number:016x}"
    alert = PriceAlert(
        *("earlier", number, 1_700_000_000.0 + number, "W0.0", 105.0, None, 104.0, 1.0, 0.9, "USD", "us"),
        *(1_700_000_000.0 + number, number),
        alert_id="over",
        alert_name="over",
        alert_text="W0.0 105.00 is above 104.00",
        firing_id=firing,
    )
    return EventRow(firing, alert.event, alert.symbol, alert.alert_id, alert.timestamp, to_json(alert))


async def owe(path: Path, sink: str, rows: Sequence[EventRow]) -> None:
    """Let the state at `path` owe all of them to `sink`."""
    store = StateStore(path, on_damage=_sound)
    await store.open()
    for start in range(0, len(rows), 500):
        some = rows[start : start + 500]
        await store.commit(StateChange(events=list(some), owed=[(row.event_id, sink) for row in some]))
    await store.close()


def _sound(damage: str) -> None:
    raise AssertionError(damage)
