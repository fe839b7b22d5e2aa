"""The attempts to deliver a firing, as a table: what was only counted is not said to be delivered."""

from pricestreamd.cli.delivery_log import delivery_log
from pricestreamd.http.control import DeliveryTried, PastFiring
from pricestreamd.sinks.not_yet import COUNTED

AT = 1_700_000_000.0


def test_what_was_only_counted_for_another_message_is_told_as_that() -> None:
    tried: list[DeliveryTried] = [
        {"sink": "phone", "result": "delivered", "attempts": 1, "at": AT, "error": COUNTED},
        {"sink": "hook", "result": "retry", "attempts": 1, "at": AT, "error": "answered 500"},
        {"sink": "hook", "result": "delivered", "attempts": 2, "at": AT + 1, "error": None},
    ]
    firing: PastFiring = {
        "firing_id": "f1",
        "symbol": "AAPL",
        "timestamp": AT,
        "durable": True,
        "event": {},
        "deliveries": tried,
        "owed": [],
    }
    head, _, counted, failed, delivered = delivery_log([firing], AT)
    assert head == "deliveries of f1:"
    assert COUNTED in counted
    assert "delivered" not in counted
    assert "failed" in failed
    assert "answered 500" in failed
    assert "delivered" in delivered
