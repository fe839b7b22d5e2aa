"""What a scrape shows: every metric of the catalogue whose part exists, valid, bounded, without secrets."""

import math
import shutil
import subprocess
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.histogram import Histogram
from pricestreamd.model.secret import Secret
from pricestreamd.telemetry.build_info import UNKNOWN, BuildInfo, build_info, revision_of
from pricestreamd.telemetry.exposition import CACHE_SECONDS, SPOKEN, Exposition, encoder_for
from pricestreamd.telemetry.metrics import CATALOGUE, OWN_NAMES, PREFIX, DaemonCollector, label
from pricestreamd.telemetry.settings import MetricsSettings
from pricestreamd.telemetry.view import MetricsView
from tests.unit.stream.ticking import Stream
from tests.unit.telemetry.daemon import Daemon, Feed, Listener, busy_daemon, histogram
from tests.unit.telemetry.hostile import TEXTS

BUILD = BuildInfo("1.2.3", "abc123", "3.11.7")
PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMTOOL = shutil.which("promtool")

# The names and labels of the contract: of the parts that exist, and of those that do not yet.
FEED, SINK = ("feed",), ("sink",)
CONTRACT: dict[str, tuple[str, ...]] = {
    "feed_connected": ("feed", "connection"),
    "feed_parked": FEED,
    "market_open": FEED,
    "feed_last_message_timestamp_seconds": FEED,
    "feed_last_tick_timestamp_seconds": FEED,
    "frames_received_total": FEED,
    "received_bytes_total": FEED,
    "ticks_total": FEED,
    "ticks_rejected_total": ("feed", "reason"),
    "reconnects_total": ("feed", "reason"),
    "symbols_wanted": FEED,
    "symbols_subscribed": FEED,
    "subscriptions_rejected_total": FEED,
    "symbols_stale": FEED,
    "feed_lag_seconds": FEED,
    "watchlist_last_success_timestamp_seconds": FEED,
    "build_info": ("version", "revision", "python"),
    "events_total": ("event",),
    "alerts_active": (),
    "alerts_blind": (),
    "alerts_fired_total": (),
    "dispatch_seconds": (),
    "listener_seconds": ("listener",),
    "listener_errors_total": ("listener",),
    "event_loop_lag_seconds": (),
    "sink_queue_length": SINK,
    "sink_delivered_total": SINK,
    "sink_dropped_total": ("sink", "reason"),
    "sink_retries_total": SINK,
    "sink_flush_seconds": SINK,
    "outbox_pending": (),
    "outbox_oldest_seconds": (),
    "config_last_reload_successful": (),
    "config_last_reload_success_timestamp_seconds": (),
    "last_price": ("symbol",),
}
LATER: dict[str, tuple[str, ...]] = {"portfolio_value": ("currency",), "portfolio_gain": ("currency",)}
# Beside the contract: what rules and troubleshooting cannot do without.
MORE: dict[str, tuple[str, ...]] = {
    "feed_healthy": FEED,
    "ticks_missed_total": FEED,
    "messages_ignored_total": FEED,
    "state_writable": (),
    "log_lines_lost_total": (),
    "deadman_calls_total": ("outcome",),
    "sink_breaker_open": SINK,
    "sink_breaker_openings_total": SINK,
    "sink_stopped": SINK,
}
NOW = CONTRACT | MORE
HISTOGRAMS = {
    "feed_lag_seconds",
    "dispatch_seconds",
    "listener_seconds",
    "event_loop_lag_seconds",
    "sink_flush_seconds",
}


def parse_openmetrics(text: str) -> Iterable[Family]:
    found: Iterable[Family] = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs
    return found


def exposition(daemon: MetricsView, *, max_symbol_series: int = 200) -> Exposition:
    return Exposition(daemon, MetricsSettings(max_symbol_series=max_symbol_series), build=BUILD)


