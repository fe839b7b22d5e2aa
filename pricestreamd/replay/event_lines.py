"""Events as JSON Lines, fast: the same bytes as `model.events.to_json`, in half the time.

The record's own encoding is the wire form but for its head:

    {"run":"replay","number":7,          "timestamp":...   what msgspec makes of a record
    {"event":"price.update","id":"replay-7","timestamp":...   what goes on the wire

so the head is exchanged and the rest taken over. A class that writes its own mapping goes through `to_json`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pricestreamd.model.events import Event, to_json


class EventLines:
    """Encodes the events of one run."""

    def __init__(self, run_name: str) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._id_prefix = self._encode(run_name)[1:-1]
        self._number_at = len(b'{"run":"","number":') + len(self._id_prefix)
        self._heads: dict[type[Event], bytes] = {}

    def encode(self, events: Iterable[Event]) -> bytes:
        """One line for each event, in order, each with its line end."""
        encode, heads, number_at = self._encode, self._heads, self._number_at
        parts: list[bytes] = []
        for event in events:
            head = heads.get(event.__class__)
            if head is None:
                head = self._head(event.__class__)
            if not head:
                parts += to_json(event), b"\n"
                continue
            raw = encode(event)
            number_end = raw.index(b",", number_at)
            parts += head, raw[number_at:number_end], b'"', raw[number_end:], b"\n"
        return b"".join(parts)

    def _head(self, kind: type[Event]) -> bytes:
        """What stands before the number; empty for a class that writes its own mapping."""
        plain = kind.to_dict is Event.to_dict
        head = b'{"event":%b,"id":"%b-' % (self._encode(kind.event), self._id_prefix) if plain else b""
        self._heads[kind] = head
        return head
