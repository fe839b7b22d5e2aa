"""The command line as a person meets it: what is printed, where, and the exit code."""

import asyncio
import gzip
import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from pricestreamd.cli.main import COMMANDS, main
from pricestreamd.model.zstandard import zstd_module
from tests.support.command import run as command
from tests.support.http_serving import serving
from tests.support.small_daemon import SmallDaemon, connection, feed

ROOT = Path(__file__).parents[2]
CANARY = "canary-4f9e01ab77"
TICKS = "ts_ms,symbol,price\n" + "".join(f"{1000 * n},AAPL,{190 + n}\n" for n in range(20))
FEED = "feeds: {us: {provider: twelvedata, api_key: '${K}', symbols: [AAPL]}}\n"


@dataclass(frozen=True)
class Ran:
    """One command that has run."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        return line


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, in a folder of its own; keywords are the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    for name in ("WEBSOCKET_API_KEY", "NOTIFY_URL", "PRICESTREAM_URL", "PRICESTREAM_DEBUG", "K"):
        monkeypatch.delenv(name, raising=False)

    def ran(*arguments: str | Path, **environ: str) -> Ran:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exited:
            code = int(exited.code or 0)
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return ran


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    path = tmp_path / "ticks.csv"
    path.write_text(TICKS)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return path

    return written


def process(*arguments: str | Path, **environ: str) -> Ran:
    """The command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pricestreamd", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
        timeout=60,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


# --- every command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_version_and_how_it_is_used(run: Run, command: str) -> None:
    version = run("--version").out
    assert version.startswith("pricestreamd ")
    assert run(command, "--version") == Ran(0, version, "")
    told = run(command, "--help")
    assert told.code == 0
    assert f"example: pricestreamd {command}" in " ".join(told.out.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simulate", "--provider", "twelvdata"], "no simulator of provider 'twelvdata'; did you mean 'twelvedata'?"),
        (["simulate", "--provider", "nosuch"], "no simulator of provider 'nosuch'; there is twelvedata"),
        (["simulate", "--scenario", "drip"], "no scenario 'drip'; did you mean 'drop'?"),
        (["simulate", "--scenario", "nope"], "no scenario 'nope'; there are steady, drop"),
        (["simulate", "--from", "/nonexistent.csv"], "--from /nonexistent.csv: cannot be read: No such file or directory"),
        (["simulate", "--listen", "127.0.0.1:99999"], "expected a port from 0 to 65535, got '99999'"),
        (["demo", "--port", "99999"], "--port: expected a port from 0 to 65535, got '99999'"),
        (["demo", "--port", "-1"], "--port: expected a port from 0 to 65535, got '-1'"),
        (["replay", "/nonexistent.csv"], "/nonexistent.csv: cannot be read: No such file or directory"),
        (["replay", "ticks.csv", "--events", "/nonexistent/x"], "cannot write /nonexistent/x: folder /nonexistent: No such file"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_and_code_64(run: Run, ticks: Path, arguments: list[str], told: str) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (64, "")
    assert ran.line.startswith(f"pricestreamd {arguments[0]}: ")
    assert told in ran.line


def test_a_process_ends_with_the_same_code_and_line() -> None:
    ran = process("simulate", "--scenario", "drip")
    assert ran.code == 64
    assert ran.line.startswith("pricestreamd simulate: argument --scenario: no scenario 'drip'; did you mean 'drop'?")


BROKEN = f"raise_here = 1\nclass Out:\n    encoding = 'utf-8'\n    def write(self, text):\n        raise RuntimeError('of token={CANARY}\\nand more')\n    def flush(self): pass\n"


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_is_one_line_with_its_type_and_code_70(debug: str) -> None:
    # A stdout that breaks stands in for a bug: nothing expects it.
    program = f"import sys\nfrom pricestreamd.cli.main import main\n{BROKEN}\nsys.stdout = Out()\ncode = main(['schema'])\nsys.stdout = sys.__stdout__\nsys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PRICESTREAM_DEBUG": debug},
    )
    assert done.returncode == 70
    *before, line = done.stderr.splitlines()
    assert line == ("pricestreamd schema: a bug: RuntimeError: of token=*** and more (PRICESTREAM_DEBUG=1 shows where)")
    assert CANARY not in done.stderr
    assert ("Traceback" in before[0] if before else False) is bool(debug)


