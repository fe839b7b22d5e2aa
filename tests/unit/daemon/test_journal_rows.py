"""What is put back after a restart: how long an alert has held counts only as far as somebody watched."""

from typing import Any

import msgspec
import pytest

from pricestreamd.daemon.journal.rows import put_back
from pricestreamd.state.rows import AlertStateRow, PriceRow, SavedState
from tests.unit.stream.ticking import PLAIN, Stream

BEGIN = 1000.0


def market() -> Stream:
    stream = Stream("AAPL", "MSFT", since=BEGIN, **PLAIN)
    conditions: dict[str, Any] = {"name": "a", "above": 200, "for": 60}
    stream.set_alert(**conditions)
    return stream


def price(symbol: str, received_at: float, feed: str = "us") -> PriceRow:
    return PriceRow(symbol, 201.0, received_at, received_at, None, None, feed)


@pytest.mark.parametrize(
    ("prices", "held"),
    [
        ([price("AAPL", BEGIN + 40)], 40),
        # Whoever heard of another symbol would have heard of this one.
        ([price("AAPL", BEGIN), price("msft", BEGIN + 50)], 50),
        # Another feed may have been there when this one was not.
        ([price("AAPL", BEGIN + 10), price("MSFT", BEGIN + 50, "other")], 10),
        ([price("MSFT", BEGIN + 50)], 0),
        ([], 0),
        # A clock that was set makes it no longer than it was.
        ([price("AAPL", BEGIN + 9000)], 60),
    ],
)
def test_what_held_goes_on_from_where_the_last_price_was_heard(prices: list[PriceRow], held: float) -> None:
    old = market()
    old.tick(201.0, BEGIN)
    (record,) = old.engine.alerts.take_changes().records
    rows = (AlertStateRow(record.alert_id, record.symbol, msgspec.json.encode(record)),)
    new = market()
    new.now = new.wall = BEGIN + 600
    put_back(new.board, SavedState(alert_states=rows, prices=tuple(prices)), pytest.fail, now=new.wall)
    assert [second for second in range(61) if new.reasons(202.0, BEGIN + 600 + second)] == [60 - held]
