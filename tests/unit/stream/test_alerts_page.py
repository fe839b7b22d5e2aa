"""What docs/alerts.md shows is so: every example is a good configuration, and every picture comes out as drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pricestreamd.config.load import load
from pricestreamd.feeds.silence.hours import calendar
from pricestreamd.stream.alert_rule import AlertRule
from tests.unit.stream.ticking import PLAIN, Stream

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PICTURES = re.findall(r"^```yaml\n(.*?)^```\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SECONDS = {"s": 1.0, "m": 60.0}


def rules(text: str, folder: Path) -> list[AlertRule]:
    path = folder / "c.yaml"
    path.write_text(text)
    loaded = load(path, environ={"HOME": str(folder)}, feeds_required=False)
    assert loaded.warnings == ()
    return list(loaded.alert_rules)


def cells(line: str, starts: list[int]) -> Iterator[str]:
    """What stands in a line from each of these columns up to the next."""
    for begin, end in zip(starts, [*starts[1:], None], strict=True):
        yield line[begin:end].strip()


def moment(text: str) -> float:
    if ":" in text:
        # A Monday.
        return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=ZoneInfo("America/New_York")).timestamp()
    return 1_000_000.0 + float(text[:-1]) * SECONDS[text[-1]]


def word(reason: str) -> str:
    """How a picture names a reason."""
    kinds = (part.rpartition("_")[0].removeprefix("price_") for part in reason.split("+"))
    return "+".join(kind.removesuffix("_percent").removesuffix("_above") for kind in kinds)


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_can_be_loaded(text: str, tmp_path: Path) -> None:
    assert rules(text, tmp_path)


@pytest.mark.parametrize(("text", "picture"), PICTURES)
def test_each_picture_comes_out_as_drawn(text: str, picture: str, tmp_path: Path) -> None:
    lines = {line.split(" ")[0]: line for line in picture.splitlines()}
    head = lines.get("at") or lines["clock"]
    starts = [found.start() for found in re.finditer(r"\S+", head)][1:]
    times = [moment(cell) for cell in cells(head, starts)]
    (rule,) = rules(text, tmp_path)
    stream = Stream(rule.patterns[0], hours_of=lambda _: calendar("XNYS"), since=times[0] - 60.0, **PLAIN)
    stream.board.set_alert(rule)
    prices = list(cells(lines["price"], starts))
    volumes = list(cells(lines["volume"], starts)) if "volume" in lines else [""] * len(prices)
    fired = []
    for at, price, volume in zip(times, prices, volumes, strict=True):
        before = len(stream.events)
        if price:
            volume_fields = {"volume": float(volume)} if volume else {}
            stream.tick(float(price), at, rule.patterns[0], **volume_fields)
        else:
            stream.pass_time(at)
        alerts = [event for event in stream.events[before:] if event.event == "price.alert"]
        assert [event.timestamp for event in alerts] == [at] * len(alerts)
        fired.append(" ".join(word(event["alert_reason"]) for event in alerts))
    assert fired == list(cells(lines["fires"], starts))


def test_there_is_a_picture_for_every_rule() -> None:
    shown = "\n".join(text for text, _ in PICTURES)
    for key in (
        *("above", "below", "change_percent", "trailing_percent", "day_volume_above", "hysteresis", "cooldown", "once"),
        *("trigger", "on_start", "for", "when", "active", "session", "baseline: previous", "baseline: 15m"),
    ):
        assert re.search(rf"\b{key}\b", shown), key
