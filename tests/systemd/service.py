"""A unit of ours in a booted machine, and the simulator that it connects to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.support.booted import Machine

ETC = Path("/etc/price-stream")
PROGRAM = "/opt/price-stream/current/bin/pricestreamd"
SIMULATOR_PORT = 9778
# Seconds. The real one is 30; a loop that turns pings three times as often.
WATCHDOG_SECONDS = 2
FEED = """\
feeds:
  stocks:
    provider: twelvedata
    {key}
    endpoint: ws://127.0.0.1:{port}/v1/quotes/price
    symbols: {symbols}
    market_hours: always
    reconnect: {{initial_delay: 100ms, max_delay: 500ms}}
"""


def feed(*, port: int = SIMULATOR_PORT, symbols: str = "[AAPL, MSFT]", key: str = "api_key: no-key-needed") -> str:
    """The configuration of one feed from a simulator."""
    return FEED.format(port=port, symbols=symbols, key=key)


def simulator(machine: Machine, port: int = SIMULATOR_PORT, *arguments: str, host: str = "127.0.0.1") -> str:
    """Start one inside; the name of its unit."""
    unit = f"simulator-{port}.service"
    command = (PROGRAM, "simulate", "--listen", f"{host}:{port}", "--rate", "100", *arguments)
    machine.run("systemd-run", f"--unit={unit}", "--collect", "--quiet", *command)
    return unit


class Service:
    """One unit. `name`: of an instance; without it `price-stream.service`."""

    def __init__(self, machine: Machine, name: str | None = None) -> None:
        self.machine = machine
        self.unit = "price-stream.service" if name is None else f"price-stream@{name}.service"
        self.config = ETC / ("config.yaml" if name is None else f"{name}.yaml")
        self.runtime = Path("/run") / ("price-stream" if name is None else f"price-stream-{name}")
        self._drop_ins = machine.root / f"etc/systemd/system/{self.unit}.d"
        self._cursor = machine.cursor()
        watched = f"WatchdogSec={WATCHDOG_SECONDS}\nRestartSec=200ms\n"
        self.drop_in("watchdog", f"[Service]\n{watched}")

    def configure(self, text: str) -> None:
        """Write its configuration, as the document says: for root and its group only."""
        path = self.machine.root / self.config.relative_to("/")
        path.write_text(text)
        path.chmod(0o640)
        self.machine.run("chgrp", "price-stream", self.config)

    def drop_in(self, name: str, text: str) -> None:
        """Change the unit."""
        self._drop_ins.mkdir(parents=True, exist_ok=True)
        (self._drop_ins / f"{name}.conf").write_text(text)
        self.machine.run("systemctl", "daemon-reload")

    def ask(self, verb: str, *, check: bool = True) -> int:
        """`systemctl VERB`; its exit code."""
        return self.machine.run("systemctl", verb, self.unit, check=check).returncode

    def started(self, config: str) -> int:
        """Configure and start it, and wait until prices come; its main process."""
        self.configure(config)
        self.ask("start")
        return self.live()

    def live(self, *, other_than: int = 0) -> int:
        """Wait until it runs and prices come; the main process, which is not `other_than`."""

        def look() -> int:
            state = self.show("ActiveState", "MainPID", "StatusText")
            there = state["ActiveState"] == "active" and "1/1" in state["StatusText"]
            return int(state["MainPID"]) if there and int(state["MainPID"]) != other_than else 0

        try:
            pid = self.machine.until(look, 25)
        except AssertionError as exc:
            told = [str(self.show("ActiveState", "StatusText", "Result")), *self.messages()[-15:]]
            raise AssertionError(f"{self.unit} is not live:\n" + "\n".join(told)) from exc
        # To signal 0 or 1 would be to signal somebody else.
        assert pid > 1
        return pid

    def show(self, *properties: str) -> dict[str, str]:
        """Properties, all of one moment."""
        return self.machine.show(self.unit, *properties)

    def ended(self, timeout: float = 15) -> dict[str, str]:
        """Wait until it has failed for good; how."""
        self.machine.until(lambda: self.show("ActiveState")["ActiveState"] == "failed", timeout, "it goes on")
        return self.show("Result", "ExecMainStatus", "NRestarts")

    def journal(self) -> list[dict[str, Any]]:
        """What it has said in this test."""
        self.machine.run("journalctl", "--sync")
        return self.machine.journal(self.unit, self._cursor)

    def messages(self) -> list[str]:
        """The sentences of its log, and whatever else it printed."""
        return [_sentence(entry) for entry in self.journal()]

    def said(self, text: str, timeout: float = 15) -> None:
        """Wait until a line holds `text`."""
        self.machine.until(lambda: any(text in line for line in self.messages()), timeout, f"said: {text}")

    def told(self, *command: str) -> Any:
        """What a command of ours gets from the daemon, as JSON."""
        done = self.machine.run(PROGRAM, *command, "--json", "--config", self.config)
        return json.loads(done.stdout)

    def close(self) -> None:
        """Stop it, and forget what it was."""
        self.machine.run("systemctl", "stop", self.unit, check=False)
        self.machine.run("systemctl", "reset-failed", self.unit, check=False)
        shutil.rmtree(self._drop_ins)
        for kind in ("lib", "run"):
            name = self.runtime.name
            shutil.rmtree(self.machine.root / ("var/lib" if kind == "lib" else "run") / name, ignore_errors=True)
        self.machine.run("systemctl", "daemon-reload")


def _sentence(entry: dict[str, Any]) -> str:
    text = str(entry["MESSAGE"])
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return text
