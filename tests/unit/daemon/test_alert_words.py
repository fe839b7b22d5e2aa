"""Alerts in words: as they would be written."""

from typing import Any

import pytest

from pricestreamd.daemon.answers.alert_words import in_words
from pricestreamd.stream.alert_rule import AlertRule


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"above": 200.0}, "above 200"),
        ({"above": 200.10, "once": True}, "above 200.1, once"),
        ({"below": 0.00001234}, "below 0.00001234"),
        ({"above": 1e22}, "above 10000000000000000000000"),
        ({"change_percent": 0.1, "baseline": "15m"}, "change_percent 0.1, baseline 15m"),
        ({"change_percent": 5, "baseline": "open"}, "change_percent 5, baseline open"),
        (
            {"above": 2, "hysteresis": "0.1%", "cooldown": "20s", "for": 5},
            "above 2, hysteresis 0.1%, cooldown 20s, for 5s",
        ),
        ({"above": 2, "cooldown": 0.25, "for": "90m"}, "above 2, cooldown 250ms, for 90m"),
        (
            {"above": 2, "active": {"days": "mon-fri", "from": "09:30", "to": "16:00", "timezone": "America/New_York"}},
            "above 2, active mon-fri 09:30-16:00 America/New_York",
        ),
        ({"above": 2, "session": "regular", "on_blind": "notify"}, "above 2, session regular, on_blind notify"),
        ({"trailing_percent": -5, "expires": "2030-01-31T16:00:00Z"}, "trailing_percent -5, expires 2030-01-31T16:00:00Z"),
    ],
)  # fmt: skip
def test_values_stand_there_as_one_writes_them(conditions: dict[str, Any], said: str) -> None:
    assert in_words(AlertRule.from_mapping("AAPL", conditions).written) == said


def test_whoever_is_told_can_be_named_too() -> None:
    assert in_words({"above": 1.0}, ["phone", "log"]) == "above 1, notify phone log"
