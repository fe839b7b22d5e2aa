"""Every metric of the daemon, as data: its name, type, labels, meaning, and how its value is read.

Nothing is counted here. The components keep plain integers, and `DaemonCollector` reads them when somebody scrapes: a
tick pays nothing for being measured. A metric without `read` belongs to a part that does not exist yet; its name is
taken, and it is not exposed.

Labels are bounded: feeds, connections and sinks by the configuration, reasons by the code, symbols by
`max_symbol_series`, listeners and events of the user's own by `OWN_NAMES`, beyond which they are counted as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from pricestreamd.model.events import EVENTS
from pricestreamd.model.histogram import Histogram
from pricestreamd.model.secret import redact
from pricestreamd.telemetry.build_info import BuildInfo, build_info
from pricestreamd.telemetry.view import FeedView, MetricsView, SinkView

PREFIX = "pricestream_"
OWN_NAMES = 100
OTHER = "other"
LABEL_LIMIT = 200  # characters: a symbol may come from a stranger

EVENT_NAMES = tuple(event.event for event in EVENTS)
# In the order in which a tick is looked at. Each is there from the start, so that its first increase is seen.
REJECT_REASONS = (
    "json", "utf8", "missing", "type", "not_finite", "not_positive", "unknown_symbol", "future", "out_of_order",
)  # fmt: skip
OPEN_STATES = frozenset({"subscribing", "live", "stale"})

_T = TypeVar("_T")
Value = float | Histogram
Rows = Iterable[tuple[tuple[str, ...], Value]]
Reader = Callable[["Reading"], Rows]


class Reading:
    """One look at the daemon, shared by all metrics of a scrape."""

    def __init__(self, view: MetricsView, build: BuildInfo, max_symbol_series: int) -> None:
        self.view = view
        self.build = build
        self.max_symbol_series = max_symbol_series
        self.feeds = view.feeds
        self.reports = {name: feed.report() for name, feed in view.feeds.items()}
        self.symbols = {name: [row["state"] for row in feed.symbol_reports()] for name, feed in view.feeds.items()}
        self.stats = view.service.get_stats()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is without the prefix, as it is scraped."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    read: Reader | None = None


# --- readers


def _plain(value: Callable[[Reading], Value]) -> Reader:
    return lambda reading: [((), value(reading))]


def _feeds(value: Callable[[FeedView], Value]) -> Reader:
    return lambda reading: (((name,), value(feed)) for name, feed in reading.feeds.items())


def _sinks(value: Callable[[SinkView], Value]) -> Reader:
    return lambda reading: (((name,), value(sink)) for name, sink in reading.view.sinks.items())


def _connected(reading: Reading) -> Rows:
    for name, report in reading.reports.items():
        for connection in report["connections"]:
            yield (name, str(connection["connection"])), float(connection["state"] in OPEN_STATES)


def _parked(reading: Reading) -> Rows:
    return (((name,), float(report["state"] == "parked")) for name, report in reading.reports.items())


def _wanted(reading: Reading) -> Rows:
    return (((name,), len(states)) for name, states in reading.symbols.items())


def _subscribed(reading: Reading) -> Rows:
    return (((name,), states.count("subscribed")) for name, states in reading.symbols.items())


def _rejected(reading: Reading) -> Rows:
    """What the adapter could not decode and what the stream refused are one count."""
    for name, feed in reading.feeds.items():
        yield from (((name, reason), 0) for reason in REJECT_REASONS)
        yield from (((name, reason), count) for reason, count in feed.counters.rejected.items())
    yield from reading.view.service.rejected.items()


def _reconnects(reading: Reading) -> Rows:
    for name, feed in reading.feeds.items():
        yield from (((name, reason), count) for reason, count in feed.counters.reconnects.items())


def _events(reading: Reading) -> Rows:
    counts = reading.view.dispatcher.event_counts
    yield from (((name,), counts.get(name, 0)) for name in EVENT_NAMES)
    yield from _bounded((name, count) for name, count in counts.items() if name not in EVENT_NAMES)


def _listener_seconds(reading: Reading) -> Rows:
    """Of the user's functions, which may take long and can be changed; our own parts only take an event in."""
    listeners = reading.view.dispatcher.listeners()
    return _bounded((listener.name, listener.seconds) for listener in listeners if not listener.ours)


def _listener_errors(reading: Reading) -> Rows:
    return _bounded((listener.name, listener.errors) for listener in reading.view.dispatcher.listeners())


def _watchlists(reading: Reading) -> Rows:
    return (((name,), watchlist.last_success_at or 0.0) for name, watchlist in reading.view.watchlists.items())


def _sink_dropped(reading: Reading) -> Rows:
    for name, sink in reading.view.sinks.items():
        yield from (((name, reason), count) for reason, count in sink.dropped.items())


def _healthy(reading: Reading) -> Rows:
    return (((name,), float(healthy)) for name, healthy in reading.view.healthy.items())


def _deadman_calls(reading: Reading) -> Rows:
    yield ("ok",), reading.view.deadman.calls
    yield ("failed",), reading.view.deadman.failures


