"""Processes of the benchmark: the sender, a baseline receiver, and the daemon as it is run."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Sender:
    """The load generator; `go()` starts it."""

    def __init__(self, *, symbols: int = 100, frames: int, rate: float = 0) -> None:
        command = [sys.executable, "-m", "tests.bench.sender", "--symbols", str(symbols)]
        self.process = subprocess.Popen(
            [*command, "--frames", str(frames), "--rate", str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()


def receiver(kind: str, *, symbols: int = 100, frames: int, rate: float = 0) -> dict[str, float]:
    """Run a baseline to its end; what it measured."""
    with Sender(symbols=symbols, frames=frames, rate=rate) as sender:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.receivers", kind, str(sender.port), str(frames), str(symbols)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sender.go()
        result: dict[str, float] = json.loads(process.communicate(timeout=300)[0])
        return result


class Daemon:
    """`pricestreamd run` on a configuration, asked over HTTP."""

    def __init__(self, config: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "config.yaml"
        path.write_text(config)
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pricestreamd", "run", "--config", str(path)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "STATE_DIRECTORY": self.folder.name},
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"page and API on (http://[^/\s\"]+)", line):
                self.url = found[1]
                break
        else:
            raise RuntimeError("the daemon did not start")
        self.seconds_to_ready = time.monotonic() - begun

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)
        self.folder.cleanup()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text

    def metric(self, name: str) -> float:
        """The sum of a metric's series, from a scrape that is not a cached one."""
        time.sleep(1.05)
        rows = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self.get("/metrics"), re.MULTILINE)
        return sum(map(float, rows))

    @property
    def cpu(self) -> float:
        """Seconds of processor so far, from the system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def wait_live(self) -> None:
        deadline = time.monotonic() + 20
        while any(feed["state"] != "live" for feed in self.get("/api/v1/feeds").values()):
            assert time.monotonic() < deadline, self.get("/api/v1/feeds")
            time.sleep(0.05)

    def wait_updates(self, count: int) -> None:
        """Wait by the processor's clock, not by questions: each would cost what is measured."""
        deadline = time.monotonic() + 300
        used, still = self.cpu, 0
        while still < 5:
            time.sleep(0.1)
            still = still + 1 if self.cpu - used < 0.02 else 0
            used = self.cpu
            assert time.monotonic() < deadline
        received = self.get("/api/v1/stats")["updates_received"]
        assert received == count, f"{received} of {count} updates"


@contextmanager
def streaming(
    frames: int, *, symbols: int = 100, alerts: int = 2, firing: int = 0, more: str = ""
) -> Iterator[tuple[Daemon, Sender]]:
    """The daemon, live on the sender, before the first price.

    Each symbol has so many `alerts` that never fire; `firing` symbols have one more, which fires at every 20th price.
    """
    names = [f"SYM{at}" for at in range(symbols)]
    rules = [f"  - {{symbol: {name}, above: {10_000 + level}}}" for name in names for level in range(alerts)]
    rules += [f"  - {{symbol: SYM{at}, above: {(100 + at) * 1.001}}}" for at in range(firing)]
    with Sender(symbols=symbols, frames=frames) as sender:
        config = f"""
feeds:
  bench:
    provider: twelvedata
    api_key: ${{KEY:-bench-key}}
    endpoint: ws://127.0.0.1:{sender.port}/
    symbols: [{", ".join(names)}]
alerts:
{chr(10).join(rules) or "  []"}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""
        with Daemon(config) as daemon:
            daemon.wait_live()
            yield daemon, sender
