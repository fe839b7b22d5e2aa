"""What a replay prints of its alerts, and how market hours get into it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.cli.main import main
from pricestreamd.replay.recording import Header, frame_line, header_line
from tests.support.data import shared_data

MONDAY = datetime(2026, 1, 5, tzinfo=UTC).timestamp()


class Replay:
    """Runs `replay` in this process on rows of (time, symbol, price), with a configuration."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd

    def __call__(self, config: str, rows: Sequence[tuple[float, str, float]], *more: str) -> tuple[int, str, str]:
        path = self.folder / "ticks.csv"
        path.write_text("timestamp,symbol,price\n" + "".join(f"{at},{symbol},{price}\n" for at, symbol, price in rows))
        return self.of(config, str(path), *more)

    def of(self, config: str, *arguments: str) -> tuple[int, str, str]:
        # Prices that jump make short examples.
        (self.folder / "c.yaml").write_text(f"{config}stream: {{suspect: null}}\n")
        code = main(["replay", "--config", str(self.folder / "c.yaml"), *arguments])
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err

    def firings(self, config: str, rows: Sequence[tuple[float, str, float]]) -> dict[str, Any]:
        """Alert to the times at which it first and last fired."""
        code, out, err = self(config, rows, "--json")
        assert (code, err) == (0, "")
        return {alert: (one["first"], one["last"]) for alert, one in json.loads(out)["alert_accounts"].items()}


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Replay:
    monkeypatch.chdir(tmp_path)
    for name in ("K", "WAIT"):
        monkeypatch.delenv(name, raising=False)
    return Replay(tmp_path, capfd)


# --- the table


def test_the_table_has_a_row_for_each_alert_and_for_each_symbol_of_a_glob(replay: Replay) -> None:
    config = """\
alert_storm: {per_minute: 2}
alerts:
  - {name: two, symbol: "*", above: 2, cooldown: 2s}
  - {name: never, symbol: A, above: 9}
"""
    rows = [(MONDAY + n, symbol, 1.0 + n % 2) for n in range(12) for symbol in "AB"]
    _, out, err = replay(config, [*rows, (MONDAY + 12, "C", 1)])
    assert err == ""
    table = out[out.index("alerts") :].splitlines()
    assert table == [
        "alerts   firings          first (UTC)           last (UTC)  storms  longest storm  worst minute  saved",
        "  two         12  2026-01-05 00:00:01  2026-01-05 00:00:11       2            6 s             6      6",
        "    A          6  2026-01-05 00:00:01  2026-01-05 00:00:11       1            6 s             6      3",
        "    B          6  2026-01-05 00:00:01  2026-01-05 00:00:11       1            6 s             6      3",
        "    last: A 2.00 crossed above 2.00 at 19:00:11 New York",
        "  never        0                    -                    -       0            0 s             0      0",
        "storms: more firings of an alert and symbol in a minute than alert_storm.per_minute; saved are the",
        "deliveries that grouping them spares",
    ]


def test_what_the_cooldown_held_back_has_a_column_and_storms_only_where_there_are_any(replay: Replay) -> None:
    rows = [(MONDAY + n, "A", 1.0 + n % 2) for n in range(8)]
    _, out, _ = replay("alerts: [{name: two, symbol: A, above: 2, cooldown: 1h}]\n", rows)
    assert out[out.index("alerts") :].splitlines()[:2] == [
        "alerts  firings          first (UTC)           last (UTC)  held back",
        "  two         1  2026-01-05 00:00:01  2026-01-05 00:00:01          3",
    ]


def test_of_many_symbols_those_that_fired_most_are_named(replay: Replay) -> None:
    rows = [(MONDAY + n, f"S{number:02}", 1.0 + n % 2) for n in range(40) for number in range(15) if n <= number * 2]
    _, out, _ = replay('alerts: [{name: two, symbol: "S*", above: 2}]\n', rows)
    table = out[out.index("alerts") :].splitlines()
    assert [line.split()[0] for line in table[2:12]] == [f"S{number:02}" for number in range(14, 4, -1)]
    assert table[12] == "    and 4 more"