def test_a_reader_that_has_gone_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m pricestreamd schema | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_only_a_command_that_reads_a_configuration_takes_one(run: Run, command: str) -> None:
    told = run(command, "--help").out
    assert ("--config" in told) is (command in {"run", "check", "record", "replay", "status", "reload"})


# --- check


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("wss://example.org:8443/v1/quotes?apikey=${K}", "wss://example.org:8443/v1/quotes"),
        ("ws://user:${K}@127.0.0.1:1/v1", "ws://127.0.0.1:1/v1"),
        ("wss://${K}@example.org/v1", "wss://example.org/v1"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_check_shows_no_secret_of_an_endpoint(
    run: Run, config: Callable[[str], Path], endpoint: str, shown: str, form: list[str]
) -> None:
    path = config(f"feeds: {{us: {{provider: twelvedata, api_key: k, endpoint: '{endpoint}', symbols: [A]}}}}\n")
    ran = run("check", "--config", path, *form, K=CANARY)
    assert ran.code == 0
    assert CANARY not in ran.out + ran.err
    if form:
        assert json.loads(ran.out)["feeds"]["us"]["endpoint"] == shown
    else:
        assert f"feed us: twelvedata at {shown}, trades\n" in ran.out


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_check_shows_no_secret_at_another_place(run: Run, config: Callable[[str], Path], form: list[str]) -> None:
    text = FEED + "alerts: [{name: 'my ${K}', symbol: AAPL, above: 1}]\n"
    ran = run("check", "--config", config(text), *form, K=CANARY)
    assert ran.code == 0
    assert CANARY not in ran.out + ran.err
    assert "my ***" in ran.out


def test_check_tells_how_many_symbols_fit(run: Run, config: Callable[[str], Path]) -> None:
    path = config(
        "feeds: {us: {provider: twelvedata, api_key: '${K}', max_symbols_per_connection: 2, max_connections: 1, "
        "symbols: [A, B, C, D]}}\n"
    )
    ran = run("check", "--config", path, K="key-1")
    assert ran.line.endswith(
        "feeds.us.symbols: 2 of 4 symbols do not fit on the one connection, which takes 2; left out: C, D"
    )
    assert "  2 of 4 symbols over 1 connection (at most 2 symbols each, 1 connection): A, B, C, D\n" in ran.out
    assert json.loads(run("check", "--config", path, "--json").out)["feeds"]["us"]["symbols_placed"] == 2


def test_check_tells_wrong_alerts_together_with_everything_else(run: Run, config: Callable[[str], Path]) -> None:
    text = "feeds: {us: {provider: twelvdata, symbols: [AAPL]}}\nalerts:\n" + 2 * "  - {symbol: AAPL, above: 1}\n"
    ran = run("check", "--config", config(text + "strem: {}\n"))
    assert ran.code == 78
    keys = [line.removeprefix(str(config(text)) + ":").split(": ")[1] for line in ran.err.splitlines()]
    assert keys == ["feeds.us.provider", "alerts[1]", "strem"]


def test_check_tells_errors_and_warnings_in_the_order_of_the_file(run: Run, config: Callable[[str], Path]) -> None:
    path = config("stream: {bars: [1m]}\nstrem: {}\n" + FEED + "portfolio: {A: {shares: 1, cost_basis: 1}}\nhtpp: {}\n")
    ran = run("check", path, K="key-1")
    assert (ran.code, ran.out) == (78, "")
    assert [line.replace(str(path), "c") for line in ran.err.splitlines()] == [
        "warning: c:1:10: stream.bars: not built yet: ignored",
        "c:2:1: strem: unknown key; did you mean 'stream'?",
        "warning: c:4:1: portfolio: not built yet: ignored",
        "c:5:1: htpp: unknown key; did you mean 'http'?",
    ]


def test_check_tells_warnings_with_a_listener_that_cannot_be_imported(run: Run, config: Callable[[str], Path]) -> None:
    path = config("stream: {bars: [1m]}\n" + FEED + "listeners: [{event: price.spike, call: 'nosuchmodule:f'}]\n")
    ran = run("check", path, K="key-1")
    assert ran.code == 78
    warning, error = ran.err.splitlines()
    assert warning == f"warning: {path}:1:10: stream.bars: not built yet: ignored"
    assert "nosuchmodule" in error


def test_check_takes_its_file_without_a_flag(run: Run, config: Callable[[str], Path], tmp_path: Path) -> None:
    path = config(FEED)
    flagged = run("check", "--config", path, K="key-1")
    assert run("check", path) == flagged
    assert run("check", "c.yaml", "--config", path).code == 0
    ran = run("check", path, "--config", tmp_path / "other.yaml")
    assert (ran.code, ran.out) == (64, "")
    assert ran.line == (
        f"pricestreamd check: two configurations, {path} and --config {tmp_path / 'other.yaml'}: name one"
    )


def test_check_tells_of_an_alert_all_that_decides_when_it_fires(run: Run, config: Callable[[str], Path]) -> None:
    text = (
        FEED
        + "alerts:\n"
        + "  - {name: a, symbol: AAPL, change_percent: 5, baseline: 15m, hysteresis: 0.1%, cooldown: 20s, for: 5s,"
        + " notify: [log]}\n"
        + "  - {name: b, symbol: AAPL, above: 200, below: 300, when: all}\n"
        + "  - {name: c, symbol: AAPL, above: 200, below: 100}\n"
    )
    ran = run("check", config(text), K="key-1")
    assert [line for line in ran.out.splitlines() if line.startswith("alert ")] == [
        "alert a on AAPL: change_percent_5.00, baseline 15m, hysteresis 0.1%, cooldown 20s, for 5s, notify log",
        "alert b on AAPL: price_above_200.00 and price_below_300.00",
        "alert c on AAPL: price_above_200.00 or price_below_100.00",
    ]


def test_check_tells_where_files_will_be(run: Run, config: Callable[[str], Path], tmp_path: Path) -> None:
    text = FEED + "sinks: {db: {type: sqlite, path: prices.db}, f: {type: file, path: /elsewhere/events.jsonl}}\n"
    ran = run("check", config(text), K="key-1")
    lines = ran.out.splitlines()
    assert lines[0] == f"{tmp_path / 'c.yaml'}: good, 0 warnings"
    assert lines[lines.index("sink db: sqlite gets price.update") + 1] == f"  in {tmp_path / 'state' / 'prices.db'}"
    assert "  in /elsewhere/events.jsonl" in lines
    assert "  1 symbol over 1 connection (at most 3 connections): AAPL" in lines
    assert "  market hours XNYS: AAPL" in lines
    begin = f"relative paths begin at {tmp_path / 'state'} (what is written) and at {tmp_path} (what is read)"
    assert lines[-1] == begin
    plan = json.loads(run("check", "c.yaml", "--json").out)
    assert plan["sinks"]["db"]["path"] == str(tmp_path / "state" / "prices.db")
    assert plan["relative_paths"] == {"read": str(tmp_path), "written": str(tmp_path / "state")}


def test_one_warning_is_one_warning(run: Run, config: Callable[[str], Path]) -> None:
    ran = run("check", config(FEED + "stream: {bars: [1m]}\n"), K="key-1")
    assert ran.out.splitlines()[0].endswith(": good, 1 warning")


# --- simulate


def test_a_port_in_use_comes_with_the_name_of_its_holder(run: Run) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        ran = run("simulate", "--listen", f"127.0.0.1:{port}")
    assert (ran.code, ran.out) == (71, "")
    told = f"pricestreamd simulate: cannot listen on 127.0.0.1:{port}: address already in use, by "
    assert ran.line.startswith(told)
    assert ran.line.endswith(f"(pid {os.getpid()})")


def test_the_simulator_tells_what_to_write_into_a_configuration(config: Callable[[str], Path], run: Run) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pricestreamd", "simulate", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    ) as simulator:
        assert simulator.stdout
        _, provider, endpoint = (simulator.stdout.readline() for _ in range(3))
        simulator.terminate()
        assert simulator.stdout.read() == "sent 0 prices over 0 connections\n"
    assert simulator.returncode == 0
    path = config(f"feeds:\n  us:\n{provider}{endpoint}    symbols: [AAPL]\n")
    ran = run("check", path)
    assert (ran.code, ran.err) == (0, "")
    assert "feed us: twelvedata at ws://127.0.0.1:" in ran.out


def test_the_scenarios_are_listed_as_text_and_as_json(run: Run) -> None:
    text, listed = run("simulate", "--list-scenarios"), run("simulate", "--list-scenarios", "--json")
    assert (text.code, listed.code) == (0, 0)
    rows = json.loads(listed.out)
    assert {"name": "steady", "summary": "nothing goes wrong"} in rows
    assert [row["name"] for row in rows] == [line.split()[0] for line in text.out.splitlines()]


# --- status


def test_status_says_when_nobody_answers(run: Run) -> None:
    ran = run("status", "--url", "127.0.0.1:1")
    assert (ran.code, ran.out) == (69, "")
    assert ran.line.startswith("pricestreamd status: no daemon answers at http://127.0.0.1:1: is it running?")


async def test_what_a_provider_said_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    daemon = SmallDaemon()
    daemon.feed_reports["stocks"] = feed(connection("backoff", last_error="no\x1b[31m\nway"), state="backoff")
    async with serving(daemon) as (server, _):
        ran = await command(tmp_path, "status", "--url", server.address)
    assert (ran.code, ran.err) == (69, "")
    assert "  connection 0: backoff, 3 symbols, 0 reconnects, last error: no [31m way\n" in ran.out
    assert ran.out.startswith("unhealthy, up 0:00:0")


async def test_every_command_that_asks_says_when_somebody_else_answers(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"another": "program"})

    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/{path:.*}", answer)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    asking = [("status",), *((name, "list") for name in ("alerts", "symbols", "sinks", "outbox"))]
    ran = await asyncio.gather(*(command(tmp_path, *words, "--url", address) for words in asking))
    await runner.cleanup()
    told = f"{address} answers, but is no pricestreamd, or another version of it"
    assert [(one.code, one.out, one.err) for one in ran] == [
        (69, "", f"pricestreamd {words[0]}: {told}\n") for words in asking
    ]


