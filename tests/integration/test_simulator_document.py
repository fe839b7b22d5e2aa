"""What docs/simulator.md says is so: its list of scenarios, its configurations, its program, its options."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pricestreamd.config.load import load
from pricestreamd.providers.base import Terms
from pricestreamd.providers.catalogue import create
from pricestreamd.providers.description import Description
from pricestreamd.simulator.dialects import dialect_names
from pricestreamd.simulator.scenarios import find_scenario, rows
from pricestreamd.simulator.server import Simulator
from tests.unit.simulator.clients import connected, said, streaming

TEXT = (Path(__file__).parents[2] / "docs/simulator.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
(PROGRAM,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(TABLE,) = re.findall(r"<!-- table: .*?-->\n.*?\n.*?\n(.*?)\n<!-- /table -->", TEXT, re.DOTALL)


def test_the_table_has_every_scenario_with_its_value_and_what_it_does() -> None:
    told = [f"| `{row['name']}` | {_code(row.get('value'))} | {row['summary']} |" for row in rows()]
    assert TABLE.splitlines() == told


def _code(value: str | None) -> str:
    return "" if value is None else f"`{value}`"


def test_every_scenario_that_the_text_names_is_one() -> None:
    prove = TEXT.partition("## Prove a configuration")[2].partition("## Scenarios")[0]
    cells = [line.split("|")[2] for line in prove.splitlines() if line.startswith("| ") and "`" in line]
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(named) > 20
    for name in [*named, "drop:5s+reject-some+extra-keys", "lifetime:5m"]:
        assert find_scenario(name).name == name
        assert name in TEXT


@pytest.mark.parametrize("number", range(len(YAML)))
def test_every_configuration_of_the_text_is_a_good_one(number: int, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(YAML[number])
    loaded = load(path, environ={})
    assert loaded.settings.feeds
    assert loaded.warnings == ()


def test_the_addresses_of_the_text_are_those_of_the_simulator() -> None:
    async def addresses() -> dict[str, str]:
        async with Simulator(dialect_names()) as sim:
            return {name: sim.url_of(name).replace(str(sim.port), "9778") for name in dialect_names()}

    for address in asyncio.run(addresses()).values():
        assert f"endpoint: {address}\n" in TEXT
    for name in dialect_names():
        assert f"| `{name}` |" in TEXT


async def test_the_program_of_the_text_proves_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "document"}
    exec(compile(PROGRAM, "docs/simulator.md", "exec"), namespace)
    await namespace["main"]()  # type: ignore[operator] # a coroutine function
    assert re.search(r"\d\d+ ticks over 2 connections, each received once", capsys.readouterr().out)


def test_the_options_of_the_text_are_those_of_the_command() -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "pricestreamd", "simulate", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in re.findall(r"^\| `(--[\w-]+)` \|", TEXT, re.MULTILINE):
        assert option in helped
    assert "--list-scenarios" in helped


async def test_the_generic_conversation_of_the_text_is_what_is_said() -> None:
    (block,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    lines = [line.split("     ")[0] for line in block.splitlines()]
    async with Simulator("generic", rate=100) as sim, connected(sim.url) as client:
        await client.send_str(lines[0][2:])
        assert [line for line in lines if '"subscribed"' in line] == [f"< {_compact(await said(client))}"]
        assert set((await said(client))["data"][0]) == {"symbol", "price", "size", "time"}
        await client.send_str('{"op":"ping"}')
        answer = await said(client)
        while answer["type"] == "trades":
            answer = await said(client)
        assert f"< {_compact(answer)}" in lines


def _compact(value: object) -> str:
    import json

    return json.dumps(value, separators=(",", ":"))


async def test_the_generic_configurations_of_the_text_read_what_the_simulator_sends(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / f"{number}.yaml"
        path.write_text(YAML[number])
        (feed,) = load(path, environ={}).settings.feeds.values()
        fields = ("match", "items", "symbol", "price", "volume", "timestamp", "time_unit", "transport")
        description = Description(**{name: getattr(feed, name) for name in fields})
        adapter = create("generic", Terms(description=description))
        adapter.symbols.add("AAPL")
        async with Simulator("generic", rate=100) as sim:
            async with streaming(sim.http_url + "/generic/events", symbols="AAPL") as stream:
                (tick,) = adapter.decode(await stream.event(), 1.0)
                assert (tick.symbol, tick.volume) == ("AAPL", pytest.approx(tick.volume))  # type: ignore[union-attr] # a tick
