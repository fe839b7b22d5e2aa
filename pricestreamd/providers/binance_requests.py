"""Binance's requests and the answers to them, told apart by their `id`.

A request is answered as a whole, and not who is to blame for a refusal: one malformed name of a stream spoils all the
others of its request. So the symbols of a refused request are asked for one by one, and then there is only one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from pricestreamd.providers.base import Ack, FaultKind, Ignored, Message, ProviderFault, Request
from pricestreamd.providers.complaints import bounded, kind_of

COMPLAINTS = (
    (re.compile(r"(?i)too many (?:subscriptions|streams)"), FaultKind.OVER_CAP),
    (re.compile(r"(?i)too many connections"), FaultKind.CONNECTION_LIMIT),
    (re.compile(r"(?i)too many (?:requests|messages)|too much request|rate limit|banned"), FaultKind.RATE_LIMITED),
)
"""What its words mean; few of them are documented."""

_TOO_MANY_SUBSCRIPTIONS = 4
# Requests whose answer is outstanding. The oldest give way: requests that the pace holds back are never sent.
_MAX_OUTSTANDING = 1024
# Bytes of a request around its list, and room to spare.
_FRAME = 100


class _Asked(NamedTuple):
    """A request without an answer yet. `forgotten`: its symbols of which nothing more was wanted."""

    method: Literal["SUBSCRIBE", "UNSUBSCRIBE"]
    symbols: tuple[str, ...]
    forgotten: tuple[str, ...] = ()


class Conversation:
    """The requests of one connection. `stream_of`: the stream of a symbol; `room`: bytes that a request may have."""

    def __init__(self, stream_of: Callable[[str], str], room: int) -> None:
        self._stream_of = stream_of
        self._room = room - _FRAME
        self._outstanding: dict[int, _Asked] = {}
        self._last_id = 0
        self._suspects: set[str] = set()

    def subscribe(self, symbols: Sequence[str]) -> list[Request]:
        """Many streams in a request; those under suspicion each by itself."""
        suspects = [symbol for symbol in symbols if symbol in self._suspects]
        batches = self._batches([symbol for symbol in symbols if symbol not in self._suspects])
        return [self._request(_Asked("SUBSCRIBE", tuple(batch))) for batch in (*batches, *([one] for one in suspects))]

    def unsubscribe(self, symbols: Sequence[str], unwanted: Callable[[str], bool]) -> list[Request]:
        """As `subscribe`. `unwanted`: whether nothing more is wanted of a symbol, as far as is known now."""
        return [
            self._request(_Asked("UNSUBSCRIBE", tuple(batch), tuple(filter(unwanted, batch))))
            for batch in self._batches(symbols)
        ]

    def answer(self, value: dict[str, Any]) -> tuple[Sequence[Message], tuple[str, ...]]:
        """What an answer says, and the symbols that were to be forgotten and are now certainly silent."""
        number = value.get("id")
        asked = self._outstanding.pop(number, None) if isinstance(number, int) else None
        if "result" not in value:
            return self._refused(value.get("error", value), asked), ()
        if value["result"] is not None:
            return (Ignored("result"),), ()
        if asked is None:
            return (Ack(),), ()
        if asked.method == "UNSUBSCRIBE":
            return (Ack(unsubscribed=asked.symbols),), asked.forgotten
        self._suspects.difference_update(asked.symbols)
        return (Ack(subscribed=asked.symbols),), ()

    def _refused(self, error: object, asked: _Asked | None) -> Sequence[Message]:
        fault = _fault(error)
        if asked is None or asked.method == "UNSUBSCRIBE":
            return (fault,)
        if fault.kind is not FaultKind.TRANSIENT:
            return (Ack(), fault)
        if len(asked.symbols) > 1:
            self._suspects.update(asked.symbols)
            return (Ack(), fault)
        return (Ack(rejected=dict.fromkeys(asked.symbols, fault.message)), fault)

    def _request(self, asked: _Asked) -> Request:
        self._last_id += 1
        if len(self._outstanding) >= _MAX_OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]
        self._outstanding[self._last_id] = asked
        streams = [self._stream_of(symbol) for symbol in asked.symbols]
        message = {"method": asked.method, "params": streams, "id": self._last_id}
        return Request(msgspec.json.encode(message).decode(), asked.symbols)

    def _batches(self, symbols: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        size = 0
        for symbol in symbols:
            length = len(msgspec.json.encode(self._stream_of(symbol))) + 1
            if batch and size + length > self._room:
                yield batch
                batch, size = [], 0
            batch.append(symbol)
            size += length
        if batch:
            yield batch


def _fault(error: object) -> ProviderFault:
    found = error if isinstance(error, dict) else {}
    message = found.get("msg", error)
    text = message if isinstance(message, str) and message else "an error without a text"
    kind = FaultKind.OVER_CAP if found.get("code") == _TOO_MANY_SUBSCRIPTIONS else kind_of(text, COMPLAINTS)
    return ProviderFault(kind, bounded(text))