# --- replay


@pytest.mark.parametrize("name", ["demo.yaml", "price-stream.yaml", "minimal.yaml"])
def test_a_replay_needs_no_key_for_any_sample(run: Run, ticks: Path, name: str) -> None:
    ran = run("replay", ticks, "--config", ROOT / "config" / name, "--json")
    assert (ran.code, ran.err) == (0, "")
    summary = json.loads(ran.out)
    assert summary["updates"] == {"AAPL": 20}
    assert summary["alerts"]


def test_a_replay_takes_defaults_and_only_what_it_uses(run: Run, ticks: Path, config: Callable[[str], Path]) -> None:
    text = """
feeds:
  us: {provider: nobody-has-it, api_key: "${KEY}", endpoint: "${URL}", connect_timeout: "${WAIT}", symbols: [AAPL]}
sinks: {phone: {type: notify, urls: ["${PHONE}"]}, f: {type: file, path: "${FILE}"}}
http: {listen: "127.0.0.1:${PORT}", auth_token_file: /nonexistent/token}
deadman: {url: "${DEADMAN}"}
logging: {level: "${LEVEL}"}
alerts: [{name: high, symbol: AAPL, above: "${HIGH:-200}", notify: [phone]}]
"""
    ran = run("replay", ticks, "--config", config(text), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["alerts"] == {"high": 1}


def test_a_replay_tells_what_is_wrong_with_what_it_uses(run: Run, ticks: Path, config: Callable[[str], Path]) -> None:
    text = """
feeds: {us: {provider: twelvedata, api_key: "${KEY}", symbols: [AAPL]}}
stream: {min_change_percent: "${CHANGE}"}
alerts: [{symbol: AAPL, abov: 200}, {symbol: AAPL, above: "${HIGH}"}, {symbol: A, above: 1, notify: [phone]}]
allerts: []
"""
    ran = run("replay", ticks, "--config", config(text))
    assert (ran.code, ran.out) == (78, "")
    assert [line.split(": ", 1)[1] for line in ran.err.splitlines()] == [
        "stream.min_change_percent: the environment has no CHANGE; set it, or give a default: ${CHANGE:-...}",
        "alerts[0].abov: unknown key; did you mean 'above'?",
        "alerts[1].above: the environment has no HIGH; set it, or give a default: ${HIGH:-...}",
        "alerts[2].notify[0]: no sink 'phone'; there are log",
        "allerts: unknown key; did you mean 'alerts'?",
    ]


def test_the_events_of_a_replay_are_in_the_file(run: Run, ticks: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    out.write_text("of yesterday\n")
    assert run("replay", ticks, "--events", out).code == 0
    events = [json.loads(line)["event"] for line in out.read_text().splitlines()]
    assert events.count("price.update") == 20
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["events.jsonl", "ticks.csv"]


@pytest.mark.parametrize("fault", [False, True])
def test_a_replay_draws_its_progress_on_a_terminal_and_takes_it_away(ticks: Path, fault: bool) -> None:
    ours, theirs = pty.openpty()
    if fault:
        # It shows at the end only, when the bar has been drawn.
        ticks.write_bytes(gzip.compress(TICKS.encode())[:-4])
    done = subprocess.run(
        [sys.executable, "-m", "pricestreamd", "replay", str(ticks)],
        cwd=ticks.parent,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    drawn = os.read(ours, 65536)
    os.close(ours)
    assert re.fullmatch(rb"\r\[#{40}\] 100 %\r\x1b\[K(pricestreamd replay: .+\r\n)?", drawn)
    assert (done.returncode, b"pricestreamd replay: " in drawn) == ((64, True) if fault else (0, False))


def test_a_replay_needs_no_stderr(ticks: Path) -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "pricestreamd", "replay", str(ticks), "--json"]
    done = subprocess.run(command, cwd=ticks.parent, stdout=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 0
    assert json.loads(done.stdout)["updates"] == {"AAPL": 20}


@pytest.mark.parametrize("kind", ["itself", "symbolic", "hard"])
def test_a_replay_does_not_write_over_what_it_reads(run: Run, ticks: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "symbolic":
        out.symlink_to(ticks)
    elif kind == "hard":
        os.link(ticks, out)
    else:
        out = ticks
    ran = run("replay", ticks, "--events", out)
    assert ran.code == 64
    assert f"{out} is one of the files to be read" in ran.line
    assert ticks.read_text() == TICKS


@pytest.mark.parametrize("fault", ["missing", "no header", "cut off"])
def test_a_replay_that_fails_leaves_the_events_file_as_it_was(
    run: Run, ticks: Path, tmp_path: Path, fault: str
) -> None:
    out, bad = tmp_path / "events.jsonl", tmp_path / "bad.csv"
    out.write_text("of yesterday\n")
    if fault == "no header":
        bad.write_text("nothing\n")
    elif fault == "cut off":
        # Large enough for events to be written before the end is found to be missing.
        rows = "".join(f"{n},MSFT,{100 + n % 7}\n" for n in range(200_000))
        bad.write_bytes(gzip.compress(f"ts_ms,symbol,price\n{rows}".encode())[:-100])
    before = set(tmp_path.iterdir())
    ran = run("replay", ticks, bad, "--events", out)
    assert (ran.code, ran.out) == (64, "")
    assert str(bad) in ran.line
    assert ran.line.endswith(f"; {out} is left as it was")
    assert out.read_text() == "of yesterday\n"
    assert set(tmp_path.iterdir()) == before


def test_a_zstd_file_is_replayed(run: Run, tmp_path: Path) -> None:
    module = zstd_module()
    assert module is not None, "the development tools bring it"
    path = tmp_path / "ticks.csv.zst"
    path.write_bytes(module.compress(TICKS.encode()))
    ran = run("replay", path, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["updates"] == {"AAPL": 20}


def test_a_replay_tells_warnings_and_the_last_firing_of_each_alert(
    run: Run, ticks: Path, config: Callable[[str], Path]
) -> None:
    text = "stream: {bars: [1m]}\nalerts:\n  - {name: high, symbol: AAPL, above: 200}\n  - {symbol: AAPL, above: 900}\n"
    path = config(text)
    ran = run("replay", ticks, "--config", path)
    assert ran.code == 0
    assert ran.line == f"warning: {path}:1:10: stream.bars: not built yet: ignored"
    *_, head, fired, last, never = ran.out.splitlines()
    assert head.split()[:2] == ["alerts", "firings"]
    assert fired.split()[:2] == ["high", "1"]
    assert last.startswith("    last: ")
    assert "AAPL" in last
    assert "200" in last
    assert never.split()[1:] == ["0", "-", "-"]


def test_a_replay_without_alerts_says_so(run: Run, ticks: Path, config: Callable[[str], Path]) -> None:
    assert run("replay", ticks).out.splitlines()[-1] == "no alerts (no configuration)"
    assert (
        run("replay", ticks, "--config", config("stream: {}")).out.splitlines()[-1] == "no alerts in the configuration"
    )


def test_the_help_of_replay_names_the_columns(run: Run) -> None:
    told = " ".join(run("replay", "--help").out.split())
    for column in ("ts_ms", "timestamp (epoch seconds)", "symbol", "price", "bid and ask", "size or volume"):
        assert column in told
