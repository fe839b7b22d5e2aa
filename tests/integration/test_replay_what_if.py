"""`replay --what-if`: the same input with changed alerts beside the configured ones, counted once more independently."""

import csv
import gzip
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.cli.main import main
from tests.support.data import shared_data

OPEN, CLOSE = (datetime(2013, 10, 7, hour, minute, tzinfo=UTC).timestamp() for hour, minute in ((13, 30), (20, 0)))
CONFIG = """\
stream: {out_of_order: accept, suspect: null}
alerts:
  - {name: high, symbol: BAC, above: 13.90, session: regular}
"""


def made_day(folder: Path) -> Path:
    """A day of one share that dances around 13.90, before, in and after the session."""
    dice = random.Random("what if")
    path = folder / "day.csv.gz"
    at, cents = OPEN - 3600, 1390.0
    with gzip.open(path, "wt") as file:
        file.write("timestamp,symbol,price,size\n")
        while at < CLOSE + 3600:
            at += dice.choice([0.25, 1, 2])
            cents = max(1370.0, min(1410.0, cents + dice.choice([-1, -0.5, 0, 0, 0.5, 1])))
            file.write(f"{at},BAC,{cents / 100:.3f},{dice.randint(1, 900)}\n")
    return path


@pytest.fixture(params=["made", "recorded"])
def day(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made_day(tmp_path) if request.param == "made" else shared_data("ticks/equity_trades_20131007.csv.gz")


def independent_count(path: Path, hysteresis: float) -> int:
    """Firings of `above: 13.90` in the regular session, without any of our code."""
    count, armed = 0, True
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            at = float(row["timestamp"]) if "timestamp" in row else float(row["ts_ms"]) / 1000
            if row["symbol"] != "BAC" or not OPEN <= at < CLOSE:
                continue
            price = float(row["price"])
            if price >= 13.90 and armed:
                count, armed = count + 1, False
            elif price < 13.90 and price <= round(13.90 * (100 - hysteresis) / 100, 6):
                armed = True
    return count


class Replay:
    """Runs `replay` in this process with `CONFIG`, or another text."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self._config = folder / "c.yaml"
        self._capfd = capfd

    def __call__(self, *arguments: str | Path, config: str = CONFIG) -> tuple[int, str, str]:
        self._config.write_text(config)
        try:
            code = main(["replay", "--config", str(self._config), *map(str, arguments)])
        except SystemExit as exited:
            code = int(exited.code or 0)
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err

    def json(self, *arguments: str | Path, config: str = CONFIG) -> dict[str, Any]:
        code, out, err = self(*arguments, "--json", config=config)
        assert (code, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Replay:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return Replay(tmp_path, capfd)


@pytest.mark.parametrize("hysteresis", [0.1, 0.3])
def test_hysteresis_does_to_a_day_what_an_independent_count_says(day: Path, replay: Replay, hysteresis: float) -> None:
    told = replay.json(day, "--symbols", "BAC", "--what-if", f"hysteresis={hysteresis}%")
    without, with_it = independent_count(day, 0), independent_count(day, hysteresis)
    assert without > 2 * with_it > 0
    assert told["alerts"] == {"high": without}
    assert told["what_if"]["changes"] == [f"hysteresis={hysteresis}%"]
    assert told["what_if"]["alert_accounts"]["high"]["firings"] == with_it
    assert told["what_if"]["difference"] == {"high": with_it - without}


def test_the_recorded_day_has_the_counts_that_the_documentation_tells(replay: Replay) -> None:
    path = shared_data("ticks/equity_trades_20131007.csv.gz")
    assert [independent_count(path, hysteresis) for hysteresis in (0, 0.1, 0.3)] == [283, 11, 6]
    _, out, _ = replay(path, "--symbols", "BAC", "--what-if", "hysteresis=0.3%")
    assert out.splitlines()[-2:] == [
        "what if hysteresis=0.3%  as configured  what if  difference",
        "  high                             283        6        -277",
    ]


def test_what_is_configured_comes_to_the_same_with_and_without_a_what_if(
    day: Path, replay: Replay, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    alone = replay.json(day, "--symbols", "BAC", "--events", one)
    beside = replay.json(
        day, "--symbols", "BAC", "--events", other, "--what-if", "once=true", "--what-if", "high.above=13.95"
    )
    del beside["what_if"]
    assert alone == beside
    assert one.read_bytes() == other.read_bytes()


def test_changes_come_one_after_another_and_each_finds_its_alerts(replay: Replay, tmp_path: Path) -> None:
    config = """\
stream: {suspect: null}
alerts:
  - {name: a, symbol: A, above: 10}
  - {symbol: B, above: 10}
  - {name: moves, symbol: A, change_percent: 50%}
"""
    path = tmp_path / "t.csv"
    rows = [f"{2 * n},{symbol},{5 + 6 * (n % 2)}" for n in range(20) for symbol in "AB"]
    path.write_text("timestamp,symbol,price\n" + "\n".join(rows) + "\n")
    told = replay.json(
        path, "--what-if", "above=20", "--what-if", "a.above=11", "--what-if", "cooldown=10s", config=config
    )
    unnamed = next(alert for alert in told["alerts"] if alert.startswith("B-"))
    assert told["alerts"] == {"a": 10, unnamed: 10, "moves": 19}
    after = told["what_if"]["alert_accounts"]
    # An alert without a name keeps its id, though that is made of its conditions.
    assert {alert: account["firings"] for alert, account in after.items()} == {"a": 4, unnamed: 0, "moves": 4}
    assert after["a"]["held_back"] == 6
    assert told["what_if"]["difference"] == {"a": -6, unnamed: -10, "moves": -15}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("hysteresis", "expected SETTING=VALUE or ALERT.SETTING=VALUE, such as hysteresis=0.3%"),
        ("=5", "expected SETTING=VALUE or ALERT.SETTING=VALUE, such as hysteresis=0.3%"),
        ("hysteresys=1%", "no key 'hysteresys' of alerts can be changed; did you mean 'hysteresis'?"),
        ("hihg.above=5", "no alert 'hihg'; did you mean 'high'?"),
        ("cooldown=soon", "expected a duration such as 30s, got 'soon'"),
        ("above=-1", "must be more than 0, got the number -1"),
        ("below=5", "no alert has below; name the one that is to get it: ALERT.below=5"),
        ("hysteresis=100%", "alert high: hysteresis: above could never fire again"),
        ("once=${NO}", "expected one value as in a configuration, got '${NO}'"),
        ("once=true\nabove: 3", "expected one value as in a configuration"),
        ("once=[", "a bracket is not closed"),
        ("notify=[log]", "no key 'notify' of alerts can be changed"),
        ("symbol=A", "no key 'symbol' of alerts can be changed"),
    ],
)
def test_a_change_that_cannot_be_made_is_one_line_and_code_64(
    replay: Replay, tmp_path: Path, change: str, told: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("timestamp,symbol,price\n1,A,1\n")
    code, out, err = replay(path, "--what-if", change)
    assert (code, out) == (64, "")
    assert f"--what-if {change}: {told}" in err


def test_where_there_are_no_alerts_nothing_can_be_changed(replay: Replay, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("timestamp,symbol,price\n1,A,1\n")
    code, _, err = replay(path, "--what-if", "once=true", config="stream: {}\n")
    assert (code, "there are none in the configuration" in err) == (64, True)


def test_whole_settings_can_be_changed_as_they_are_written_in_a_file(replay: Replay, tmp_path: Path) -> None:
    path = made_day(tmp_path)
    hours = '{days: mon-fri, from: "12:00", to: "13:00", timezone: America/New_York}'
    told = replay.json(
        path, "--what-if", f"active={hours}", "--what-if", "session=any", "--what-if", "high.below=13.80"
    )
    account = told["what_if"]["alert_accounts"]["high"]
    noon = datetime(2013, 10, 7, 16, tzinfo=UTC).timestamp()
    assert noon <= account["first"] <= account["last"] < noon + 3600
