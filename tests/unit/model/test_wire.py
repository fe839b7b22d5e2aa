"""The fast way of writing events gives the bytes of the plain way."""

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import (
    CustomEvent,
    Event,
    FeedConnected,
    PriceAlert,
    PriceChange,
    PriceError,
    PriceGap,
    PriceSpike,
    PriceStale,
    PriceUpdate,
    to_json,
)

NUMBERS = st.floats(allow_nan=True) | st.sampled_from([0.1, 1e-7, 1e22, -0.0, math.inf])
TEXTS = st.text(max_size=20) | st.sampled_from(['","number":1', "}\n{", '"timestamp":', "ünïcode \u2028"])


@st.composite
def events(draw: st.DrawFn, run: str) -> Event:
    number, time, symbol = draw(st.integers(1, 10**9)), draw(NUMBERS), draw(TEXTS)
    price = draw(NUMBERS)
    update = (run, number, time, symbol, price, draw(st.none() | NUMBERS), draw(st.none() | NUMBERS), price, price)
    rest = (draw(st.none() | TEXTS), "replay", time, draw(st.integers(1, 10**6)), draw(st.booleans()))
    kind = draw(st.integers(0, 8))
    made: list[Event] = [
        PriceUpdate(*update, *rest),
        PriceChange(*update, *rest, reported_change_percent=price),
        PriceSpike(*update, *rest, spike_percent=price),
        PriceAlert(*update, *rest, alert_id=symbol, alert_conditions={"above": price, "name": symbol}),
        PriceGap(run, number, time, symbol, (symbol,), time, time, "reconnect"),
        PriceError(run=run, number=number, timestamp=time, severity="info", error="x", message=symbol),
        FeedConnected(run=run, number=number, timestamp=time, feed=symbol),
        PriceStale(run, number, time, None, symbol, price),
        CustomEvent(run, number, time, "my.event", {"run": symbol, "number": 1, "timestamp": "x"}),
    ]
    return made[kind]


@given(TEXTS.flatmap(events))
def test_the_fast_way_gives_the_bytes_of_the_plain_way(event: Event) -> None:
    assert to_json(event) == msgspec.json.encode(event.to_dict())
