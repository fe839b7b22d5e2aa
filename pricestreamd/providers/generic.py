"""The provider `generic`: a protocol that the configuration describes (`Description`).

What it gives where the description leaves a choice:

- Without `subscribe`, and always over SSE, nothing is sent: whatever the server sends counts, as far as it is wanted,
  and the symbols stand in the address where it has `{symbol}` or `{symbols}`. Other symbols need another connection. An
  address with `{symbol}` takes one symbol a connection (`max_symbols_per_connection: 1`).
- There are no acknowledgements: what was asked for counts as subscribed. Without `unsubscribe` a symbol goes on coming
  until the connection ends, and is not taken.
- A message that is a list is a list of messages, unless a path begins with a position, as in `[3]`: then the list is
  one message. `items` leads to a list of prices, or to a single one, inside a message; `symbol` and `timestamp` that
  are not in an item are looked for in the message around it.
- `match` is about messages, not items. What does not match is ignored; what does, and has no symbol, price or (where
  its path is given) time, is refused, so that a wrong path is seen. A time of null is none.
- Prices, volumes and times may be numbers or decimal text. `volume` is taken for the trade's size.
- A text such as `pong`, in answer to a heartbeat of ours, is a heartbeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import (
    Adapter,
    ConnectParams,
    Heartbeat,
    Ignored,
    Message,
    ProviderFault,
    Rejected,
    RejectReason,
    Request,
    Terms,
)
from pricestreamd.providers.complaints import bounded
from pricestreamd.providers.description import Description
from pricestreamd.providers.paths import ABSENT, Path, find, parse_path
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.rejection import Unreadable, parse, read_number, read_price, tolerant_parse
from pricestreamd.providers.templates import Template, fill_address
from pricestreamd.providers.times import to_seconds

# Nothing is known of the server: brisk, but no flood.
_MESSAGES_PER_SECOND = 20
_FASTEST_HEARTBEAT = 0.05
_BATCH = 100
_MAX_WHOLE_SYMBOL = 10**15
_MAX_PONG = 64


def _profile(description: Description) -> Profile:
    """What `description` says about the provider."""
    in_band = description.transport == "websocket" and description.subscribe is not None
    wanted = (description.heartbeat_every or 0.0) if description.heartbeat_text is not None else 0.0
    every = max(wanted, _FASTEST_HEARTBEAT) if wanted > 0 else None
    return Profile(
        name="generic",
        documentation="https://github.com/pricestreamd/pricestreamd/tree/main/docs/providers.md",
        transport=description.transport,
        subscribes="in_band" if in_band else "implicit",
        endpoint="",
        auth="none",
        channels={"trades": "none" if description.volume is None else "trade"},
        acknowledges=False,
        # Heartbeats that come thick and fast leave room for the rest.
        control_messages=_MESSAGES_PER_SECOND + (int(4 / every) if every else 0),
        control_window=1.0,
        batch_size=1 if in_band and "{symbol}" in (description.subscribe or "") else _BATCH,
        heartbeat_interval=every,
        time_unit="none" if description.timestamp is None else description.time_unit,
        text_prices=True,
    )


class Generic(Adapter):
    """The adapter of whatever `Terms.description` describes; without one, of a server that sends JSON objects."""

    profile: ClassVar[Profile] = _profile(Description())

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__(terms)
        self._said = said = self.terms.description or Description()
        profile = _profile(said)
        if profile.subscribes == "implicit" and ("{symbol}" in self._endpoint or "{symbols}" in self._endpoint):
            one = 1 if "{symbol}" in self._endpoint else None
            profile = replace(profile, subscribes="connect", max_symbols_per_connection=one)
        self.profile = profile  # type: ignore[misc]  # each description has its own
        self._subscribe = None if said.subscribe is None else Template(said.subscribe)
        self._unsubscribe = None if said.unsubscribe is None else Template(said.unsubscribe)
        self._match = [(parse_path(path), value) for path, value in said.match.items()]
        self._items = None if said.items is None else parse_path(said.items)
        self._symbol = parse_path(said.symbol)
        self._price = parse_path(said.price)
        self._volume = None if said.volume is None else parse_path(said.volume)
        self._timestamp = None if said.timestamp is None else parse_path(said.timestamp)
        outer = (self._items,) if self._items is not None else (self._symbol, self._price)
        paths = (*outer, *(path for path, _ in self._match))
        self._splits_lists = self._items != () and not any(path and isinstance(path[0], int) for path in paths)

    @classmethod
    def profile_of(cls, description: Description | None) -> Profile:
        """All of it comes from the description."""
        return _profile(description or Description())

    # --- what we say

    def connect_params(self) -> ConnectParams:
        """The address with the symbols of the table, where it has places for them."""
        url = fill_address(self._endpoint, [self.to_native(symbol) for symbol in self.symbols])
        return ConnectParams(url, dict(self._said.headers))

    def on_open(self) -> Sequence[str]:
        """As the description has them; they may hold secrets."""
        return [text.reveal() for text in self._said.on_open]

    def keepalive(self) -> str | None:
        """As the description has it, and its interval."""
        return self._said.heartbeat_text if self.profile.heartbeat_interval is not None else None

    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """A text for each symbol, or for a hundred of them."""
        return self._requests(self._subscribe, symbols)

    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
        """As `encode_subscribe`."""
        return self._requests(self._unsubscribe, symbols)

    def refusal(self, symbol: str) -> str | None:
        """Nothing is known of the server's symbols, only what a list parted by commas can hold."""
        name = symbol.strip()
        if not name:
            return "an empty symbol"
        if not name.isprintable():
            return "a symbol cannot hold control characters"
        joined = any(template is not None and template.joins for template in (self._subscribe, self._unsubscribe))
        return "a symbol cannot hold a comma where they are parted by commas" if joined and "," in name else None

    def to_native(self, symbol: str) -> str:
        """As it is written: nothing is known of other spellings."""
        return symbol.strip()

    def from_native(self, native_symbol: str, *venues: str) -> str | None:
        """In any case."""
        return self.symbols.resolve(native_symbol, venues)

    def _requests(self, template: Template | None, symbols: Sequence[str]) -> Sequence[Request]:
        if template is None or self.profile.subscribes != "in_band":
            return ()
        size = 1 if template.single else _BATCH
        batches = [tuple(symbols[at : at + size]) for at in range(0, len(symbols), size)]
        return [Request(template.fill([self.to_native(symbol) for symbol in batch]), batch) for batch in batches]

    # --- what the server says

    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """Every price that the paths lead to."""
        value = parse(data)
        if not isinstance(value, Unreadable | str):
            return self._messages(value, received_at)
        if self._is_pong(data):
            return (Heartbeat(),)
        if isinstance(value, str):
            return self._messages(value, received_at)
        if value.reason == "json" and Rejected("not_finite") in self._messages(tolerant_parse(data), received_at):
            return (Rejected("not_finite"),)
        return (Rejected(value.reason),)

    def classify_handshake(self, status: int, text: str) -> ProviderFault:
        """By the status alone."""
        return ProviderFault(super().classify_handshake(status, "").kind, bounded(text))

    def classify_close(self, code: int, reason: str) -> ProviderFault | None:  # noqa: ARG002 - the code says it all
        """Nothing is known of the server's words."""
        return None

    def _is_pong(self, data: bytes | str) -> bool:
        if self.profile.heartbeat_interval is None or len(data) > _MAX_PONG:
            return False
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
        return text.strip().strip('"').lower() in ("pong", (self._said.heartbeat_text or "").lower())

    def _messages(self, value: Any, received_at: float) -> tuple[Message, ...]:
        found: list[Message] = []
        for message in value if self._splits_lists and isinstance(value, list) else (value,):
            if not self._matches(message):
                found.append(Ignored("unmatched"))
            elif self._items is None:
                found.append(self._tick(message, message, received_at))
            elif isinstance(items := find(self._items, message), list):
                found += [self._tick(item, message, received_at) for item in items]
            elif isinstance(items, dict):
                found.append(self._tick(items, message, received_at))
            else:
                found.append(Rejected("missing" if items is ABSENT or items is None else "type"))
        return tuple(found)

    def _matches(self, message: Any) -> bool:
        for path, wanted in self._match:
            found = find(path, message)
            if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):  # true is not 1
                return False
        return True

    def _tick(self, item: Any, message: Any, received_at: float) -> Message:
        native, price = _find_around(self._symbol, item, message), find(self._price, item)
        if native is ABSENT or native is None or price is ABSENT:
            return Rejected("missing")
        if isinstance(native, int) and not isinstance(native, bool) and 0 <= native < _MAX_WHOLE_SYMBOL:
            native = str(native)
        if not isinstance(native, str):
            return Rejected("type")
        number, time = read_price(price), self._time(item, message, received_at)
        if isinstance(number, str):
            return Rejected(number)
        if isinstance(time, str):
            return Rejected(time)
        symbol = self.symbols.lookup(native) or self.symbols.resolve(native)
        if symbol is None:
            return Rejected("unknown_symbol")
        # What stands beside the price is not worth losing the price for.
        volume = None if self._volume is None else read_number(find(self._volume, item))
        return Tick(symbol, number, time, received_at, volume, None, self.feed)

    def _time(self, item: Any, message: Any, received_at: float) -> float | RejectReason:
        if self._timestamp is None:
            return received_at
        written = _find_around(self._timestamp, item, message)
        if written is ABSENT:
            return "missing"
        time = received_at if written is None else to_seconds(written, self._said.time_unit)
        return "type" if time is None else time


def _find_around(path: Path, item: Any, message: Any) -> Any:
    found = find(path, item)
    return find(path, message) if found is ABSENT and item is not message else found