def test_the_summary_that_the_documentation_shows_is_that_of_the_recorded_day(replay: Replay) -> None:
    config = """\
alert_storm: {per_minute: 20}
alerts:
  - {name: high, symbol: BAC, above: 13.90, session: regular}
  - {name: moves, symbol: "*", change_percent: 0.1%, cooldown: 1m}
"""
    path = shared_data("ticks/equity_trades_20131007.csv.gz")
    _, out, _ = replay.of(config, str(path))
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    shown = page[page.index("alerts   firings") :].partition("```")[0]
    assert shown in out


# --- market hours


REGULAR = "alerts: [{name: high, symbol: AAPL, above: 2, session: regular}]\n"
AT = {name: MONDAY + 3600 * hour for name, hour in (("london", 9), ("new york", 15), ("night", 23))}
ROWS = [(at, "AAPL", price) for at in AT.values() for price in (1, 2)]


def test_without_feeds_an_equity_has_american_hours(replay: Replay) -> None:
    assert replay.firings(REGULAR, ROWS) == {"high": (AT["new york"], AT["new york"])}


def test_the_hours_of_the_feed_that_has_the_symbol_count_even_without_its_key(replay: Replay) -> None:
    feed = '{provider: twelvedata, api_key: "${K}", symbols: [AAPL], market_hours: {calendar: XLON}}'
    config = f"feeds: {{other: {{provider: binance, symbols: [BTC/USDT]}}, us: {feed}}}\n{REGULAR}"
    # New York's ten o'clock is London's three in the afternoon.
    assert replay.firings(config, ROWS) == {"high": (AT["london"], AT["new york"])}
    always = config.replace("{calendar: XLON}", "always")
    assert replay.firings(always, ROWS) == {"high": (AT["london"], AT["night"])}


def test_a_move_from_the_open_is_measured_from_the_open(replay: Replay) -> None:
    config = "alerts: [{name: move, symbol: AAPL, change_percent: 10%, baseline: open}]\n"
    at = MONDAY + 14.5 * 3600
    rows = [(at - 60, "AAPL", 90.0), (at, "AAPL", 100.0), (at + 60, "AAPL", 109.0), (at + 120, "AAPL", 110.0)]
    assert replay.firings(config, rows) == {"move": (at + 120, at + 120)}


def test_feeds_that_cannot_be_read_are_told_of_only_where_an_alert_needs_their_hours(replay: Replay) -> None:
    feeds = "feeds: {us: {provider: twelvedata, api_key: k-1, connect_timeout: '${WAIT}', symbols: [AAPL]}}\n"
    code, _, err = replay(feeds + REGULAR, ROWS)
    assert code == 0
    assert err.endswith("; so no feed there tells market hours\n")
    assert len(err.splitlines()) == 1
    assert replay(feeds + REGULAR.replace(", session: regular", ""), ROWS)[2] == ""


@pytest.mark.parametrize(("provider", "expected"), [("binance", True), ("twelvedata", False)])
def test_the_provider_of_a_recording_tells_the_hours_of_its_symbols(
    replay: Replay, provider: str, expected: bool
) -> None:
    # XRPETHX is no pair by its spelling: only who sells nothing but coins makes it one.
    path = replay.folder / "r.jsonl"
    lines = [header_line(Header(feed="f", provider=provider, symbols=("XRPETHX",)))]
    for at in (AT["night"], AT["night"] + 1):
        if provider == "binance":
            data = {"e": "aggTrade", "E": int(at * 1000), "T": int(at * 1000), "s": "XRPETHX", "a": int(at), "p": "2", "q": "1", "m": False}  # fmt: skip
        else:
            data = {"event": "price", "symbol": "XRPETHX", "price": 2, "timestamp": at}
        lines.append(frame_line(json.dumps(data).encode(), at, "f", provider))
    path.write_bytes(b"".join(lines))
    code, out, err = replay.of("alerts: [{name: high, symbol: '*', above: 2, session: regular}]\n", str(path), "--json")
    told = json.loads(out)
    assert (code, err, told["ticks"]) == (0, "", 2)
    assert (told["alerts"]["high"] > 0) is expected


def test_a_condition_that_has_to_hold_fires_between_the_ticks_of_a_replay(replay: Replay) -> None:
    config = "alerts: [{name: held, symbol: A, above: 2, for: 30s}]\n"
    rows = [(MONDAY, "A", 2), (MONDAY + 100, "A", 1), (MONDAY + 200, "A", 2)]
    assert replay.firings(config, rows) == {"held": (MONDAY + 30, MONDAY + 30)}
