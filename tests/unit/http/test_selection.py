"""What a reader asks for, and what is listened to for it."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.http.selection import NAMES, Selection, SelectionError, narrowest
from pricestreamd.model.events import CustomEvent, Event, FeedConnected, PriceError, PriceGap, PriceStale, PriceUpdate


def update(symbol: str) -> PriceUpdate:
    return PriceUpdate("r", 1, 0.0, symbol, 1.0, None, None, 0.0, 0.0, None, "f", 0.0, 1)


def own(name: str, **data: object) -> CustomEvent:
    return CustomEvent("r", 1, 0.0, name, data)


ERROR = PriceError(run="r", number=1, timestamp=0.0, severity="info", error="e", message="m")


@pytest.mark.parametrize(
    ("symbols", "event", "wanted"),
    [
        (["AAPL"], update("AAPL"), True),
        ([" aapl "], update("AAPL"), True),
        (["AAPL"], update("aapl"), True),
        (["AAPL"], update("AAPLX"), False),
        (["A*"], update("AAPL"), True),
        (["*/USD"], update("btc/usd"), True),
        (["AAPL,MSFT"], update("MSFT"), True),
        (["AAPL", "MSFT"], update("MSFT"), True),
        (["*"], update("MSFT"), True),
        (["AAPL"], ERROR, True),
        (["AAPL"], PriceStale("r", 1, 0.0, None, "f", 1.0), True),
        (["AAPL"], PriceStale("r", 1, 0.0, "MSFT", "f", 1.0), False),
        (["AAPL"], FeedConnected(run="r", number=1, timestamp=0.0, feed="f"), True),
        (["AAPL"], PriceGap("r", 1, 0.0, "f", ("MSFT", "AAPL"), 0.0, 1.0, "reset"), True),
        (["AAPL"], PriceGap("r", 1, 0.0, "f", ("MSFT",), 0.0, 1.0, "reset"), False),
        (["AAPL"], PriceGap("r", 1, 0.0, "f", (), 0.0, 1.0, "reset"), True),
        (["AAPL"], own("my.event"), True),
        (["AAPL"], own("my.event", symbol="MSFT"), False),
        (["AAPL"], own("my.event", symbol=7), False),
    ],
)
def test_a_symbol_filter_chooses_by_symbol_and_lets_pass_what_concerns_all(
    symbols: list[str], event: Event, wanted: bool
) -> None:
    selection = Selection.parse([], symbols)
    assert selection.wants(event) is wanted
    assert selection.wants(event) is wanted


@pytest.mark.parametrize(
    ("events", "patterns"),
    [
        ([], {"*"}),
        (["*"], {"*"}),
        (["price.update"], {"price.update"}),
        (["price.*"], {"price.*"}),
        (["price.[ac]*"], {"price.*"}),
        (["p*"], {"*"}),
        (["*.error"], {"*"}),
        (["price.update,feed.*"], {"price.update", "feed.*"}),
        (["my.own.ev?nt"], {"my.own.*"}),
    ],
)
def test_the_dispatcher_is_asked_for_as_little_as_it_can_say(events: list[str], patterns: set[str]) -> None:
    assert Selection.parse(events, []).patterns() == patterns


@pytest.mark.parametrize(
    ("given_patterns", "rest"),
    [
        ({"*", "price.update"}, {"*"}),
        ({"price.*", "price.update", "feed.connected"}, {"price.*", "feed.connected"}),
        ({"my.*", "my.own.*", "my.own.event"}, {"my.*"}),
        ({"my.*", "mywords.*"}, {"my.*", "mywords.*"}),
        (set(), set()),
    ],
)
def test_what_another_pattern_covers_is_left_out(given_patterns: set[str], rest: set[str]) -> None:
    assert narrowest(given_patterns) == rest


PARTS = st.sampled_from(["price", "feed", "my", "own", "x"])
DOTTED = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
PATTERNS = st.sets(st.one_of(DOTTED, DOTTED.map(lambda name: f"{name}.*"), st.just("*")), max_size=6)


def heard(pattern: str, name: str) -> bool:
    return pattern in ("*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


@given(PATTERNS, DOTTED)
def test_an_event_is_heard_once_if_at_all_however_the_readers_overlap(patterns: set[str], name: str) -> None:
    times = sum(heard(pattern, name) for pattern in narrowest(patterns))
    assert times == any(heard(pattern, name) for pattern in patterns)


@given(st.lists(st.sampled_from([*NAMES, "price.*", "feed.*", "*", "pr*", "*.update", "my.event"]), max_size=5))
def test_whatever_a_reader_wants_is_listened_to(events: list[str]) -> None:
    selection = Selection.parse(events, [])
    for name in [*NAMES, "my.event", "other"]:
        if selection.wants(own(name)):
            assert any(heard(pattern, name) for pattern in selection.patterns())
        assert selection.wants(own(name)) is any(fnmatch.fnmatchcase(name, glob) for glob in events or ["*"])


def test_equal_wishes_are_equal_keys_whatever_their_order_and_spelling() -> None:
    one = Selection.parse(["price.update", "price.alert"], ["aapl", "MSFT"])
    other = Selection.parse(["price.alert,price.update,price.alert"], ["msft,AAPL"])
    one.wants(update("AAPL"))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("events", "symbols", "parameter"),
    [
        ([""], [], "event"),
        (["price.update,"], [], "event"),
        (["price.updat"], [], "event"),
        (["feed.lost"], [], "event"),
        (["price.z*"], [], "event"),
        (["a\nb"], [], "event"),
        ([], [" "], "symbol"),
        ([], ["A" * 101], "symbol"),
        ([], ["A\x00B"], "symbol"),
    ],
)
def test_what_cannot_be_meant_is_refused(events: list[str], symbols: list[str], parameter: str) -> None:
    with pytest.raises(SelectionError) as caught:
        Selection.parse(events, symbols)
    assert caught.value.parameter == parameter


def test_memory_of_decisions_is_bounded() -> None:
    selection = Selection.parse([], ["A*"])
    for index in range(50_000):
        selection.wants(own(f"my.event{index}", symbol=f"A{index}"))
    assert len(selection._names) <= 20_000
    assert len(selection._keys) <= 20_000
