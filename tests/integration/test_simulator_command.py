"""`pricestreamd simulate`: what it prints leads to configurations that work, and what it is told it does."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pricestreamd.cli.main import main
from pricestreamd.config.load import load
from pricestreamd.simulator.generic import CONFIGURATION
from pricestreamd.simulator.scenarios import rows
from tests.unit.simulator.clients import connected, end_of, fetched, said


class Running:
    """The command as a process: the lines of its standard output so far, and its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.errors = b""

    async def lines(self, count: int) -> list[str]:
        assert self._process.stdout is not None
        return [(await asyncio.wait_for(self._process.stdout.readline(), 20)).decode() for _ in range(count)]

    async def stop(self) -> str:
        """What it says at last."""
        self._process.send_signal(signal.SIGTERM)
        out, self.errors = await asyncio.wait_for(self._process.communicate(), 20)
        assert self._process.returncode == 0
        return out.decode()


@asynccontextmanager
async def simulate(*arguments: str) -> AsyncIterator[Running]:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "pricestreamd", "simulate", "--listen", "127.0.0.1:0", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_for_every_provider_it_prints_what_a_configuration_needs(tmp_path: Path) -> None:
    symbols = {"twelvedata": "AAPL", "binance": "BTCUSDT", "iex": "SPY", "alphavantage": "IBM"}
    async with simulate("--provider", "all") as running:
        text = "feeds:\n"
        for name, symbol in symbols.items():
            title, provider, endpoint = await running.lines(3)
            assert title.startswith(f"{name} simulated at ")
            text += f"  {name}:\n{provider}{endpoint}    api_key: ${{KEY}}\n    symbols: [{symbol}]\n"
        path = tmp_path / "config.yaml"
        path.write_text(text)
        assert set(load(path, environ={"KEY": "k" * 20}).settings.feeds) == set(symbols)
        (title,) = await running.lines(1)
        assert title.startswith("generic simulated at ws://127.0.0.1:")
        generic = tmp_path / "generic.yaml"
        generic.write_text("".join(await running.lines(len(CONFIGURATION.splitlines()))))
        (feed,) = load(generic, environ={}).settings.feeds.values()
        assert feed.endpoint is not None
        async with connected(feed.endpoint) as client:
            await client.send_str('{"op":"ping"}')
            assert await said(client) == {"type": "pong"}
        assert await running.stop() == "sent 0 prices over 1 connection\n"


async def test_it_says_how_many_prices_were_asked_for_and_who_came_if_it_is_asked_to() -> None:
    async with simulate("--provider", "alphavantage,generic", "--verbose", "--scenario", "drop:100ms") as running:
        alphavantage = (await running.lines(3))[2].split()[-1]
        generic = (await running.lines(1))[0].split()[3]
        await running.lines(len(CONFIGURATION.splitlines()))
        await fetched(alphavantage, function="GLOBAL_QUOTE", symbol="IBM", apikey="s3cret-key")
        async with connected(generic, headers={"X-API-Key": "s3cret-key"}) as client:
            await end_of(client)
        assert await running.stop() == "sent 0 prices over 1 connection, answered for 1 price\n"
        told = running.errors.decode().splitlines()
    assert told[0] == "connection 1 opened, 1 open"
    assert told[-1].startswith("connection 1 ended (eof) after 0.")
    assert not any("s3cret" in line for line in told)


async def test_limits_scenarios_seeds_and_rates_are_those_of_the_command_line() -> None:
    options = (
        "--limit",
        "requests-per-day=2",
        "--limit",
        "requests-per-minute=none",
        "--rates",
        "poisson",
        "--seed",
        "4",
    )
    async with simulate("--provider", "alphavantage", "--scenario", "extra-keys", *options) as running:
        url = (await running.lines(3))[2].split()[-1]
        bodies = [(await fetched(url, function="GLOBAL_QUOTE", symbol="IBM", apikey="k"))[1] for _ in range(3)]
        assert ["Global Quote" in body for body in bodies] == [True, True, False]
        assert json.loads(bodies[0])["Global Quote"]["_v"] == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scenario", "drop+reset"], "the scenarios drop and reset cannot be combined: both set 'ends after'"),
        (["--scenario", "mute+drip"], "no scenario 'drip'; did you mean 'drop'?"),
        (["--scenario", "drop:soon"], "the scenario drop takes a duration such as 30s, got 'soon'"),
        (["--provider", "twelvedata,binanse"], "no simulator of provider 'binanse'; did you mean 'binance'?"),
        (["--limit", "symbols=5"], "no limit 'symbols'; did you mean 'max-symbols'?"),
        (["--limit", "qwertz=5"], "no limit 'qwertz'; there is connections-per-key, connects"),
        (["--limit", "max-symbols=many"], "max-symbols: expected none or a number above 0, got 'many'"),
        (["--limit", "max-symbols"], "max-symbols: expected none or a number above 0, got ''"),
        (["--rates", "uneven"], "invalid choice: 'uneven'"),
        (["--rate", "0"], "expected max or a number above 0, got '0'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["simulate", *arguments])
    assert caught.value.code == 64
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


def test_the_list_for_programs_is_the_one_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--list-scenarios", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == rows()
    assert main(["simulate", "--list-scenarios"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for row, line in zip(listed, lines, strict=True):
        assert line.split() == [
            *filter(None, (row["name"], row.get("group"), row.get("value"))),
            *row["summary"].split(),
        ]
