"""The page for operators: its commands run, and its rules, metrics and exit codes are those that there are."""

import asyncio
import os
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest
import pytest_asyncio

from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.interface import ConnectionState, SubscriptionState
from pricestreamd.simulator.server import Simulator
from tests.integration.test_daemon import config
from tests.integration.test_documents import blocks
from tests.prometheus.shipped import OPERATIONS, exposed, rules
from tests.support.command import run as command
from tests.support.daemon import DaemonProcess

UNIT = "price-stream"
PAGES = ("docs/operations.md", "docs/logging.md")
COMMANDS = [line for name in PAGES for block in blocks(name, "sh") for line in block.splitlines()]
RUN = list(dict.fromkeys(line for line in COMMANDS if not line.startswith("systemctl ")))
TOOLS = ("bash", "curl", "grep", "jq")
# What `journalctl -u` shows, too: lines of systemd, and those of a configuration that cannot be read.
NOT_OF_THE_LOG = (
    "Started price-stream.service - Streams prices and fires alerts.",
    "/etc/price-stream/config.yaml:3:5: feeds.us.provider: there is no provider twelve; did you mean twelvedata?",
    "price-stream.service: Main process exited, code=exited, status=78/CONFIG",
)
needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"one of these is not here: {', '.join(TOOLS)}"
)


def page() -> str:
    return OPERATIONS.read_text(encoding="utf-8")


def section(heading: str) -> str:
    return page().partition(f"\n{heading}\n")[2]


# --- both directions


def test_every_exit_code_stands_there_once_and_no_other() -> None:
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", section("## Exit codes"), re.MULTILINE)]
    assert told == sorted(map(int, ExitCode))


def test_every_rule_has_its_heading_and_says_whether_it_wakes_somebody() -> None:
    told = re.findall(r"^### (PriceStream\w+)\n(\*\*Critical\.\*\*)?", section("## Rules"), re.MULTILINE)
    assert [name for name, _ in told] == [rule["alert"] for rule in rules()]
    assert [bool(mark) for _, mark in told] == [rule["labels"]["severity"] == "critical" for rule in rules()]


def test_every_metric_that_is_named_exists() -> None:
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed()}
    named = set(re.findall(r"(?<![\w(])pricestream_\w+\b(?!\()", page()))
    assert len(named) > 20
    assert {name for name in named if not any(base.startswith(name) for base in bases)} == set()
    of_the_table = set(re.findall(r"`(\w+)`", section("## Metrics").partition("## Exit codes")[0]))
    assert of_the_table <= bases


# --- the commands


def test_what_is_asked_of_systemd_names_the_unit() -> None:
    of_systemd = [line for line in COMMANDS if re.match(r"(systemctl|journalctl) ", line)]
    assert of_systemd
    for line in of_systemd:
        assert f" {UNIT}" in line


@pytest_asyncio.fixture
async def environ(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """A daemon with something to tell; its log is what `journalctl` shows."""
    more = "alerts: [{name: high, symbol: AAPL, above: 1000000}]"
    async with Simulator("twelvedata", rate=200, scenario="not-positive") as simulator:
        async with DaemonProcess(tmp_path, config(simulator, more=more), KEY="any") as daemon:
            await daemon.until("/metrics", lambda text: re.search(r"ticks_rejected_total.* [1-9]", text))
            await daemon.until("/api/v1/prices", lambda prices: len(prices) == 2)
            simulator.connections[0].cut(reset=True)
            await daemon.said("disconnected")
            await daemon.until("/health", lambda health: health["feeds"]["us"]["state"] == "live")
            before, *after = (f"{line}\n" for line in NOT_OF_THE_LOG)
            (tmp_path / "log").write_text("".join([before, *daemon.log, *after]))
            (tmp_path / "bin").mkdir()
            program = tmp_path / "bin" / "pricestreamd"
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pricestreamd "$@"\n')
            program.chmod(0o755)
            yield {
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "PRICESTREAM_URL": str(daemon.url),
                "STATE_DIRECTORY": str(tmp_path),
                "KEY": "any",
            }


@needs_tools
async def test_each_command_runs_and_has_something_to_say(tmp_path: Path, environ: dict[str, str]) -> None:
    said: dict[str, str] = {}

    async def run(line: str) -> None:
        command = line.replace("http://127.0.0.1:9777", environ["PRICESTREAM_URL"])
        command = command.replace("/etc/price-stream/config.yaml", str(tmp_path / "config.yaml"))
        if command.startswith("pricestreamd state"):
            command += f" --config {tmp_path / 'config.yaml'}"
        journal = f"journalctl() {{ cat {shlex.quote(str(tmp_path / 'log'))}; }}"
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", f"set -euo pipefail\n{journal}\n{command}", cwd=tmp_path, env=environ,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, f"{line}: {out.decode()}{err.decode()}"
        said[line] = out.decode()

    for one in range(0, len(RUN), 4):
        await asyncio.gather(*map(run, RUN[one : one + 4]))

    silent = [line for line, out in said.items() if not out.strip()]
    # Nothing has held up the loop, and there is no sink that could fail.
    # Nor is there a line of level error.
    never = ("loop_", 'test("sink")', '== "error"')
    assert all(any(word in line for word in never) for line in silent), silent
    everything = next(out for line, out in said.items() if ".message) // ." in line)
    assert all(line in everything.splitlines() for line in NOT_OF_THE_LOG)
    assert said["pricestreamd status"].startswith("healthy")
    assert "armed" in said["pricestreamd alerts explain high"] or "AAPL" in said["pricestreamd alerts explain high"]
    assert any('reason="not_positive"' in out for out in said.values())
    assert any("disconnected (reset)" in out for out in said.values())
    assert len(list(tmp_path.glob("copy-*.db"))) == 1


@pytest.mark.parametrize(
    ("scenario", "word"),
    [
        ("bad-key", "HTTP 401"),
        ("refuse:429", "HTTP 429"),
        ("redirect", "a redirect to"),
        ("nobody", "Connection refused"),
        ("no-name", "no address for"),
        ("slow-handshake", "in time"),
    ],
)
async def test_what_check_connect_says_is_what_the_page_explains(tmp_path: Path, scenario: str, word: str) -> None:
    assert f"`{word}`" in section("### It cannot connect").partition("\n### ")[0]
    url = {"nobody": "ws://127.0.0.1:9/x", "no-name": "wss://nowhere.invalid/x"}.get(scenario)
    async with Simulator("twelvedata", scenario=scenario if url is None else "steady") as simulator:
        text = config(simulator).replace("    reconnect:", "    connect_timeout: 1s\n    reconnect:")
        (tmp_path / "config.yaml").write_text(text.replace(simulator.url, url or simulator.url))
        arguments = ("check", tmp_path / "config.yaml", "--connect")
        ran = await command(tmp_path, *arguments, environ={"KEY": "any"}, timeout=30)
    assert ran.code == ExitCode.REFUSED
    assert word in ran.said


def test_the_page_names_what_the_commands_say() -> None:
    for word in get_args(ConnectionState):
        assert f"`{word}`" in section("## Monitoring")
    for word in (
        "not ready: state",
        *(f"sink NAME: {state}" for state in ("failing", "breaker open", "stopped", "unclaimed")),
    ):
        assert f"`{word}`" in section("## Monitoring")
    for word in ("mismatch", "record layer failure", "cannot use the certificates in"):
        assert f"`{word}`" in section("### TLS fails").partition("\n### ")[0]
    for word in get_args(SubscriptionState):
        assert f"`{word}`" in section("### Updates are missing")