def samples(daemon: MetricsView, *, max_symbol_series: int = 200) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name without prefix, label values) to value, of one scrape in the text format."""
    body, _ = exposition(daemon, max_symbol_series=max_symbol_series).render()
    return {
        (sample.name.removeprefix(PREFIX), tuple(sample.labels.values())): sample.value
        for family in parse_text(body.decode())
        for sample in family.samples
    }


def families(daemon: MetricsView, accept: str = "") -> dict[str, Family]:
    body, content_type = exposition(daemon).render(accept)
    parse = parse_openmetrics if content_type.startswith("application/openmetrics-text") else parse_text
    return {family.name: family for family in parse(body.decode())}


def test_the_catalogue_holds_the_names_and_labels_of_the_contract_and_few_more() -> None:
    names = [metric.name for metric in CATALOGUE]

    assert len(names) == len(set(names))
    assert {metric.name: metric.labels for metric in CATALOGUE if metric.read} == NOW
    assert {metric.name: metric.labels for metric in CATALOGUE if not metric.read} == LATER
    assert {metric.name for metric in CATALOGUE if metric.kind == "histogram"} == HISTOGRAMS
    assert {metric.name for metric in CATALOGUE if metric.kind == "counter"} == {
        n for n in names if n.endswith("_total")
    }


def test_a_scrape_shows_every_metric_of_the_parts_that_exist_and_the_process() -> None:
    shown = families(busy_daemon())
    expected = {PREFIX + name.removesuffix("_total") for name in NOW}

    assert {name for name in shown if not name.startswith("process_")} == expected
    assert {"process_start_time_seconds", "process_resident_memory_bytes", "process_open_fds"} <= set(shown)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("feed_connected", ("us", "0"), 1),
        ("feed_connected", ("us", "1"), 0),
        ("feed_parked", ("us",), 0),
        ("feed_parked", ("fx",), 1),
        ("feed_last_message_timestamp_seconds", ("us",), 1_700_000_100.5),
        ("feed_last_message_timestamp_seconds", ("fx",), 0),
        ("feed_last_tick_timestamp_seconds", ("us",), 1_700_000_100.25),
        ("frames_received_total", ("us",), 10),
        ("received_bytes_total", ("us",), 1800),
        ("ticks_total", ("us",), 9),
        ("feed_healthy", ("us",), 1),
        ("feed_healthy", ("fx",), 0),
        ("ticks_missed_total", ("us",), 8),
        ("messages_ignored_total", ("us",), 4),
        ("state_writable", (), 0),
        ("log_lines_lost_total", (), 17),
        ("deadman_calls_total", ("ok",), 30),
        ("deadman_calls_total", ("failed",), 2),
        ("alerts_blind", (), 1),
        ("outbox_pending", (), 3),
        ("outbox_oldest_seconds", (), 12.5),
        ("market_open", ("us",), 1),
        ("symbols_stale", ("us",), 0),
        ("ticks_rejected_total", ("us", "json"), 5),
        ("ticks_rejected_total", ("us", "future"), 3),
        ("ticks_rejected_total", ("fx", "out_of_order"), 0),
        ("reconnects_total", ("us", "reset"), 2),
        ("symbols_wanted", ("us",), 2),
        ("symbols_subscribed", ("us",), 1),
        ("subscriptions_rejected_total", ("us",), 1),
        ("watchlist_last_success_timestamp_seconds", ("us",), 1_700_000_090.5),
        ("watchlist_last_success_timestamp_seconds", ("fx",), 0),
        ("feed_lag_seconds_count", ("us",), 2),
        ("feed_lag_seconds_sum", ("us",), 40.002),
        ("feed_lag_seconds_bucket", ("us", "0.0025"), 1),
        ("feed_lag_seconds_bucket", ("us", "30.0"), 1),
        ("feed_lag_seconds_bucket", ("us", "+Inf"), 2),
        ("build_info", ("3.11.7", "abc123", "1.2.3"), 1),
        ("events_total", ("price.update",), 9),
        ("events_total", ("price.alert",), 0),
        ("events_total", ("my.event",), 7),
        ("alerts_active", (), 2),
        ("alerts_fired_total", (), 5),
        ("dispatch_seconds_count", (), 2),
        ("listener_seconds_count", ("mytrading.hooks.pause",), 2),
        ("listener_errors_total", ("mytrading.hooks.pause",), 3),
        ("event_loop_lag_seconds_count", (), 1),
        ("sink_queue_length", ("ticks",), 4),
        ("sink_delivered_total", ("ticks",), 90),
        ("sink_dropped_total", ("overflow", "ticks"), 6),
        ("sink_retries_total", ("ticks",), 2),
        ("sink_flush_seconds_count", ("ticks",), 1),
        ("sink_breaker_open", ("ticks",), 1),
        ("sink_breaker_openings_total", ("ticks",), 3),
        ("sink_stopped", ("ticks",), 0),
        ("config_last_reload_successful", (), 1),
        ("config_last_reload_success_timestamp_seconds", (), 1_700_000_000),
        ("last_price", ("AAPL",), 150.25),
        ("last_price", ("BTC/USD",), 64_000.5),
    ],
)
def test_each_metric_is_read_from_its_part(name: str, labels: tuple[str, ...], value: float) -> None:
    shown = {(found, tuple(sorted(values))): number for (found, values), number in samples(busy_daemon()).items()}

    assert shown[name, tuple(sorted(labels))] == pytest.approx(value)


def test_the_time_of_a_listener_is_told_of_the_users_functions_only() -> None:
    shown = samples(busy_daemon())

    assert {labels for name, labels in shown if name == "listener_seconds_count"} == {("mytrading.hooks.pause",)}
    assert shown["listener_errors_total", ("sink ticks",)] == 4


def test_the_numbers_of_a_scrape_are_those_of_its_moment() -> None:
    daemon = busy_daemon()
    collector = DaemonCollector(daemon, 200, BUILD)
    registry = CollectorRegistry()
    registry.register(collector)

    daemon.feeds["us"].counters.ticks = 1000
    daemon.reload.successful = False

    assert registry.get_sample_value("pricestream_ticks_total", {"feed": "us"}) == 1000
    assert registry.get_sample_value("pricestream_config_last_reload_successful") == 0


def test_the_dispatcher_itself_can_be_scraped() -> None:
    dispatcher = EventDispatcher()

    def failing(event: object) -> None:
        raise ValueError(event)

    dispatcher.on("my.event", failing)
    dispatcher.dispatch("my.event", {})
    view: MetricsView = Daemon(dispatcher=dispatcher)  # type: ignore[arg-type]  # the part itself in the place of a record

    shown = samples(view)

    assert shown["events_total", ("my.event",)] == 1
    assert shown["events_total", ("price.error",)] == 1
    assert [value for (name, _), value in shown.items() if name == "listener_errors_total"] == [1]


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text", PROMETHEUS_ACCEPT])
def test_both_formats_say_the_same_and_can_be_read_back(accept: str) -> None:
    def values(found: dict[str, Family]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in found.values()
            for sample in family.samples
            if not family.name.startswith("process_")
        }

    daemon = busy_daemon()

    assert values(families(daemon, accept)) == values(families(daemon))
    for metric in CATALOGUE:
        if metric.read:
            family = families(daemon, accept)[PREFIX + metric.name.removesuffix("_total")]
            assert (family.type, family.documentation) == (metric.kind, metric.help)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here (it comes with Prometheus)")
def test_promtool_has_nothing_to_say() -> None:
    body, _ = exposition(busy_daemon()).render()

    checked = subprocess.run([str(PROMTOOL), "check", "metrics"], input=body, capture_output=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


# --- bounds


@pytest.mark.parametrize(("cap", "shown"), [(0, 0), (1, 1), (3, 3), (200, 5)])
def test_last_price_shows_the_first_symbols_up_to_the_cap(cap: int, shown: int) -> None:
    daemon = Daemon()
    daemon.service.prices = {"NEW": None, **{f"S{n}": n + 1.0 for n in range(5)}}

    symbols = [labels for name, labels in samples(daemon, max_symbol_series=cap) if name == "last_price"]

    assert symbols == [(f"S{n}",) for n in range(shown)]


def test_a_reload_changes_the_cap() -> None:
    daemon = Daemon()
    daemon.service.prices = {"AAPL": 1.0}
    now = [0.0]
    metrics = Exposition(daemon, MetricsSettings(), build=BUILD, clock=lambda: now[0])
    assert b"AAPL" in metrics.render()[0]

    metrics.apply(MetricsSettings(max_symbol_series=0))
    now[0] += CACHE_SECONDS

    assert b"AAPL" not in metrics.render()[0]


def test_events_and_listeners_of_the_users_own_share_one_series_beyond_the_bound() -> None:
    daemon = Daemon()
    daemon.dispatcher.event_counts = {f"own.{n}": 1 for n in range(OWN_NAMES + 50)} | {"price.update": 3}
    daemon.dispatcher.registered = [Listener(f"own.{n}", 1, histogram(0.1)) for n in range(OWN_NAMES + 50)]

    shown = samples(daemon)

    assert shown["events_total", ("other",)] == 50
    assert shown["events_total", ("price.update",)] == 3
    assert shown["listener_errors_total", ("other",)] == 50
    assert shown["listener_seconds_count", ("other",)] == 50
    assert sum(name == "listener_errors_total" for name, _ in shown) == OWN_NAMES + 1


def test_ten_thousand_hostile_ticks_add_no_series() -> None:
    daemon, stream = busy_daemon(), Stream("AAPL")
    daemon.service.rejected = stream.engine.rejected
    before = set(samples(daemon))
    prices = (None, "1", math.nan, -math.inf, 0.0, 1.0)
    for number in range(10_000):
        stream.tick(prices[number % 6], symbol=f"{TEXTS[number % len(TEXTS)][:50]}{number}")
        stream.tick(prices[number % 5])

    assert {reason for _, reason in stream.engine.rejected} > {"missing", "type", "unknown_symbol", "not_finite"}
    assert sum(stream.engine.rejected.values()) == 20_000
    assert set(samples(daemon)) == before


# --- hostile texts


HOSTILE = ['a"b', "a\\b", "a\nb", "\ud800", "\x00", "${jndi:ldap://x}", "日本", "x" * 10_000, "", "a} 1\nevil{", "é\r"]


@pytest.mark.parametrize("accept", ["", PROMETHEUS_ACCEPT])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_can_spoil_a_scrape(text: str, accept: str) -> None:
    daemon = busy_daemon()
    daemon.service.prices = {text: 1.5}
    daemon.feeds[text] = Feed(name=text)
    daemon.dispatcher.event_counts[text] = 1

    prices = families(daemon, accept)["pricestream_last_price"]

    assert [sample.labels for sample in prices.samples] == [{"symbol": label(text)}]


@given(st.dictionaries(st.text(max_size=20), st.floats(allow_nan=False, min_value=0), max_size=5))
def test_any_symbols_can_be_read_back(prices: dict[str, float | None]) -> None:
    daemon = Daemon()
    daemon.service.prices = prices

    body, _ = exposition(daemon).render("application/openmetrics-text")
    found = {family.name: family for family in parse_openmetrics(body.decode())}["pricestream_last_price"]

    assert {sample.labels["symbol"] for sample in found.samples} == {label(symbol) for symbol in prices}


def test_texts_that_become_equal_share_a_series_instead_of_spoiling_the_scrape() -> None:
    daemon = Daemon()
    daemon.dispatcher.event_counts = {"x" * 500: 1, "x" * 600: 2}

    assert samples(daemon)["events_total", ("x" * 200 + "...",)] == 3


def test_a_key_is_in_no_label() -> None:
    secret = Secret("CANARY-metrics-7f3a")
    daemon = busy_daemon()
    daemon.dispatcher.event_counts[f"own.{secret.reveal()}"] = 1

    assert b"CANARY" not in exposition(daemon).render()[0]


def test_a_clock_that_was_set_back_spoils_no_scrape() -> None:
    daemon = busy_daemon()
    daemon.feeds["us"].counters.lag = histogram(-3600.0)

    shown = families(daemon, PROMETHEUS_ACCEPT)["pricestream_feed_lag_seconds"]

    assert {sample.value for sample in shown.samples if sample.name.endswith("_sum")} == {0.0}


# --- form and frequency


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", SPOKEN[0]),
        ("*/*", SPOKEN[0]),
        ("text/html", SPOKEN[0]),
        ("text/plain;version=0.0.4", SPOKEN[0]),
        ("text/plain;version=1.0.0", SPOKEN[1] + "; escaping=underscores"),
        ("application/openmetrics-text", SPOKEN[2]),
        ("application/openmetrics-text;version=1.0.0", SPOKEN[2] + "; escaping=underscores"),
        (PROMETHEUS_ACCEPT, SPOKEN[2] + "; escaping=allow-utf-8"),
        ("application/openmetrics-text;version=9.9.9", SPOKEN[0]),
        ("application/openmetrics-text;version=abc", SPOKEN[0]),
        ("application/openmetrics-text;version=1.x", SPOKEN[0]),
        ("text/plain;version=nan.nan", SPOKEN[0]),
        (",;=,;;==", SPOKEN[0]),
        ("application/openmetrics-text;version=1.0.0;escaping=evil", SPOKEN[2] + "; escaping=underscores"),
    ],
)
def test_the_form_follows_the_accept_header_and_nothing_else_is_answered(accept: str, content_type: str) -> None:
    assert encoder_for(accept)[1] == content_type


def test_a_scrape_is_rendered_once_a_second_for_each_form() -> None:
    daemon = busy_daemon()
    now = [100.0]
    metrics = Exposition(daemon, MetricsSettings(), build=BUILD, clock=lambda: now[0])
    first = metrics.render()[0]
    daemon.service.alerts_fired += 1

    now[0] += CACHE_SECONDS * 0.99
    assert metrics.render()[0] is first
    assert metrics.render("application/openmetrics-text")[0] != first

    now[0] += CACHE_SECONDS * 0.02
    assert b"pricestream_alerts_fired_total 6.0" in metrics.render()[0]


@given(st.text(max_size=60))
def test_no_accept_header_makes_a_form_of_its_own(accept: str) -> None:
    content_type = encoder_for(accept)[1]

    assert content_type.partition("; escaping=")[0] in SPOKEN


def test_histograms_of_one_name_are_added_without_touching_the_originals() -> None:
    one, two = histogram(0.1), histogram(0.2)
    daemon = Daemon()
    daemon.dispatcher.registered = [Listener("same", seconds=one), Listener("same", seconds=two)]

    for _ in range(2):
        assert samples(daemon)["listener_seconds_count", ("same",)] == 2
    assert isinstance(one, Histogram)
    assert sum(one.counts) == 1


# --- build


def test_the_build_is_that_of_the_installed_distribution() -> None:
    assert build_info().version != UNKNOWN
    assert build_info().python.count(".") == 2


@pytest.mark.parametrize(
    ("direct_url", "revision"),
    [
        (None, UNKNOWN),
        ("", UNKNOWN),
        ("{", UNKNOWN),
        ("[]", UNKNOWN),
        ('{"dir_info": {"editable": true}}', UNKNOWN),
        ('{"vcs_info": {"vcs": "git", "commit_id": "0a1b2c"}}', "0a1b2c"),
    ],
)
def test_the_revision_is_the_commit_that_the_installer_wrote_down(direct_url: str | None, revision: str) -> None:
    assert revision_of(direct_url) == revision
