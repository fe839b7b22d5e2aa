"""`check` runs the tests of a configuration: what passes is counted, what fails is told with its place, code 78."""

import json
import re
from pathlib import Path

import pytest

from pricestreamd.cli.main import main

FILE = """\
feeds: {us: {provider: twelvedata, api_key: "${K}", symbols: [AAPL, MSFT]}}
alerts:
  - {name: msft-move, symbol: MSFT, change_percent: 5%, cooldown: 10m}
  - {name: held, symbol: AAPL, above: 200, for: 30s}
  - {name: opening, symbol: AAPL, change_percent: 1%, baseline: open, session: regular}
tests:
  - name: a move is told
    ticks: [{symbol: MSFT, price: 100}, {symbol: MSFT, price: 105, at: 30s}]
    expect: [{event: price.alert, alert: msft-move, at: 30s}]
  - name: held by the clock
    ticks: [{symbol: AAPL, price: 199}, {symbol: AAPL, price: 200, at: 10s}]
    expect: [{alert: held, symbol: AAPL, at: 40s, reason: price_above_200.00}]
  - name: from the open
    start: 2026-01-05T14:29:00Z
    ticks: [{symbol: AAPL, price: 90}, {symbol: AAPL, price: 100, at: 60s}, {symbol: AAPL, price: 101, at: 70s}]
    expect: [{alert: opening, at: 70s}]
"""


class Check:
    """Runs `check` on a text in this process."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self._path = folder / "c.yaml"
        self._capfd = capfd

    def __call__(self, text: str, *more: str) -> tuple[int, str, list[str]]:
        """Exit code, output, and the lines of errors without the folder."""
        self._path.write_text(text)
        code = main(["check", str(self._path), *more])
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err.replace(str(self._path), "c.yaml").splitlines()


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Check:
    monkeypatch.setenv("K", "key-1")
    monkeypatch.setenv("KEY", "key-1")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return Check(tmp_path, capfd)


def test_what_passes_is_counted(check: Check) -> None:
    code, out, err = check(FILE)
    assert (code, err) == (0, [])
    assert "3 tests of alerts passed" in out.splitlines()
    code, out, err = check(FILE, "--json")
    assert (code, err) == (0, [])
    assert json.loads(out)["tests_passed"] == 3


def test_without_tests_nothing_is_said_of_them(check: Check) -> None:
    code, out, _ = check(FILE.partition("tests:")[0])
    assert (code, "passed" in out) == (0, False)


def test_all_that_fails_is_told_in_one_run_each_with_its_place(check: Check) -> None:
    text = FILE.replace("price: 105", "price: 104").replace("at: 40s", "at: 41s")
    code, out, err = check(text)
    assert (code, out) == (78, "")
    missed, unexpected, late = err
    assert missed == (
        'c.yaml:9:14: tests[0] "a move is told": expected price.alert of msft-move at 30s, got none; what came: nothing; '
        "why not: msft-move on MSFT: change_percent_5.00 is not reached: 4 % from 100.00, 1 % is missing"
    )
    assert unexpected == (
        'c.yaml:12:13: tests[1] "held by the clock": unexpected price.alert of held for AAPL at 40s: AAPL 200.00 has been '
        "above 200.00 for 30s at 10:00:40 New York"
    )
    assert late == (
        'c.yaml:12:14: tests[1] "held by the clock": expected price.alert of held (price_above_200.00) for AAPL at 41s, '
        "got none; what came: price.alert of held for AAPL at 40s; why not: held on AAPL: price_above_200.00: has fired, "
        "and has to be false first"
    )


def test_warnings_are_told_with_what_fails(check: Check) -> None:
    code, _, err = check(FILE.replace("price: 105", "price: 104") + "portfolio: {A: {shares: 1, cost_basis: 1}}\n")
    assert code == 78
    assert err[0].startswith('c.yaml:9:14: tests[0] "a move is told"')
    assert err[1].startswith("warning: c.yaml:17:1: portfolio")


def test_the_market_hours_of_the_feed_count(check: Check) -> None:
    always = FILE.replace("symbols:", "market_hours: always, symbols:")
    code, _, err = check(always)
    # A market that is always open has opened before the first price, which is the only open there is.
    assert code == 78
    failed = [line for line in err if not line.startswith("warning")]
    assert all('tests[2] "from the open"' in line for line in failed)
    assert "unexpected price.alert of opening for AAPL at 1m" in failed[0]


def test_the_stream_of_the_configuration_counts(check: Check) -> None:
    ticks = "[{symbol: AAPL, price: 100}, {symbol: AAPL, price: 250, at: 1s}]"
    text = f"{FILE}  - {{name: s, ticks: {ticks}, expect: [{{alert: opening, at: 1s}}, {{alert: held, at: 31s}}]}}\n"
    code, _, err = check(text)
    assert code == 78
    assert "the price 250.00 of AAPL at 1s was suspect (stream.suspect)" in err[0]
    assert check(f"{text}stream: {{suspect: null}}\n")[0] == 0


def test_each_test_of_the_documentation_passes(check: Check) -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    examples = [
        block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "tests:" in block
    ]
    assert examples
    for example in examples:
        code, out, _ = check(example)
        assert code == 0
        assert f"{example.count('- name: ')} tests of alerts passed" in out


def test_the_test_of_the_production_sample_passes(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there as a comment: a file is begun with other symbols."""
    monkeypatch.setenv("WEBSOCKET_API_KEY", "key-1")
    monkeypatch.setenv("NOTIFY_URL", "ntfy://ntfy.example.org/topic")
    sample = (Path(__file__).parents[2] / "config" / "price-stream.yaml").read_text()
    before, _, after = sample.partition("tests: []\n")
    lines = [line.replace("  # ", "  ", 1) for line in after.splitlines()]
    code, out, _ = check("\n".join([before, "tests:", *lines, ""]))
    assert (code, "1 test of alerts passed" in out) == (0, True)
