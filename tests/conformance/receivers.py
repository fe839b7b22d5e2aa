"""The cases of the sinks that lead to a program of somebody else's over HTTP: how to make, read, break and hang each."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.notify.sink import NotifySink
from pricestreamd.sinks.notify.templates import safe
from pricestreamd.sinks.settings import NotifySinkSettings, WebhookSinkSettings
from pricestreamd.sinks.webhook.sink import WebhookSink

ROOT = Path(__file__).parents[2]
Told = list[tuple[str, float, int]]


class _ReceiverCase:
    """A receiver in a process of its own, which keeps what it has accepted in a journal."""

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

    def bodies(self) -> list[Any]:
        return [json.loads(line)["body"] for line in self.journal.read_bytes().splitlines()]

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


class WebhookCase(_ReceiverCase):
    kind = "webhook"
    exactly_once = False

    def sink(self) -> Sink:
        url = Secret(f"http://127.0.0.1:{self.port}/hook")
        return WebhookSink("webhook", WebhookSinkSettings(url=url, allow_private=("127.0.0.0/8",)))

    def read(self) -> Told:
        return [(event["symbol"], event["price"], event["sequence"]) for event in self.bodies()]


class NotifyCase(_ReceiverCase):
    kind = "notify"
    exactly_once = True

    def sink(self) -> Sink:
        url = Secret(f"json://127.0.0.1:{self.port}/people")
        templates = {"price.update": "{symbol} {price} {sequence}"}
        return NotifySink("notify", NotifySinkSettings(urls=(url,), templates=templates, max_age=1e12))

    @staticmethod
    def as_read(symbol: str) -> str:
        """What a person is shown of it: nothing of it may be a command to a messenger."""
        return safe(symbol) or "-"

    def read(self) -> Told:
        found = [line.rsplit(" ", 2) for body in self.bodies() for line in body["message"].splitlines()]
        return [(symbol, float(price), int(sequence)) for symbol, price, sequence in found]
