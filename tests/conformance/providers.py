"""Adapters and samples for the suites over all providers.

`samples/<name>.jsonl` has one frame a line: `what` it is, the `symbols` that are wanted, the `frame` itself, and the
`messages` that it stands for. Where they are needed: `terms`, what a configuration says beside feed and key (a
`description` among them), and `before`, frames that came earlier on the same connection.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import (
    Ack,
    Adapter,
    Farewell,
    Heartbeat,
    HttpRequest,
    Ignored,
    Message,
    Missed,
    ProviderFault,
    Rejected,
    Terms,
)
from pricestreamd.providers.catalogue import BUILT_IN, create
from pricestreamd.providers.description import Description

SAMPLES = Path(__file__).parent / "samples"
RECEIVED_AT = 1_700_000_100.25
KEY = "canary+key/1337"
NAMES: dict[type, str] = {
    Ack: "ack",
    Heartbeat: "heartbeat",
    Ignored: "ignored",
    Rejected: "rejected",
    ProviderFault: "fault",
    Missed: "missed",
    Farewell: "farewell",
}

Sample = dict[str, Any]


@cache
def load(name: str) -> list[Sample]:
    """The samples of provider `name`."""
    return [json.loads(line) for line in (SAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


ALL = [(name, sample) for name in BUILT_IN for sample in load(name)]
each_provider = pytest.mark.parametrize("name", BUILT_IN)
each_sample = pytest.mark.parametrize(
    ("name", "sample"), ALL, ids=[f"{name}: {sample['what']}" for name, sample in ALL]
)


def terms_of(sample: Mapping[str, Any], **more: Any) -> Terms:
    """What the configuration of a sample says, and `more`."""
    said = dict(sample.get("terms", {}))
    if "description" in said:
        described = dict(said["description"])
        if "headers" in described:
            described["headers"] = {name: Secret(text) for name, text in described["headers"].items()}
        if "on_open" in described:
            described["on_open"] = tuple(Secret(text) for text in described["on_open"])
        said["description"] = Description(**described)
    return Terms(feed="us", api_key=Secret(KEY), **said | more)


def adapter(name: str, *symbols: str, sample: Mapping[str, Any] | None = None, **terms: Any) -> Adapter:
    """An adapter that wants `symbols`, with the terms of `sample`, or of the provider's first."""
    made = create(name, terms_of(load(name)[0] if sample is None else sample, **terms))
    for symbol in symbols:
        made.symbols.add(symbol)
    return made


class Connection:
    """An adapter in use: where its provider is polled, every answer has its request."""

    def __init__(self, made: Adapter) -> None:
        self.adapter = made
        self._now = 0.0

    def hear(self, frame: bytes | str) -> Sequence[Message]:
        """What the adapter makes of the next frame."""
        if self.adapter.profile.transport == "poll":
            self._now += 100_000.0  # long enough for whatever it waits for
            assert isinstance(self.adapter.next_poll(self._now), HttpRequest | float)
        return self.adapter.decode(frame, RECEIVED_AT)

    def hear_all(self, frames: Iterable[bytes | str]) -> list[Message]:
        """What it makes of all of them."""
        return [message for frame in frames for message in self.hear(frame)]


def heard(name: str, sample: Sample, frame: bytes | str | None = None, made: Adapter | None = None) -> list[Message]:
    """What a new connection makes of the frame of a sample, or of another in its place."""
    connection = Connection(made or adapter(name, *sample["symbols"], sample=sample))
    connection.hear_all(sample.get("before", ()))
    return list(connection.hear(sample["frame"] if frame is None else frame))


def spelled_out(message: Message) -> dict[str, Any]:
    """A message as the samples write it."""
    if isinstance(message, Tick):
        fields = msgspec.structs.asdict(message)
        assert fields.pop("feed") == "us"
        assert fields.pop("received_at") == RECEIVED_AT
        assert fields.pop("late") is False
        return {"tick": fields}
    fields = json.loads(json.dumps(dataclasses.asdict(message)))
    if fields.get("retry_after", 0) is None:
        del fields["retry_after"]
    return {NAMES[type(message)]: fields}
