"""Alerts that cannot see: the symbol or its connection is silent for too long, and what they say of it."""

from typing import Any

from pricestreamd.model.events import Event, PriceResumed, PriceStale
from tests.unit.stream.ticking import PLAIN, Stream


def stream_of(*symbols: str, listen: bool = True, **alert: Any) -> Stream:
    stream = Stream(*symbols, since=1000.0, listen=listen, **PLAIN)
    for symbol in symbols:
        stream.set_alert(symbol, above=200, on_blind="notify", name=f"on {symbol}", **alert)
    return stream


def silence(stream: Stream, symbol: str | None, feed: str = "us", seconds: float = 60.0) -> list[Event]:
    before = len(stream.events)
    stream.engine.alerts.on_stale(PriceStale("run", 1, stream.now, symbol, feed, seconds))
    return stream.events[before:]


def sound(stream: Stream, symbol: str | None, feed: str = "us") -> list[Event]:
    before = len(stream.events)
    stream.engine.alerts.on_resumed(PriceResumed("run", 1, stream.now, symbol, feed, 60.0))
    return stream.events[before:]


def told(events: list[Event]) -> list[tuple[str, str, str]]:
    return [
        (event.event, event["symbol"], event["reason"])
        for event in events
        if event.event in ("alert.blind", "alert.sighted")
    ]


def test_a_symbol_that_is_silent_blinds_its_alerts_and_a_price_gives_them_sight() -> None:
    stream = stream_of("AAPL", "MSFT")
    stream.tick(100.0)
    assert told(silence(stream, "aapl")) == [("alert.blind", "AAPL", "stale")]
    assert told(silence(stream, "AAPL")) == []
    assert stream.board.alerts_blind() == 1
    assert told(stream.tick(100.0)) == [("alert.sighted", "AAPL", "stale")]
    assert told(sound(stream, "AAPL")) == []
    assert stream.board.alerts_blind() == 0


def test_a_connection_that_is_silent_blinds_those_that_it_would_have_told_of() -> None:
    stream = stream_of("AAPL", "MSFT", "GOOGL", "TSLA")
    stream.engine.alerts.feed_since.update(us=900.0, spare=900.0)
    stream.tick(100.0, 1001.0)
    stream.tick(100.0, 1001.0, symbol="MSFT", feed="spare")
    stream.tick(100.0, 1050.0, symbol="GOOGL")
    stream.pass_time(1070.0)
    # GOOGL was heard after that, and of TSLA nobody knows from where it will come.
    assert told(silence(stream, None)) == [("alert.blind", "AAPL", "stale")]
    assert told(sound(stream, None)) == [("alert.sighted", "AAPL", "stale")]


def test_with_one_feed_symbols_without_a_price_are_its_own() -> None:
    stream = stream_of("AAPL", "MSFT")
    assert told(silence(stream, None)) == [("alert.blind", "AAPL", "stale"), ("alert.blind", "MSFT", "stale")]


def test_of_two_reasons_both_have_to_go() -> None:
    stream = stream_of("AAPL")
    assert told(silence(stream, None)) == [("alert.blind", "AAPL", "stale")]
    assert told(silence(stream, "AAPL")) == []
    assert told(sound(stream, None)) == []
    assert told(sound(stream, "AAPL")) == [("alert.sighted", "AAPL", "stale")]


def test_what_cannot_see_anyway_says_nothing_of_silence() -> None:
    stream = stream_of("AAPL", once=True)
    stream.tick(201.0)
    assert told(silence(stream, "AAPL")) == []
    assert told(silence(stream, "NONE")) == []


def test_a_feed_that_cannot_show_a_symbol_is_a_graver_reason_than_silence() -> None:
    stream = stream_of("AAPL")
    alerts = stream.engine.alerts
    silence(stream, "AAPL")
    before = len(stream.events)
    alerts.set_unseen("AAPL", "refused", unseen=True, timestamp=stream.now)
    assert alerts.explain("on AAPL", "AAPL")["suppressed_by"][0].startswith("it is blind: the provider has refused")  # type: ignore[index] # it is there
    alerts.set_unseen("AAPL", "refused", unseen=False, timestamp=stream.now)
    assert stream.events[before:] == []
    assert stream.board.alerts_blind() == 1


def test_who_does_not_ask_is_not_told_and_counted_all_the_same() -> None:
    stream = Stream(since=1000.0, **PLAIN)
    stream.set_alert(above=200)
    assert told(silence(stream, "AAPL")) == []
    assert stream.board.alerts_blind() == 1


def test_blindness_that_nobody_hears_of_is_counted() -> None:
    stream = stream_of("AAPL", listen=False)
    silence(stream, "AAPL")
    stream.tick(100.0)
    counts = stream.dispatcher.event_counts
    assert (counts["alert.blind"], counts["alert.sighted"]) == (1, 1)


def test_a_symbol_that_goes_is_not_blind_any_more() -> None:
    stream = stream_of("AAPL")
    silence(stream, "AAPL")
    stream.board.untrack(["AAPL"])
    assert stream.board.alerts_blind() == 0


def test_an_alert_that_is_removed_while_it_is_told_of_has_its_symbol_still() -> None:
    stream = stream_of("AAPL", "MSFT")

    def leave(event: Event) -> None:
        stream.board.untrack(["AAPL", "MSFT"])

    stream.dispatcher.on("alert.blind", leave, priority=1)
    assert [symbol for _, symbol, _ in told(silence(stream, None))] == ["AAPL", "MSFT"]
