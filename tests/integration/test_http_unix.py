"""A daemon on a unix socket, as one of several on a machine has it: the command line and curl find it by its path."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.simulator.server import Simulator
from tests.support.command import Ran, run
from tests.support.daemon import DaemonProcess


def config(url: str, socket: Path) -> str:
    return f"""
feeds:
  us: {{provider: twelvedata, api_key: any-key, endpoint: "{url}", symbols: [AAPL, MSFT], market_hours: always}}
http: {{listen: "unix:{socket}"}}
logging: {{format: json}}
"""


async def test_the_command_line_and_curl_work_over_it_and_find_the_token_beside_it(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    runtime = tmp_path / "run" / "price-stream-east"
    elsewhere = tmp_path / "elsewhere"
    runtime.mkdir(parents=True)
    elsewhere.mkdir()
    socket = runtime / "http.sock"
    address = f"unix:{socket}"

    async def command(*arguments: str, **environ: str) -> Ran:
        return await run(elsewhere, *arguments, environ=environ)

    async def curl(path: str, *arguments: str) -> tuple[int, Any]:
        process = await asyncio.create_subprocess_exec(
            *(
                "curl",
                "-sS",
                "--unix-socket",
                str(socket),
                "-w",
                "\n%{http_code}",
                f"http://localhost{path}",
                *arguments,
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        text, _, status = out.decode().rpartition("\n")
        return int(status), json.loads(text)

    async with Simulator("twelvedata", rate=100) as simulator:
        text = config(simulator.url, socket)
        async with DaemonProcess(tmp_path, text, RUNTIME_DIRECTORY=str(runtime)) as daemon:
            assert daemon.url == address
            assert socket.stat().st_mode & 0o777 == 0o660
            assert (runtime / "http-token").stat().st_mode & 0o777 == 0o600
            async with asyncio.timeout(10):
                while (await curl("/health"))[1]["status"] != "healthy":
                    await asyncio.sleep(0.05)
            # Named on the command line, in the environment, and by the configuration.
            ran = await command("symbols", "list", "--json", "--url", address)
            assert (ran.code, ran.err) == (0, "")
            assert [report["symbol"] for report in json.loads(ran.out)["symbols"]] == ["AAPL", "MSFT"]
            ran = await command("alerts", "add", "AAPL", "--name", "mine", "--above", "1", PRICESTREAM_URL=address)
            assert (ran.code, ran.err) == (0, "")
            ran = await command("alerts", "remove", "mine", "--config", str(daemon.config))
            assert (ran.code, ran.err) == (0, "")
            ran = await command("status", "--url", address)
            assert ran.code == 0
            assert "us" in ran.out
            # Who may not read the token may not change anything.
            status, problem = await curl("/api/v1/symbols?symbol=AAPL", "-X", "DELETE")
            assert status == 401
            assert "http-token" in problem["detail"]
            assert await daemon.stop() == 0
        assert not socket.exists()
        assert not (runtime / "http-token").exists()


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:9777", "example.org:9777"])
async def test_listening_beyond_this_machine_needs_a_token_or_client_certificates(tmp_path: Path, listen: str) -> None:
    text = f"feeds: {{us: {{provider: binance, symbols: [BTC/USD]}}}}\nhttp: {{listen: '{listen}'}}\n"
    async with DaemonProcess(tmp_path, text, ready=False) as daemon:
        assert await daemon.ended() == 78
    assert any("needs auth_token, auth_token_file or tls.client_ca_file" in line for line in daemon.log)
