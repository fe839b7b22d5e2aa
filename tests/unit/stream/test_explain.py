"""Why an alert did or did not fire: where it stands, how far it is from firing, and what holds it back."""

from typing import Any

import pytest

from pricestreamd.feeds.silence.hours import calendar
from pricestreamd.stream.alerts.explain import AlertExplanation
from tests.unit.stream.ticking import PLAIN, Stream

# 2026-01-05 14:30:00 UTC: the session opens in New York, on a Monday.
OPENS = 1_767_623_400.0


def stream_at(at: float = OPENS, *, known: bool = True, **alert: Any) -> Stream:
    stream = Stream(since=at - 60.0, hours_of=lambda _: calendar("XNYS") if known else None, **PLAIN)
    stream.now = at
    stream.set_alert(name="a", **alert)
    return stream


def explained(stream: Stream) -> AlertExplanation:
    found = stream.engine.alerts.explain("a", " aapl ")
    assert found is not None
    return found


def test_only_what_there_is_can_be_explained() -> None:
    stream = stream_at(above=200)
    assert stream.engine.alerts.explain("b", "AAPL") is None
    assert stream.engine.alerts.explain("a", "MSFT") is None


def test_before_the_first_price() -> None:
    found = explained(stream_at(above=200))
    assert (found["state"], found["price"], found["timestamp"]) == ("armed", None, None)
    assert found["suppressed_by"] == ["there is no price yet"]
    (trigger,) = found["triggers"]
    assert (trigger["state"], trigger["armed_at"], trigger["evaluations"]) == ("armed", None, [])
    assert trigger["terms"] == [
        {
            "condition": "price_above_200.00",
            "true": None,
            "value": None,
            "threshold": 200.0,
            "baseline": None,
            "distance": None,
            "trigger_prices": [200.0],
            "unknown": None,
        }
    ]


def test_everything_of_one_that_has_fired() -> None:
    stream = stream_at(above=200, hysteresis=0.5, cooldown=60)
    stream.tick(199.0, OPENS)
    stream.tick(201.0, OPENS + 1)
    stream.tick(198.0, OPENS + 2)
    stream.tick(202.0, OPENS + 3)
    stream.tick(200.5, OPENS + 4)
    found = explained(stream)
    assert (found["alert_id"], found["symbol"], found["price"], found["timestamp"]) == ("a", "AAPL", 200.5, OPENS + 4)
    assert (found["state"], found["firings"], found["held_back"]) == ("cooling", 1, 1)
    assert found["suppressed_by"] == [
        "its cooldown lasts for another 57 s",
        "price_above_200.00: has fired, and has to be false first: back to 199.00 or less",
    ]
    (trigger,) = found["triggers"]
    assert (trigger["reason"], trigger["state"], trigger["armed_at"]) == ("price_above_200.00", "firing", OPENS + 2)
    assert [(one["timestamp"], one["outcome"]) for one in trigger["evaluations"]] == [
        (OPENS + 1, "fired"),
        (OPENS + 2, "armed"),
        (OPENS + 3, "held back by the cooldown"),
    ]


@pytest.mark.parametrize(
    ("alert", "prices", "value", "distance", "trigger_prices"),
    [
        ({"above": 200}, [150.0], 150.0, 50.0, [200.0]),
        ({"below": 100}, [150.0], 150.0, 50.0, [100.0]),
        ({"change_percent": 10}, [100.0, 104.0], 4.0, 6.0, [110.0, 90.0]),
        ({"change_percent": 150}, [100.0, 104.0], 4.0, 146.0, [250.0]),
        ({"trailing_percent": 10}, [90.0, 100.0, 96.0], -4.0, 6.0, [90.0]),
        ({"trailing_percent": -10}, [110.0, 100.0, 104.0], 4.0, 6.0, [110.0]),
        ({"change_percent": 10, "baseline": "previous"}, [100.0, 104.0], 4.0, 6.0, [110.0, 90.0]),
        ({"day_volume_above": 1000}, [100.0], 600.0, 400.0, []),
    ],
    ids=str,
)
def test_how_far_it_is(
    alert: dict[str, Any], prices: list[float], value: float, distance: float, trigger_prices: list[float]
) -> None:
    stream = stream_at(**alert)
    for price in prices:
        stream.tick(price, volume=600.0)
    ((term,),) = [trigger["terms"] for trigger in explained(stream)["triggers"]]
    assert [term["value"], term["distance"]] == pytest.approx([value, distance])
    assert term["true"] is False
    assert term["trigger_prices"] == pytest.approx(trigger_prices)