def _prices(reading: Reading) -> Rows:
    prices = reading.view.service.get_all_prices() if reading.max_symbol_series else {}
    known = (((symbol,), price) for symbol, price in prices.items() if price is not None)
    return (row for row, _ in zip(known, range(reading.max_symbol_series), strict=False))


def _bounded(rows: Iterable[tuple[str, _T]]) -> Iterator[tuple[tuple[str], _T]]:
    """The first names that came keep their own series, so that `other` never goes down."""
    admitted: set[str] = set()
    for name, value in rows:
        if len(admitted) < OWN_NAMES:
            admitted.add(name)
        yield (name if name in admitted else OTHER,), value


# --- the catalogue

_FEED = ("feed",)
_SINK = ("sink",)

CATALOGUE: tuple[Metric, ...] = (
    Metric("feed_connected", "gauge", "Whether the connection is open (1) or not (0).", ("feed", "connection"),
           _connected),
    Metric("feed_healthy", "gauge",
           "Whether /health finds the feed well (1): live, on its way back for less than a minute, covered or closed.",
           _FEED, _healthy),
    Metric("feed_parked", "gauge", "Whether the feed was refused and waits for a person (1).", _FEED, _parked),
    Metric("market_open", "gauge", "Whether the market of any subscribed symbol of the feed is open (1).", _FEED,
           _feeds(lambda feed: float(feed.market_open))),
    Metric("feed_last_message_timestamp_seconds", "gauge",
           "When the last message came from the provider, heartbeats included; 0 before the first.", _FEED,
           _feeds(lambda feed: feed.counters.last_message_at or 0.0)),
    Metric("feed_last_tick_timestamp_seconds", "gauge",
           "When the last price that was not refused was received; 0 before the first.", _FEED,
           _feeds(lambda feed: feed.counters.last_tick_at or 0.0)),
    Metric("frames_received_total", "counter", "Messages received from the provider.", _FEED,
           _feeds(lambda feed: feed.counters.frames_received)),
    Metric("received_bytes_total", "counter", "Bytes of the messages received from the provider.", _FEED,
           _feeds(lambda feed: feed.counters.received_bytes)),
    Metric("ticks_total", "counter", "Prices decoded from messages.", _FEED, _feeds(lambda feed: feed.counters.ticks)),
    Metric("ticks_rejected_total", "counter", "Prices that were not accepted.", ("feed", "reason"), _rejected),
    Metric("ticks_missed_total", "counter", "Prices that by the provider's own numbering have not come.", _FEED,
           _feeds(lambda feed: feed.counters.missed)),
    Metric("messages_ignored_total", "counter", "Messages of kinds that nobody has a use for.", _FEED,
           _feeds(lambda feed: feed.counters.ignored)),
    Metric("reconnects_total", "counter", "Connections that were lost or given up, and replaced.", ("feed", "reason"),
           _reconnects),
    Metric("symbols_wanted", "gauge", "Symbols the feed should stream.", _FEED, _wanted),
    Metric("symbols_subscribed", "gauge", "Symbols whose subscription the provider has confirmed.", _FEED, _subscribed),
    Metric("subscriptions_rejected_total", "counter", "Subscriptions the provider has refused.", _FEED,
           _feeds(lambda feed: feed.counters.subscriptions_rejected)),
    Metric("symbols_stale", "gauge", "Symbols that are silent for longer than allowed.", _FEED,
           _feeds(lambda feed: len(feed.stale_symbols))),
    Metric("feed_lag_seconds", "histogram", "From the time of a price to its receipt (sampled).", _FEED,
           _feeds(lambda feed: feed.counters.lag)),
    Metric("watchlist_last_success_timestamp_seconds", "gauge",
           "When the watchlist was last read; 0 before the first time.", _FEED, _watchlists),
    Metric("build_info", "gauge", "Which version runs; always 1.", ("version", "revision", "python"),
           lambda reading: [((reading.build.version, reading.build.revision, reading.build.python), 1)]),
    Metric("events_total", "counter", "Events detected, whether anyone listens or not.", ("event",), _events),
    Metric("alerts_active", "gauge", "Alerts that can still fire.", (),
           _plain(lambda reading: reading.stats["alerts_active"])),
    Metric("alerts_blind", "gauge", "Alerts that cannot see what they wait for.", (),
           _plain(lambda reading: reading.view.service.alerts_blind)),
    Metric("alerts_fired_total", "counter", "Firings of all alerts.", (),
           _plain(lambda reading: reading.view.service.alerts_fired)),
    Metric("dispatch_seconds", "histogram", "From receipt of a price to the end of its last listener (sampled).", (),
           _plain(lambda reading: reading.view.service.dispatch_seconds)),
    Metric("listener_seconds", "histogram", "Time spent in a listener of yours for one event (sampled).",
           ("listener",), _listener_seconds),
    Metric("listener_errors_total", "counter", "Calls of a listener that raised.", ("listener",), _listener_errors),
    Metric("event_loop_lag_seconds", "histogram", "How late timers of the event loop came, four looks a second.", (),
           _plain(lambda reading: reading.view.loop_lag.histogram)),
    Metric("sink_queue_length", "gauge", "Events that wait for the sink.", _SINK, _sinks(lambda sink: sink.queued)),
    Metric("sink_delivered_total", "counter", "Events the sink has taken.", _SINK, _sinks(lambda sink: sink.delivered)),
    Metric("sink_dropped_total", "counter", "Events given up before the sink took them.", ("sink", "reason"),
           _sink_dropped),
    Metric("sink_retries_total", "counter", "Deliveries that were tried again.", _SINK,
           _sinks(lambda sink: sink.retries)),
    Metric("sink_flush_seconds", "histogram", "Time the sink took for one batch.", _SINK,
           _sinks(lambda sink: sink.flush_seconds)),
    Metric("sink_breaker_open", "gauge",
           "Whether so much failed in a row that little is tried until one delivery succeeds (1).", _SINK,
           _sinks(lambda sink: float(sink.breaker_open))),
    Metric("sink_breaker_openings_total", "counter", "How often that came about.", _SINK,
           _sinks(lambda sink: sink.breaker_openings)),
    Metric("sink_stopped", "gauge", "Whether the destination wants nothing more and the sink waits for a person (1).",
           _SINK, _sinks(lambda sink: float(sink.stopped))),
    Metric("outbox_pending", "gauge", "Deliveries in the outbox, without those that a sink puts off.", (),
           _plain(lambda reading: reading.view.outbox.pending)),
    Metric("outbox_oldest_seconds", "gauge", "Age of the oldest of those deliveries.", (),
           _plain(lambda reading: reading.view.outbox.oldest_seconds)),
    Metric("state_writable", "gauge", "Whether what must last could be written the last time (1).", (),
           _plain(lambda reading: float(reading.view.state_writable))),
    Metric("log_lines_lost_total", "counter", "Lines of the log that nobody took.", (),
           _plain(lambda reading: reading.view.log_lines_lost)),
    Metric("deadman_calls_total", "counter", "Calls to whoever raises the alarm when they stay away.", ("outcome",),
           _deadman_calls),
    Metric("portfolio_value", "gauge", "Value of all that is held.", ("currency",)),
    Metric("portfolio_gain", "gauge", "Value of all that is held above its cost.", ("currency",)),
    Metric("config_last_reload_successful", "gauge", "Whether the last configuration read was valid and applied (1).",
           (), _plain(lambda reading: float(reading.view.reload.successful))),
    Metric("config_last_reload_success_timestamp_seconds", "gauge", "When a configuration was last applied.", (),
           _plain(lambda reading: reading.view.reload.success_at)),
    Metric("last_price", "gauge", "Last price; the first max_symbol_series symbols only.", ("symbol",), _prices),
)  # fmt: skip


