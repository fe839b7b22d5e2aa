"""The line of `systemctl status`: read by a person who wants to know whether something must be done."""

from typing import Any

import pytest

from pricestreamd.daemon.alive.status_line import status_line
from pricestreamd.model.interface import FeedReport
from tests.support.small_daemon import connection, feed


def line(feeds: dict[str, FeedReport], **facts: Any) -> str:
    known: dict[str, Any] = {"market_open": True, "updates_per_second": 41.2, "alerts": 12, "queued": 0}
    return status_line(feeds, **known | facts)


LIVE = feed(connection())
PARKED = feed(connection("parked", last_error="the provider refused the key"), state="parked")
DOWN = feed(connection(), connection("backoff", last_error="connection refused"), state="backoff")
REST = "41 updates/s, 12 alerts, 0 queued"


@pytest.mark.parametrize(
    ("feeds", "told"),
    [
        ({"eu": LIVE}, f"1/1 feeds live, {REST}"),
        ({"eu": LIVE, "us": PARKED}, f"1/2 feeds live (us parked: key refused), {REST}"),
        ({"us": DOWN}, f"0/1 feeds live (us down: connection refused), {REST}"),
        (
            {"us": DOWN, "eu": PARKED, "fx": feed(connection("stale"), state="stale")},
            f"0/3 feeds live (us down: connection refused; eu parked: key refused; fx silent), {REST}",
        ),
        (
            {f"f{n}": feed(connection("connecting"), state="connecting") for n in range(9)},
            f"0/9 feeds live (f0 connecting; f1 connecting; 7 more), {REST}",
        ),
        ({"us": feed(state="stopped")}, f"0/1 feeds live (us stopped), {REST}"),
        ({"us": feed(connection("backoff"), state="backoff")}, f"0/1 feeds live (us down), {REST}"),
    ],
)
def test_who_does_not_deliver_is_named_with_the_reason(feeds: dict[str, FeedReport], told: str) -> None:
    assert line(feeds) == told


def test_a_closed_market_explains_why_nothing_comes() -> None:
    told = line({"us": LIVE}, market_open=False, updates_per_second=0, alerts=1, queued=3)
    assert told == "1/1 feeds live (market closed), 0 updates/s, 1 alert, 3 queued"
    assert "market" not in line({"us": DOWN}, market_open=False)


def test_a_long_reason_is_cut() -> None:
    long = feed(connection("backoff", last_error="x" * 500), state="backoff")
    told = line({"us": long})
    assert "x" * 59 + "…" in told
    assert "x" * 60 not in told
