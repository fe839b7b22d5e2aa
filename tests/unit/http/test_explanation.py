"""An explanation in sentences: what a person asks, answered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.http.control import PastFiring
from pricestreamd.http.delivery_control import OwedDelivery
from pricestreamd.http.explanation import delivery_sentences, sentences, stamp
from pricestreamd.model.events import Run
from pricestreamd.model.tick import Tick
from pricestreamd.sinks.not_yet import COUNTED
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.explain import AlertExplanation
from pricestreamd.stream.engine import StreamEngine
from pricestreamd.stream.settings import StreamSettings

AT = 1_700_000_000.0
NOW = AT + 10
TOLD = "2023-11-14 22:13:20Z (1 min ago): AAPL 201.00 crossed above 200.00."


def engine_with(alert: dict[str, Any], *prices: float) -> StreamEngine:
    """An engine with `alert` on AAPL by the name of mine, after these prices, one a second."""
    times = [AT]
    engine = StreamEngine(
        StreamSettings(suspect=None),
        EventDispatcher(Run("test")),
        on_reject=lambda tick, reason: None,
        clock=lambda: times[-1],
        monotonic=lambda: times[-1],
    )
    engine.board.track(["AAPL"])
    rule = AlertRule.from_mapping("AAPL", {"name": "mine", **alert})
    engine.board.set_alert(rule)
    for price in prices:
        times.append(times[-1] + 1)
        engine.on_tick(Tick("AAPL", price, times[-1], times[-1], 5.0, None, "f"))
    return engine


def explained(alert: dict[str, Any], *prices: float) -> AlertExplanation:
    """Why it did or did not fire."""
    told = engine_with(alert, *prices).alerts.explain("mine", "AAPL")
    assert told is not None
    return told


@pytest.mark.parametrize(
    ("alert", "prices", "said"),
    [
        ({"above": 200}, [], ["AAPL: waits for its condition; there is no price yet.", "It has never fired."]),
        (
            {"above": 200},
            [198.0],
            [
                "AAPL: waits for its condition; the last price is 198.00 of 2023-11-14 22:13:21Z (9 s ago).",
                "Price above 200.00: not true; it would be at 200.00 (+1.01 %).",
                "It has never fired.",
            ],
        ),
        (
            {"above": 200},
            [198.0, 201.0],
            [
                (
                    "AAPL: has fired, and its condition is still true; "
                    "the last price is 201.00 of 2023-11-14 22:13:22Z (8 s ago)."
                ),
                "Price above 200.00: true; it has fired, and has to be false first: below 200.00.",
                "2023-11-14 22:13:22Z (8 s ago), 201.00: fired.",
                "It has fired 1 time.",
            ],
        ),
        (
            {"above": 233, "hysteresis": 0.1},
            [232.0, 234.0],
            ["Price above 233.00: true; it has fired, and has to be false first: back to 232.767 or less."],
        ),
        (
            {"above": 233, "hysteresis": 0.1},
            [232.0, 234.0, 232.9],
            [
                (
                    "AAPL: has fired, and has not gone back far enough to fire again; "
                    "the last price is 232.90 of 2023-11-14 22:13:23Z (7 s ago)."
                ),
                "Price above 233.00: not true any more, and has to go back to 232.767 or less before it can fire again.",
            ],
        ),
        (
            {"below": 9, "on_start": "require_cross"},
            [8.0],
            ["Price below 9.00: true from the start, and has to be false first.", "It has never fired."],
        ),
        (
            {"above": 200, "once": True},
            [201.0],
            [
                (
                    "AAPL: is done: it has fired, and was to fire once; "
                    "the last price is 201.00 of 2023-11-14 22:13:21Z (9 s ago)."
                )
            ],
        ),
        (
            {"above": 200, "cooldown": 60},
            [201.0, 199.0, 202.0],
            [
                (
                    "AAPL: has fired, and its cooldown lasts for another 58 s; "
                    "the last price is 202.00 of 2023-11-14 22:13:23Z (7 s ago)."
                ),
                "Its cooldown has held back 1 firing.",
                "It has fired 1 time.",
            ],
        ),
        (
            {"above": 200, "expires": "2020-01-01T00:00:00Z"},
            [150.0],
            ["AAPL: expired at 2020-01-01 00:00:00Z; the last price is 150.00 of 2023-11-14 22:13:21Z (9 s ago)."],
        ),
        (
            {"change_percent": 5},
            [100.0, 102.0],
            [
                "Change percent 5.00: not true (+2.00 % from 100.00); it would be at 105.00 (+2.94 %) or 95.00 (-6.86 %)."
            ],
        ),
        (
            {"trailing_percent": 5},
            [141.23, 140.33],
            ["Trailing 5.00: not true, 0.64 % below its high of 141.23; fires from 5.00 %, at 134.1685 (-4.39 %)."],
        ),
        (
            {"trailing_percent": -5},
            [100.0, 106.0],
            [
                (
                    "Trailing -5.00: true, 6.00 % above its low of 100.00; fires from 5.00 %; "
                    "it has fired, and has to be false first."
                )
            ],
        ),
        (
            {"above": 200, "below": 100, "when": "all"},
            [150.0],
            [
                "Price above 200.00: not true; it would be at 200.00 (+33.33 %).",
                "Price above 200.00 and price below 100.00, together: all of them have to be true.",
            ],
        ),
        (
            {"change_percent": 5, "baseline": "15m"},
            [100.0],
            ["Change percent 5.00: not known, for no price that old is known yet."],
        ),
        ({"day_volume_above": 9}, [100.0], ["Day volume above 9.00: not true (5.00 now)."]),
    ],
)
def test_what_a_person_wants_to_know(alert: dict[str, Any], prices: list[float], said: list[str]) -> None:
    lines = sentences(explained(alert, *prices), NOW)
    for line in said:
        assert line in lines


@pytest.mark.parametrize(
    ("alert", "prices", "reason"),
    [
        ({"change_percent": 5, "baseline": "15m"}, [100.0], "no price that old is known yet"),
        ({"above": 200}, [], "there is no price yet"),
        ({"above": 200}, [198.0, 201.0], "has to be false first"),
        ({"above": 200, "cooldown": 60}, [198.0, 201.0], "cooldown"),
        ({"above": 200, "expires": "2020-01-01T00:00:00Z"}, [150.0], "expired"),
    ],
)
def test_a_reason_is_told_once(alert: dict[str, Any], prices: list[float], reason: str) -> None:
    assert "\n".join(sentences(explained(alert, *prices), NOW)).count(reason) == 1


def test_what_came_out_last_is_told_first() -> None:
    prices = [198.0, 201.0, 199.0, 202.0]
    lines = sentences(explained({"above": 200}, *prices), NOW)
    assert [line for line in lines if line.endswith(("fired.", "armed."))] == [
        "2023-11-14 22:13:24Z (6 s ago), 202.00: fired.",
        "2023-11-14 22:13:23Z (7 s ago), 199.00: armed.",
        "2023-11-14 22:13:22Z (8 s ago), 201.00: fired.",
    ]


CONDITIONS = st.fixed_dictionaries(
    {"above": st.floats(1e-6, 1e9)},
    optional={
        "below": st.floats(1e-6, 1e9),
        "change_percent": st.floats(0.01, 99),
        "trailing_percent": st.floats(0.01, 99),
        "day_volume_above": st.floats(1, 1e9),
        "once": st.booleans(),
        "cooldown": st.floats(0, 1e4),
        "for": st.floats(0, 1e4),
        "when": st.sampled_from(["any", "all"]),
        "trigger": st.sampled_from(["edge", "every_update"]),
    },
)


@given(CONDITIONS, st.lists(st.floats(1e-6, 1e9), max_size=8))
def test_every_alert_can_be_explained_in_whole_lines(alert: dict[str, Any], prices: list[float]) -> None:
    for line in sentences(explained(alert, *prices), NOW):
        assert line.isprintable()
        assert line.endswith(".")
        assert "None" not in line
        assert "nan" not in line


RETRY = "pricestreamd outbox retry 17"


def owing(state: str, attempts: int, error: str | None, due: float | None = None) -> OwedDelivery:
    given: dict[str, Any] = {"id": 17, "sink": "hook", "event_id": "f1", "event": "price.alert", "symbol": "AAPL"}
    more = {"alert_id": "mine", "text": None, "created_at": AT, "next_attempt_at": due}
    return {**given, **more, "state": state, "attempts": attempts, "last_error": error}  # type: ignore[typeddict-item]  # all of them


def past(
    *tried: tuple[str, str, int, str | None],
    text: str = "AAPL 201.00 crossed above 200.00",
    owed: list[OwedDelivery] | None = None,
    durable: bool = True,
) -> PastFiring:
    return {
        "firing_id": "f1",
        "symbol": "AAPL",
        "timestamp": AT,
        "durable": durable,
        "event": {"alert_text": text},
        "deliveries": [
            {"sink": sink, "result": result, "attempts": attempts, "at": AT, "error": error}
            for sink, result, attempts, error in tried
        ],
        "owed": owed or [],
    }


@pytest.mark.parametrize(
    ("firing", "said"),
    [
        (past(("phone", "delivered", 1, None)), f"{TOLD} Delivered to phone."),
        (
            past(("phone", "delivered", 1, COUNTED), ("hook", "delivered", 1, None)),
            f"{TOLD} Delivered to hook. Counted for the next message to phone.",
        ),
        (
            past(("everything", "delivered", 1, None), ("hook", "delivered", 1, None)),
            f"{TOLD} Delivered to everything, hook.",
        ),
        (
            past(("phone", "retry", 1, "timeout"), ("phone", "delivered", 2, None), ("hook", "dead", 7, "410 Gone")),
            f"{TOLD} Delivered to phone (2 attempts). Given up for hook (7 attempts: 410 Gone; dropped since).",
        ),
        (
            past(("hook", "dead", 7, "500"), owed=[owing("dead", 7, "500")]),
            f"{TOLD} Given up for hook (7 attempts: 500; pricestreamd outbox retry 17 tries it again).",
        ),
        (
            past(("hook", "dead", 7, "500"), owed=[owing("waiting", 0, "500", AT)]),
            f"{TOLD} Not yet delivered to hook (tried before: 500; the next attempt when its turn comes).",
        ),
        (
            past(("hook", "retry", 2, "timeout"), owed=[owing("waiting", 2, "timeout", AT + 60 + 300)]),
            f"{TOLD} Not yet delivered to hook (2 attempts: timeout; the next attempt in 5 min).",
        ),
        (
            past(("log", "delivered", 1, None), owed=[owing("waiting", 0, None, AT)]),
            f"{TOLD} Delivered to log. Not yet delivered to hook (not tried yet; the next attempt when its turn comes).",
        ),
        (
            past(owed=[owing("stopped", 0, None)]),
            f"{TOLD} Not yet delivered to hook (not tried yet; its sink is stopped; {RETRY} starts it again).",
        ),
        (
            past(("hook", "retry", 1, "timeout"), owed=[owing("unclaimed", 1, "timeout")]),
            f"{TOLD} Not yet delivered to hook (1 attempt: timeout; no sink of that name is configured).",
        ),
        (
            past(owed=[owing("put_off", 0, None, AT + 60 + 840)]),
            f"{TOLD} Not yet delivered to hook (not tried yet; its sink puts it off, the next attempt in 14 min).",
        ),
        (
            past(("phone", "delivered", 1, None), owed=[{**owing("stopped", 0, None), "id": 0}], durable=False),
            (
                f"{TOLD} Not written to the disk yet, so it is delivered from memory. Delivered to phone. Not yet "
                "delivered to hook (not tried yet; its sink is stopped; pricestreamd outbox retry --sink hook starts it "
                "again)."
            ),
        ),
        (past(), f"{TOLD} No attempt to deliver it is noted."),
        (past(text=""), "2023-11-14 22:13:20Z (1 min ago): f1. No attempt to deliver it is noted."),
        (
            past(("hook", "delivered", 1, None), text="AAPL 201.00 crossed above 200.00 at 09:31:02 New York"),
            f"{TOLD} Delivered to hook.",
        ),
    ],
)
def test_what_became_of_a_firing(firing: PastFiring, said: str) -> None:
    assert delivery_sentences([firing], AT + 60, log_only=False) == [said]


def test_what_went_to_the_log_only_is_told_so() -> None:
    assert delivery_sentences([past()], AT + 60, log_only=True) == [f"{TOLD} It went to the log only."]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((-5.0, "just now"), (0.9, "just now"), (59.9, "59 s ago"), (60.0, "1 min ago"), (7380.0, "2 h 3 min ago")),
        (90_000.0, "1 d 1 h ago"),
    ],
)
def test_a_time_is_told_in_utc_and_how_long_ago_it_was(seconds: float, said: str) -> None:
    assert stamp(AT, AT + seconds) == f"2023-11-14 22:13:20Z ({said})"


def test_a_time_that_no_calendar_knows_stays_a_number() -> None:
    assert stamp(1e18, AT) == "1e+18"