class DaemonCollector(Collector):
    """Reads the daemon when it is scraped. `max_symbol_series` may change at any time; 0 leaves `last_price` out."""

    def __init__(self, view: MetricsView, max_symbol_series: int, build: BuildInfo | None = None) -> None:
        self.max_symbol_series = max_symbol_series
        self._view = view
        self._build = build or build_info()

    def collect(self) -> Iterator[Family]:
        """All exposed metrics, in the order of the catalogue."""
        reading = Reading(self._view, self._build, self.max_symbol_series)
        for metric in CATALOGUE:
            if metric.read is not None:
                yield _family(metric, metric.read(reading))


def _family(metric: Metric, rows: Rows) -> Family:
    """Rows whose labels are equal after cleaning become one: two samples of one series would spoil the whole scrape."""
    numbers: dict[tuple[str, ...], float] = {}
    histograms: dict[tuple[str, ...], Histogram] = {}
    for names, value in rows:
        labels = tuple(map(label, names))
        if isinstance(value, Histogram):
            histograms[labels] = _sum(histograms[labels], value) if labels in histograms else value
        elif metric.kind == "counter":
            numbers[labels] = numbers.get(labels, 0) + value
        else:
            numbers[labels] = value
    name = PREFIX + metric.name
    if metric.kind == "histogram":
        family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
        for labels, histogram in histograms.items():
            # A clock that was set back may have made the sum negative, which no reader accepts.
            family.add_metric(labels, histogram.cumulative(), max(0.0, histogram.total))
        return family
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    plain = kind(name, metric.help, labels=metric.labels)
    for labels, number in numbers.items():
        plain.add_metric(labels, number)
    return plain


def _sum(one: Histogram, other: Histogram) -> Histogram:
    both = Histogram(one.bounds)
    both.counts = list(map(int.__add__, one.counts, other.counts))
    both.total = one.total + other.total
    return both


def label(text: str) -> str:
    """`text` as the value of a label: without secrets, in UTF-8, of bounded length."""
    clean = redact(text).encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= LABEL_LIMIT else clean[:LABEL_LIMIT] + "..."