@pytest.mark.parametrize(
    ("alert", "state", "reason"),
    [
        ({"above": 100, "once": True}, "done", "it has fired, and was to fire once"),
        ({"above": 100}, "firing", "price_above_100.00: has fired, and has to be false first"),
        ({"above": 100, "below": 120, "when": "all", "hysteresis": 1}, "firing", "has to be false first"),
        ({"below": 120, "hysteresis": 1}, "firing", "has to be false first: back to 121.20 or more"),
        ({"above": 100, "trigger": "every_update"}, "firing", None),
        ({"above": 100, "on_start": "require_cross"}, "waiting", "true from the start, and has to be false first"),
        ({"above": 100, "for": 60}, "waiting", "price_above_100.00: true for 0 s, and has to be for 1m"),
        ({"above": 100, "for": 90}, "waiting", "and has to be for 90s"),
        ({"above": 200, "session": "extended"}, "waiting", "not in the time of the extended session: not before 2026-"),
        (
            {"above": 200, "active": {"from": "20:00", "to": "21:00"}},
            "waiting",
            "active hours: not before 2026-01-05 20",
        ),
        ({"above": 200, "expires": "2026-01-01T00:00:00Z"}, "expired", "it expired at 2026-01-01 00:00:00 UTC"),
        ({"change_percent": 1, "baseline": 60}, "waiting", "no price that old is known yet"),
        ({"change_percent": 1, "baseline": "previous"}, "waiting", "there is no price before it yet"),
        (
            {"change_percent": 1, "baseline": "close"},
            "blind",
            "it is blind: the close of the last session is not known",
        ),
        ({"trade_size_above": 1}, "waiting", "the last price came without a volume"),
    ],
    ids=str,
)
def test_what_holds_it_back(alert: dict[str, Any], state: str, reason: str | None) -> None:
    stream = stream_at(**alert)
    stream.tick(110.0, OPENS)
    found = explained(stream)
    assert found["state"] == state
    assert len(found["suppressed_by"]) == (reason is not None)
    assert (reason or "") in "".join(found["suppressed_by"])


def test_an_alert_of_a_session_that_never_comes() -> None:
    class Never:
        def is_open(self, at: float) -> bool:
            return at < 0

        def next_change(self, at: float) -> float | None:
            return None if at >= 0 else 0.0

    stream = Stream(hours_of=lambda _: Never(), since=1.0, **PLAIN)
    stream.set_alert(name="a", above=100, session="regular")
    stream.tick(110.0)
    assert explained(stream)["suppressed_by"] == ["it is not in the time of the regular session"]


def test_where_market_hours_are_not_known() -> None:
    stream = stream_at(known=False, above=100, session="regular")
    stream.tick(110.0)
    assert explained(stream)["state"] == "blind"
    assert explained(stream)["suppressed_by"] == ["it is blind: the market hours of this symbol are not known"]


def test_a_condition_that_is_done_beside_one_that_waits() -> None:
    stream = stream_at(above=100, once=True)
    stream.tick(110.0)
    stream.set_alert(name="a", above=100, below=50, once=True, revive=False)
    found = explained(stream)
    assert (found["state"], [trigger["state"] for trigger in found["triggers"]]) == ("armed", ["done", "armed"])
    assert found["suppressed_by"] == []


def test_only_the_last_evaluations_are_remembered() -> None:
    stream = stream_at(above=100)
    for _ in range(50):
        stream.tick(110.0)
        stream.tick(90.0)
    (trigger,) = explained(stream)["triggers"]
    assert len(trigger["evaluations"]) == 8
    assert trigger["firings"] == 50


@pytest.mark.parametrize("alert", [{"change_percent": 5}, {"trailing_percent": 5}], ids=str)
def test_a_move_that_nothing_was_measured_of_yet(alert: dict[str, Any]) -> None:
    stream = stream_at(**alert)
    stream.board.restore_price("AAPL", 100.0, OPENS - 10, OPENS - 10)
    ((term,),) = [trigger["terms"] for trigger in explained(stream)["triggers"]]
    assert (term["value"], term["true"], term["distance"], term["trigger_prices"]) == (None, None, None, [])


def test_explaining_changes_nothing() -> None:
    stream, other = (stream_at(change_percent=1, above=101, below=100.5) for _ in range(2))
    for number in range(200):
        price = 100.0 + (number * 37 % 41) / 10
        explained(stream)
        assert stream.reasons(price) == other.reasons(price)
