"""Alerts as they are reported: how far from firing, and written so that they can be read again."""

from typing import Any

import pytest

from pricestreamd.daemon.answers.alert_body import keep, kept, read_alert
from pricestreamd.daemon.answers.alert_reports import distance_percent, written
from tests.unit.http.test_explanation import engine_with


@pytest.mark.parametrize(
    ("alert", "prices", "distance"),
    [
        ({"above": 200}, [], None),
        ({"above": 200}, [100.0], 100.0),
        ({"below": 50}, [100.0], -50.0),
        ({"above": 110, "below": 95}, [100.0], -5.0),
        ({"above": 110, "below": 95, "when": "all"}, [100.0], 10.0),
        ({"above": 110}, [120.0], None),
        ({"above": 110}, [100.0, 120.0, 100.0], 10.0),
        ({"above": 110, "hysteresis": 10}, [100.0, 120.0, 100.0], None),
        ({"above": 110, "below": 90}, [100.0, 120.0], -25.0),
        ({"above": 110, "on_start": "require_cross"}, [120.0], None),
        ({"above": 110, "trigger": "every_update"}, [120.0], 0.0),
        ({"above": 110, "for": "10m"}, [120.0], 0.0),
        ({"above": 110, "once": True}, [120.0], None),
        ({"change_percent": 5}, [100.0, 104.0], pytest.approx(100 * 1 / 104)),
        ({"day_volume_above": 9}, [100.0], None),
        ({"above": 110, "day_volume_above": 9}, [100.0], 10.0),
        ({"above": 110, "day_volume_above": 9, "when": "all"}, [100.0], None),
        ({"change_percent": 5, "baseline": "15m"}, [100.0], None),
    ],
)
def test_the_smallest_move_at_which_it_could_fire(alert: dict[str, Any], prices: list[float], distance: Any) -> None:
    engine = engine_with(alert, *prices)
    told = engine.alerts.explain("mine", "AAPL")
    state = engine.board.state("AAPL")
    assert told is not None
    assert state is not None
    assert distance_percent(told, state.alerts.alerts["mine"]) == distance


@pytest.mark.parametrize(
    "body",
    [
        {"symbol": "AAPL", "above": 200},
        {"name": "a b/c", "symbols": ["AAPL", "BTC/*"], "change_percent": "0.1%", "baseline": "15m", "cooldown": "10m"},
        {"symbol": "AAPL", "below": 0.00001234, "hysteresis": "0.3%", "for": "90s", "once": True, "notify": ["log"]},
        {
            "symbol": "AAPL",
            "trailing_percent": -5,
            "expires": "2030-01-31T16:00:00-05:00",
            "active": {"days": "mon-fri", "from": "09:30", "to": "16:00:30", "timezone": "America/New_York"},
        },
        {
            "symbol": "AAPL",
            "above": 2,
            "below": 1,
            "when": "all",
            "trigger": "every_update",
            "on_start": "require_cross",
        },
        {
            "symbol": "AAPL",
            "above": 2,
            "session": "regular",
            "on_blind": "notify",
            "baseline": "open",
            "change_percent": 1,
        },
    ],
)
def test_what_is_written_and_kept_is_the_same_alert_again(body: dict[str, Any]) -> None:
    _, rule = read_alert(body)
    assert read_alert(written(rule))[1] == rule
    assert kept(rule.alert_id, keep(rule)) == rule


@pytest.mark.parametrize(
    "definition",
    [
        *(b"", b"{", b"[]", b"null", b"{}", b'{"alert": 1}', b'{"alert": {}}', b'{"alert": {"symbol": "A"}}', b"\xff"),
        *(b'{"alert": {"symbol": "A", "above": 1}, "excluded": "A"}', b'{"alert": {"symbol": "A", "above": "x"}}'),
    ],
)
def test_what_cannot_be_read_is_told_as_a_value_error(definition: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        kept("id", definition)
