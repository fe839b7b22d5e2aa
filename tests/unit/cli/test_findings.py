"""What was found is told in plain words, bounded, in the order of the configuration."""

from pricestreamd.cli.findings import as_json, as_lines
from pricestreamd.daemon.trial.probe import Closed, FeedFindings, Findings, FirstPrice, SinkFindings


def told(feed: FeedFindings) -> list[str]:
    return as_lines(Findings([feed], []))


def test_a_feed_over_several_connections_names_each_place_once() -> None:
    feed = FeedFindings("us", "binance", tls=True, places=["a:443", "a:443", "b:443"], milliseconds=12.4)
    assert told(feed) == ["feed us: connected to a:443, b:443 with TLS over 3 connections in 12 ms", "  disconnected"]


def test_symbols_without_a_place_or_an_answer_are_named_up_to_ten() -> None:
    feed = FeedFindings("us", "p", tls=False, places=["a:1"], milliseconds=1.0, accepted=["A"])
    feed.unplaced = {f"S{n}": "there is no room" for n in range(12)}
    feed.unanswered = ["X", "Y"]
    feed.price = FirstPrice("A", 0.00012, 0.04)
    assert told(feed)[1:-1] == [
        "  accepted 1 of 3 symbols",
        "  no answer yet about X, Y",
        "  no place for S0, S1, S2, S3, S4, S5, S6, S7, S8, S9 and 2 more: there is no room",
        "  first price after 0.0 s: A at 0.00012",
    ]


def test_a_market_whose_opening_nobody_knows_is_closed_all_the_same() -> None:
    feed = FeedFindings("us", "p", tls=False, places=["a:1"], milliseconds=1.0, accepted=["A"])
    feed.closed = Closed(("XNYS", "XLON"), None)
    assert "  no price, which is normal: the market is closed (XNYS, XLON)" in told(feed)


def test_notes_are_told_whatever_became_of_the_feed() -> None:
    feed = FeedFindings("us", "p", tls=False, notes=["its watchlist could not be read: x"], error="no address for x")
    assert told(feed) == ["feed us: not connected: no address for x", "  its watchlist could not be read: x"]


def test_of_a_sink_it_is_told_how_far_it_was_tried() -> None:
    asked = SinkFindings("hook", "webhook", 34.4, asked=True)
    opened = SinkFindings("phone", "notify", 0.2, notes=["no message was sent"])
    assert as_lines(Findings([], [asked, opened])) == [
        "sink hook: webhook reached, and nothing was sent, in 34 ms",
        "sink phone: notify opened and closed in 0 ms",
        "  no message was sent",
    ]


def test_all_is_well_only_where_each_is() -> None:
    good = FeedFindings("us", "p", tls=False, accepted=["A"])
    refused = FeedFindings("us", "p", tls=False, accepted=["A"], refused={"B": "no"})
    sink, broken = SinkFindings("s", "file", 1.0), SinkFindings("s", "file", error="no")
    assert Findings([good], [sink]).ok
    assert not Findings([refused], [sink]).ok
    assert not Findings([good], [sink, broken]).ok
    found = as_json(Findings([refused], [broken]))
    assert (found["ok"], found["feeds"]["us"]["ok"], found["sinks"]["s"]["ok"]) == (False, False, False)
    assert found["sinks"]["s"]["error"] == "no"
