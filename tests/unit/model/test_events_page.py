"""What docs/events.md says of the events is what the code has; its example comes from the stream itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import EVENTS, Event, PriceAlert, Run, to_json
from pricestreamd.model.tick import Tick
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.engine import StreamEngine
from pricestreamd.stream.settings import StreamSettings, SuspectSettings
from pricestreamd.telemetry.metrics import REJECT_REASONS

PAGE = Path(__file__).parents[3] / "docs" / "events.md"
MARK = "<!-- example: written by tests/unit/model/test_events_page.py -->"


def example() -> str:
    """One alert of a stream, as JSON for people."""
    dispatcher = EventDispatcher(Run("6553f100c0de"))
    heard: list[Event] = []
    dispatcher.on("price.alert", heard.append)
    engine = StreamEngine(StreamSettings(), dispatcher)
    engine.board.track(["AAPL"])
    engine.board.set_alert(AlertRule.from_mapping("AAPL", {"name": "apple-high", "above": 200.0}))
    for price, timestamp in ((199.90, 1_700_231_461.0), (200.35, 1_700_231_462.0)):
        engine.on_tick(Tick("AAPL", price, timestamp, timestamp + 0.25, 48_211_300.0, "USD", "us-stocks"))
    (alert,) = heard
    assert isinstance(alert, PriceAlert)
    return json.dumps(json.loads(to_json(alert)), indent=2)


def filled(page: str) -> str:
    """`page` with the example as it is now."""
    head, _, rest = page.partition(MARK)
    tail = rest.partition("\n```json\n")[2].partition("\n```\n")[2]
    return f"{head}{MARK}\n```json\n{example()}\n```\n{tail}"


def rows(page: str) -> dict[str, str]:
    """Event to the cell that names its fields."""
    cells = (line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| `(price|feed|alert)\.", line))
    return {name.strip("`"): fields for name, _, fields in cells}


def test_the_example_is_what_the_stream_makes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == filled(page), "python -m tests.unit.model.test_events_page writes it anew"


def test_the_table_names_every_event_with_its_fields_in_their_order() -> None:
    told = rows(PAGE.read_text(encoding="utf-8"))
    fields: dict[str, list[str]] = {}
    for name, cell in told.items():
        named = re.findall(r"`([a-z_]+)`", cell)
        if cell == "the same":
            named = fields[list(fields)[-1]]
        elif "`price.update`" in cell:
            named = [*fields["price.update"], *named]
        fields[name] = named
    wire = {"from_time": "from", "to_time": "to"}
    assert fields == {kind.event: [wire.get(field, field) for field in kind.__struct_fields__[3:]] for kind in EVENTS}


def test_reasons_and_defaults_are_told_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    reasons = page.partition("| reason |")[2].partition("\n\n")[0]
    first_cells = " ".join(line.split("|")[1] for line in reasons.splitlines()[2:])
    assert re.findall(r"`(\w+)`", first_cells) == list(REJECT_REASONS)
    suspect = SuspectSettings()
    assert f"`suspect.jump_percent` ({suspect.jump_percent:g})" in page
    assert f"`suspect.confirm_within` ({suspect.confirm_within:g} s)" in page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
