"""What a program or JSON writes about an alert: what is read, and what is refused with the name of what is wrong."""

from datetime import UTC, datetime, time
from typing import Any

import pytest

from pricestreamd.stream.alert_rule import AlertError, AlertRule
from pricestreamd.stream.settings import ActiveSettings, AlertSettings


def rule(**conditions: Any) -> AlertRule:
    return AlertRule.from_mapping("AAPL", {"above": 200} | conditions)


@pytest.mark.parametrize(
    ("written", "field", "read"),
    [
        ({"cooldown": "10m"}, "cooldown", 600.0),
        ({"cooldown": " 1.5h "}, "cooldown", 5400.0),
        ({"cooldown": "250ms"}, "cooldown", 0.25),
        ({"cooldown": "7"}, "cooldown", 7.0),
        ({"cooldown": 7}, "cooldown", 7.0),
        ({"cooldown": None}, "cooldown", 0.0),
        ({"for": "30s"}, "hold_for", 30.0),
        ({"hysteresis": "0.3%"}, "hysteresis", 0.3),
        ({"hysteresis": "0.3 %"}, "hysteresis", 0.3),
        ({"hysteresis": 0.3}, "hysteresis", 0.3),
        ({"expires": "2030-01-31T16:00:00-05:00"}, "expires", datetime(2030, 1, 31, 21, tzinfo=UTC).timestamp()),
        ({"expires": datetime(2030, 1, 31, tzinfo=UTC)}, "expires", datetime(2030, 1, 31, tzinfo=UTC).timestamp()),
        ({"expires": None}, "expires", None),
        ({"active": {"days": "mon-fri", "from": "9:30", "to": time(16)}}, "active", ("mon-fri", time(9, 30), time(16))),
        ({"active": ActiveSettings(days="fri")}, "active", ("fri", time(0), time(0))),
        ({"active": None}, "active", None),
        ({"notify": "phone"}, "notify", ("phone",)),
        ({"notify": ["phone", "log"]}, "notify", ("phone", "log")),
        ({"name": None}, "name", None),
        ({"once": True}, "once", True),
        ({"when": "all", "below": 300}, "together", True),
        ({"when": "all"}, "together", False),
        ({"trigger": "every_update"}, "every_update", True),
        ({"on_start": "require_cross"}, "require_cross", True),
        ({"on_blind": "notify"}, "tells_blind", True),
        ({"session": "extended"}, "session", "extended"),
    ],
    ids=str,
)
def test_what_is_written_is_read(written: dict[str, Any], field: str, read: Any) -> None:
    found = getattr(rule(**written), field)
    if isinstance(found, ActiveSettings):
        found = found.days, found.start, found.end
    assert found == read


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("5m", "change_percent:1.00@300s"),
        (1_234_567.0, "change_percent:1.00@1234567s"),
        (0.1, "change_percent:1.00@0.1s"),
        ("previous", "change_percent:1.00@previous"),
        ("armed", "change_percent:1.00"),
    ],
)
def test_two_baselines_never_have_one_text(written: Any, text: str) -> None:
    assert AlertRule.from_mapping("AAPL", {"change_percent": "1%", "baseline": written}).conditions[0].text == text


@pytest.mark.parametrize(
    "written",
    [
        {"above": True},
        {"above": "200"},
        {"above": -1},
        {"above": 0},
        {"above": float("inf")},
        {"change_percent": "5 percent"},
        {"change_percent": 0},
        {"change_percent": True},
        {"trailing_percent": "x"},
        {"trailing_percent": float("nan")},
        {"trailing_percent": True},
        {"trailing_percent": 100},
        {"trailing_percent": 0},
        {"hysteresis": -0.1},
        {"hysteresis": 100},
        {"cooldown": "10 minutes"},
        {"cooldown": -1},
        {"cooldown": float("nan")},
        {"cooldown": False},
        {"cooldown": []},
        {"for": "x"},
        {"once": 1},
        {"once": None},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "n" * 129},
        {"notify": 5},
        {"notify": ["phone", 5]},
        {"when": "none"},
        {"when": None},
        {"trigger": 5},
        {"baseline": "yesterday"},
        {"baseline": 0},
        {"baseline": None, "session": "night"},
        {"expires": "tomorrow"},
        {"expires": "2030-01-31T16:00:00"},
        {"expires": "2030-13-31T16:00:00Z"},
        {"expires": "0001-01-01T00:00:00+14:00"},
        {"expires": "9999-12-31T23:59:59-14:00"},
        {"expires": "0001-01-01T00:00:00Z"},
        {"expires": 5},
        {"active": "mon-fri"},
        {"active": {"day": "mon"}},
        {"active": {"days": 5}},
        {"active": {"days": "someday"}},
        {"active": {"from": "25:00"}},
        {"active": {"from": 930}},
        {"active": {"timezone": "Mars/Base"}},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_by_its_name(written: dict[str, Any]) -> None:
    with pytest.raises(AlertError) as caught:
        rule(**written)
    assert caught.value.key == list(written)[-1]
    assert str(caught.value).startswith(f"{caught.value.key}: ")


def test_what_comes_from_outside_is_shown_by_its_beginning() -> None:
    with pytest.raises(AlertError) as caught:
        rule(cooldown="x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("cooldown", [-1.0, float("inf"), float("nan")])
def test_settings_made_by_a_program_are_looked_at_too(cooldown: float) -> None:
    with pytest.raises(AlertError, match="cooldown: expected 0 or more"):
        AlertRule.from_settings(AlertSettings(symbol="AAPL", above=1.0, cooldown=cooldown))
    with pytest.raises(AlertError, match="baseline: expected a duration above 0"):
        AlertRule.from_settings(AlertSettings(symbol="AAPL", change_percent=1.0, baseline=cooldown))


@pytest.mark.parametrize("condition", [{"above": -1.0}, {"trailing_percent": 100.0}], ids=str)
def test_thresholds_of_a_program_are_looked_at_too(condition: dict[str, float]) -> None:
    with pytest.raises(AlertError) as caught:
        AlertRule.from_settings(AlertSettings(symbol="AAPL", **condition))  # type: ignore[arg-type] # by its name
    assert caught.value.key == next(iter(condition))


def test_what_was_written_is_told_as_json_can_hold_it() -> None:
    active = {"days": "mon-fri", "from": "09:30:15", "to": "16:00", "timezone": "UTC"}
    written = {"cooldown": 5.0, "expires": "2030-01-31T16:00:00Z", "active": active}
    assert rule(**written).written == {"above": 200} | written
