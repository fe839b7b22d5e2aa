"""The case of the sink that tells people: how to make, read, break and hang it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.notify import NotifySink
from pricestreamd.sinks.notify_templates import safe
from pricestreamd.sinks.settings import NotifySinkSettings

ROOT = Path(__file__).parents[2]
Told = list[tuple[str, float, int]]


class NotifyCase:
    kind = "notify"
    exactly_once = True

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal.jsonl"
        self.journal.touch()
        self.port = 0
        self.start()

    def start(self) -> None:
        receiver = [sys.executable, "-m", "tests.support.receiver"]
        command = [*receiver, "--port", str(self.port), "--journal", str(self.journal)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def sink(self) -> Sink:
        url = Secret(f"json://127.0.0.1:{self.port}/people")
        templates = {"price.update": "{symbol} {price} {sequence}"}
        return NotifySink("notify", NotifySinkSettings(urls=(url,), templates=templates, max_age=1e12))

    @staticmethod
    def as_read(symbol: str) -> str:
        """What a person is shown of it: nothing of it may be a command to a messenger."""
        return safe(symbol) or "-"

    def read(self) -> Told:
        messages = [json.loads(line)["body"]["message"] for line in self.journal.read_text().splitlines()]
        found = [line.rsplit(" ", 2) for message in messages for line in message.splitlines()]
        return [(symbol, float(price), int(sequence)) for symbol, price, sequence in found]

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        self.end()
        yield
        self.start()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[Callable[[], object]]:
        self.process.send_signal(signal.SIGSTOP)
        yield lambda: self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGCONT)
