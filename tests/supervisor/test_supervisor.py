"""The shipped file under a real supervisor: start, reload, stop, and what is started again and what is not.

Of `deploy/supervisor/price-stream.conf` only the paths and the user are replaced.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp

from pricestreamd.simulator.server import Simulator
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "supervisor" / "price-stream.conf"
BIN = Path(sys.executable).parent

# What the loop may stand still in these tests, in seconds; in the environment of supervisor, so of its programs, too.
PATIENCE = 2

HOOKS = """\
import pathlib, time

def hang(event):
    wish = pathlib.Path(__file__).with_name("hang")
    if wish.exists():
        wish.unlink()
        time.sleep(600)
"""

MAIN = """
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
[include]
files={folder}/conf.d/*.conf
"""


def config(endpoint: str, folder: Path, *symbols: str, more: str = "") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {endpoint}
    symbols: {json.dumps(symbols)}
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
http: {{listen: "127.0.0.1:0"}}
sinks: {{events: {{type: file, path: events.jsonl}}}}
plugin_paths: ['{folder}']
listeners: [{{event: price.update, call: "hanging_hooks:hang"}}]
{more}
"""


class Supervisor:
    """supervisord with the shipped program, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.log = folder / "price-stream.log"

    async def __aenter__(self) -> Self:
        state, parts = self.folder / "state", self.folder / "conf.d"
        state.mkdir()
        parts.mkdir()
        text = SHIPPED.read_text()
        for shipped, ours in {
            "/opt/price-stream/current/bin/pricestreamd": str(BIN / "pricestreamd"),
            "/etc/price-stream/config.yaml": str(self.config),
            "/var/lib/price-stream": str(state),
            "/var/log/price-stream.log": str(self.log),
            "user=price-stream": f"user={pwd.getpwuid(os.getuid()).pw_name}",
        }.items():
            assert shipped in text
            text = text.replace(shipped, ours)
        (parts / "price-stream.conf").write_text(text.replace("autostart=true", "autostart=false"))
        (self.folder / "hanging_hooks.py").write_text(HOOKS)
        self.main = self.folder / "supervisord.conf"
        self.main.write_text(MAIN.format(folder=self.folder))
        environ = {key: value for key, value in os.environ.items() if key not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
        self._process = await asyncio.create_subprocess_exec(
            *(str(BIN / "supervisord"), "-n", "-s", "-c", str(self.main)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**environ, "KEY": "good-key", "PRICESTREAM_WATCHDOG_SECONDS": str(PATIENCE)},
        )
        await eventually((self.folder / "s.sock").exists, 20)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._process.terminate()
        await asyncio.wait_for(self._process.wait(), 30)

    async def ctl(self, *words: str) -> tuple[int, str]:
        """What `supervisorctl` answers: its exit code and text."""
        asked = await asyncio.create_subprocess_exec(
            *(str(BIN / "supervisorctl"), "-c", str(self.main), *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(asked.communicate(), 40)
        assert asked.returncode is not None
        return asked.returncode, out.decode().strip()

    async def pid(self) -> int:
        _, answer = await self.ctl("pid", "price-stream")
        return int(answer)

    @property
    def told(self) -> str:
        """What the daemon has written."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def happened(self) -> str:
        """What supervisor has written."""
        return (self.folder / "supervisord.log").read_text()

    @property
    def starts(self) -> int:
        """How often the daemon was started."""
        return self.happened.count("spawned: 'price-stream'")

    @property
    def ready(self) -> int:
        """How often it was ready."""
        return self.told.count("ready: page and API on")

    async def symbols(self) -> set[str]:
        """Those with a price, as the daemon that runs now says."""
        url = re.findall(r"page and API on (http://[\d.:]+)", self.told)[-1]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/prices") as answer:
            return set(await answer.json())

    async def until_priced(self, *symbols: str) -> None:
        """Return when exactly these have prices."""
        async with asyncio.timeout(15):
            while await self.symbols() != set(symbols):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def started(folder: Path, simulator: Simulator) -> AsyncIterator[Supervisor]:
    async with Supervisor(folder) as supervisor:
        supervisor.config.write_text(config(simulator.url, folder, "AAPL"))
        assert await supervisor.ctl("start", "price-stream") == (0, "price-stream: started")
        await eventually(lambda: supervisor.ready == 1, 20)
        await supervisor.until_priced("AAPL")
        yield supervisor


async def test_the_life_of_a_daemon_under_supervisor(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200, api_key="good-key") as simulator:
        async with started(tmp_path, simulator) as supervisor:
            code, status = await supervisor.ctl("status", "price-stream")
            assert (code, status.split()[:2]) == (0, ["price-stream", "RUNNING"])
            pid = await supervisor.pid()

            # Reload, good and bad.
            supervisor.config.write_text(config(simulator.url, tmp_path, "AAPL", "MSFT"))
            assert (await supervisor.ctl("signal", "HUP", "price-stream"))[0] == 0
            await supervisor.until_priced("AAPL", "MSFT")
            supervisor.config.write_text(config(simulator.url, tmp_path, "TSLA", more="strem: {}"))
            assert (await supervisor.ctl("signal", "HUP", "price-stream"))[0] == 0
            await eventually(lambda: "did you mean 'stream'" in supervisor.told)
            assert await supervisor.symbols() == {"AAPL", "MSFT"}
            assert await supervisor.pid() == pid
            assert simulator.connects == 1

            # Stop: everything delivered, a goodbye to the provider, exit code 0.
            supervisor.config.write_text(config(simulator.url, tmp_path, "AAPL"))
            assert await supervisor.ctl("stop", "price-stream") == (0, "price-stream: stopped")
            assert "stopped: price-stream (exit status 0)" in supervisor.happened
            assert "stopping: closing connections" in supervisor.told
            events = [json.loads(line) for line in (tmp_path / "state" / "events.jsonl").read_text().splitlines()]
            sequences = [event["sequence"] for event in events if event["event"] == "price.update"]
            assert sequences == list(range(1, len(sequences) + 1))
            code, status = await supervisor.ctl("status", "price-stream")
            assert (code, status.split()[1]) == (3, "STOPPED")


async def test_a_daemon_that_dies_or_hangs_is_started_again(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200, api_key="good-key") as simulator:
        async with started(tmp_path, simulator) as supervisor:
            os.kill(await supervisor.pid(), signal.SIGKILL)
            await eventually(lambda: supervisor.ready == 2, 20)
            assert "terminated by SIGKILL; not expected" in supervisor.happened
            await supervisor.until_priced("AAPL")

            # Stopped and continued it is the same one.
            pid = await supervisor.pid()
            os.kill(pid, signal.SIGSTOP)
            state = Path(f"/proc/{pid}/stat")
            await eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
            await asyncio.sleep(PATIENCE + 1)  # longer than its loop may stand still: that time must pass
            os.kill(pid, signal.SIGCONT)
            await supervisor.until_priced("AAPL")

            (tmp_path / "hang").touch()
            await eventually(lambda: supervisor.ready == 3, 20)
            assert f"no sign of life from the event loop for {PATIENCE} s: aborting" in supervisor.told
            assert re.search(r'hanging_hooks.py", line 7 in hang', supervisor.told)
            assert "terminated by SIGABRT" in supervisor.happened
            assert supervisor.starts == 3
            await supervisor.until_priced("AAPL")
            assert await supervisor.pid() != pid


async def test_a_refused_key_and_a_wrong_configuration_are_not_started_again(tmp_path: Path) -> None:
    async with Simulator("twelvedata", api_key="another-key") as simulator, Supervisor(tmp_path) as supervisor:
        supervisor.config.write_text(config(simulator.url, tmp_path, "AAPL"))
        await supervisor.ctl("start", "price-stream")
        await eventually(lambda: "exited: price-stream (exit status 69; expected)" in supervisor.happened, 20)
        supervisor.config.write_text("feeds: {us: {provider: twelvdata}}")
        # What it would start again it starts within a second; this takes as long, and is a start more.
        code, status = await supervisor.ctl("status", "price-stream")
        assert (code, status.split()[1]) == (3, "EXITED")
        await supervisor.ctl("start", "price-stream")
        await eventually(lambda: "exited: price-stream (exit status 78; expected)" in supervisor.happened, 20)
        assert "did you mean 'twelvedata'" in supervisor.told
        looked = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - looked < 1.5:
            code, status = await supervisor.ctl("status", "price-stream")
            assert (code, status.split()[1]) == (3, "EXITED")
        assert supervisor.starts == 2
    assert "another-key" not in supervisor.told
