"""Sinks of installed distributions, from the file to the event: found by their type, read by their settings, run as ours."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pricestreamd.sinks.plugins import ENTRY_POINTS
from tests.support.distribution import install

PLUGIN = """
    from dataclasses import dataclass, field
    from pathlib import Path
    from typing import Literal
    from pricestreamd.model.secret import Secret
    from pricestreamd.sinks.settings import SinkSettings

    @dataclass(frozen=True, slots=True, kw_only=True)
    class AcmeSettings(SinkSettings):
        '''Prices onto the ticker tape of Acme.'''

        type: Literal["acme"] = "acme"
        '''acme'''
        tape: Path = field(metadata={"path": "written"})
        '''Where it is.'''
        key: Secret | None = field(default=None, metadata={"secret": "value"})
        '''Its key.'''
        events: tuple[str, ...] = field(default=("price.change",), metadata={"form": "event"})
        '''Events it gets.'''

    class Acme:
        settings = AcmeSettings
        carries = ("*",)
        most_at_once = 100
        concurrent = 1

        def __init__(self, name, settings):
            self.name, self.own = name, settings

        async def open(self):
            pass

        async def deliver(self, batch):
            with self.own.tape.open("a") as tape:
                tape.writelines(f"{event.symbol} {event.price}\\n" for event in batch)

        async def close(self):
            pass
"""
ROOT = Path(__file__).parents[2]
FEED = "feeds: {us: {provider: twelvedata, api_key: '${K}', symbols: [AAPL], market_hours: always}}\n"


def acme(folder: Path, code: str = PLUGIN, value: str = "acme_sink:Acme") -> None:
    install(folder, "acme", value, group=ENTRY_POINTS, acme_sink=textwrap.dedent(code))


def pricestreamd(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(folder), "K": "k", "STATE_DIRECTORY": str(folder / "state")}
    command = [sys.executable, "-m", "pricestreamd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=60)


def checked(folder: Path, sink: str) -> subprocess.CompletedProcess[str]:
    config = folder / "c.yaml"
    config.write_text(f"{FEED}sinks: {{tape: {sink}}}\n")
    return pricestreamd(folder, "check", "--config", str(config), "--json")


def test_a_distribution_brings_a_sink_and_its_settings(tmp_path: Path) -> None:
    acme(tmp_path)
    done = checked(tmp_path, "{type: acme, tape: out.tape, symbols: [AAPL], durable: true, key: '${K}'}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sinks"]["tape"]["type"] == "acme"


def test_what_is_wrong_with_its_settings_is_told_with_its_place(tmp_path: Path) -> None:
    acme(tmp_path)
    done = checked(tmp_path, "{type: acme, tapes: x, min_severity: loud}")
    assert done.returncode == 78
    assert "c.yaml:2:28: sinks.tape.tapes: unknown key; did you mean 'tape'?" in done.stderr
    assert "sinks.tape.min_severity: expected info, warning or critical" in done.stderr


def test_the_schema_for_editors_has_its_settings(tmp_path: Path) -> None:
    acme(tmp_path)
    done = pricestreamd(tmp_path, "schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    assert schema["$defs"]["Acme"]["properties"]["tape"]["description"] == "Where it is."
    validator = Draft202012Validator(schema)

    def faults(**tape: object) -> list[str]:
        feeds = {"us": {"provider": "iex", "symbols": ["AAPL"]}}
        return [fault.message for fault in validator.iter_errors({"feeds": feeds, "sinks": {"tape": tape}})]

    assert faults(type="acme", tape="x", durable=True) == []
    assert faults(type="acme", tapes="x")
    assert faults(type="acne", tape="x")


def test_events_reach_it(tmp_path: Path) -> None:
    acme(tmp_path)
    (tmp_path / "state").mkdir()
    config, ticks = tmp_path / "c.yaml", tmp_path / "ticks.csv"
    config.write_text(f"{FEED}sinks: {{tape: {{type: acme, tape: out.tape}}}}\n")
    ticks.write_text("timestamp,symbol,price\n1700000000,AAPL,200\n1700000001,AAPL,210\n1700000002,AAPL,190.5\n")
    done = pricestreamd(tmp_path, "replay", str(ticks), "--config", str(config), "--with-sinks")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "state" / "out.tape").read_text() == "AAPL 210.0\nAAPL 190.5\n"


@pytest.mark.parametrize(
    ("code", "value", "said"),
    [
        ("import nowhere_to_be_found", "acme_sink:Acme", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("import nowhere_to_be_found", "acme_sink:Acme", "installed while a daemon ran it finds after its next start"),
        ("raise RuntimeError('no licence')", "acme_sink:Acme", "RuntimeError: no licence"),
        ("raise SystemExit(3)", "acme_sink:Acme", "SystemExit: 3"),
        ("x = 1", "acme_sink:Acme", "has no attribute 'Acme'"),
        ("class Acme: pass", "acme_sink:Acme", "settings is no dataclass derived from SinkSettings"),
        (
            PLUGIN.replace('Literal["acme"]', 'Literal["other"]'),
            "acme_sink:Acme",
            "the field type of acme_sink:Acme.settings is not Literal['acme']",
        ),
        (PLUGIN.replace("async def deliver", "async def send"), "acme_sink:Acme", "acme_sink:Acme lacks deliver"),
        (
            PLUGIN.replace("key: Secret | None", "key: complex | None"),
            "acme_sink:Acme",
            "its settings have a type that cannot be read from a file: <class 'complex'>",
        ),
    ],
)
def test_one_that_cannot_be_used_is_told_of_by_its_distribution_and_its_place(
    tmp_path: Path, code: str, value: str, said: str
) -> None:
    acme(tmp_path, code, value)
    done = checked(tmp_path, "{type: acme, tape: out.tape}")
    assert done.returncode == 78
    (line,) = [line for line in done.stderr.splitlines() if "sinks.tape" in line]
    assert "c.yaml:2:22: sinks.tape.type: sink type 'acme' of the distribution acme-acme 1.0 cannot be used: " in line
    assert said in line
    # The schema has the others.
    schema = pricestreamd(tmp_path, "schema")
    assert schema.returncode == 0
    assert said in schema.stderr
    assert schema.stdout == (ROOT / "config" / "schema.json").read_text()


def test_a_type_that_nobody_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    done = checked(tmp_path, "{type: acme, tape: out.tape}")
    assert done.returncode == 78
    assert "sinks.tape.type: expected log, file, sqlite," in done.stderr


def test_no_distribution_stands_in_for_one_of_ours(tmp_path: Path) -> None:
    install(tmp_path, "file", "acme_sink:Acme", group=ENTRY_POINTS, acme_sink="raise SystemExit('imported')")
    done = checked(tmp_path, "{type: file, path: events.jsonl}")
    assert done.returncode == 0, done.stderr
