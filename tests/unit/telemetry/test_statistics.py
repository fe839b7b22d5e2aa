"""The line of statistics: two looks in, one line out."""

import os
import resource

import pytest

from pricestreamd.telemetry.statistics import Snapshot, compare, process_rss_bytes, rate, take
from tests.unit.telemetry.daemon import Daemon, Feed, busy_daemon


def look(**changes: object) -> Snapshot:
    values: dict[str, object] = {
        "at": 100.0,
        "updates": 0,
        "symbols": 25,
        "feeds": 2,
        "feeds_live": 2,
        "alerts_active": 3,
        "alerts_fired": 0,
        "queued": {"ticks": 4, "hook": 0},
        "dropped": 0,
        "loop_lag_seconds": 0.0012,
        "rss_bytes": 48 * 2**20,
    }
    return Snapshot(**{**values, **changes})  # type: ignore[arg-type]  # a table of changes


def test_the_line_tells_what_happened_between_two_looks() -> None:
    before = look(updates=1000, alerts_fired=1)
    after = look(at=160.0, updates=3460, alerts_fired=3)

    assert compare(before, after).message == (
        "41 updates/s, 25 symbols, 2/2 feeds live, 3 alerts, 2 fired, 4 queued, loop lag 1.2 ms, 48 MiB"
    )


def test_what_was_lost_is_told_only_when_something_was() -> None:
    line = compare(look(dropped=5), look(at=160.0, dropped=12, log_lines_lost=3)).message

    assert "4 queued, 7 dropped, 3 log lines lost, loop lag" in line


def test_the_fields_are_numbers_with_their_units_in_their_names() -> None:
    fields = compare(look(), look(at=160.0, updates=100, rss_bytes=123)).fields()

    assert fields == {
        "action": "statistics",
        "updates_per_second": 1.667,
        "symbols": 25,
        "feeds": 2,
        "feeds_live": 2,
        "alerts_active": 3,
        "alerts_fired": 0,
        "queued": {"ticks": 4, "hook": 0},
        "dropped": 0,
        "loop_lag_seconds": 0.0012,
        "rss_bytes": 123,
        "log_lines_lost": 0,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (look(), look()),
        (look(at=200.0), look()),
        (look(updates=500, dropped=9, alerts_fired=4, log_lines_lost=1), look(at=160.0)),
    ],
    ids=["no time", "time went back", "counts began anew"],
)
def test_nothing_is_ever_negative_or_divided_by_zero(before: Snapshot, after: Snapshot) -> None:
    statistics = compare(before, after)

    assert statistics.updates_per_second == 0.0
    assert (statistics.dropped, statistics.alerts_fired, statistics.log_lines_lost) == (0, 0, 0)


@pytest.mark.parametrize(
    ("per_second", "text"), [(0.0, "0"), (0.04, "0.0"), (0.3, "0.3"), (9.94, "9.9"), (10.0, "10"), (1234.6, "1235")]
)
def test_a_rate_has_as_many_digits_as_people_need(per_second: float, text: str) -> None:
    assert rate(per_second) == text


def test_a_look_reads_the_daemon() -> None:
    daemon = busy_daemon()
    daemon.loop_lag.observe(0.25)

    seen = take(daemon, now=5.0, rss_bytes=7, log_lines_lost=1)

    assert seen == Snapshot(
        at=5.0,
        updates=9,
        symbols=3,
        feeds=2,
        feeds_live=1,
        alerts_active=2,
        alerts_fired=5,
        queued={"ticks": 4},
        dropped=6,
        loop_lag_seconds=0.25,
        rss_bytes=7,
        log_lines_lost=1,
    )


def test_each_look_has_the_peak_of_the_lag_since_the_one_before() -> None:
    daemon = Daemon(feeds={"us": Feed()})
    daemon.loop_lag.observe(0.25)

    assert [take(daemon, now=now, rss_bytes=0).loop_lag_seconds for now in (1.0, 2.0)] == [0.25, 0.0]


def test_the_memory_of_this_process_is_that_which_the_system_reports() -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    assert os.sysconf("SC_PAGE_SIZE") < process_rss_bytes() <= peak * 1.2
