"""What a scenario does to messages: prices in odd forms, fields that come and go, noise between, batches, fragments.

Plain code. Messages are the provider's own, read as JSON, changed and written again, so that one spoiler serves all
providers; it needs to know only what their fields are called. Slow, and only at work where the scenario wants it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pricestreamd.simulator.dialect import Fields, Voice
from pricestreamd.simulator.distortion import SPOILT_EVERY
from pricestreamd.simulator.framing import Framing
from pricestreamd.simulator.market import Dice
from pricestreamd.simulator.scenario import Scenario

# A big message comes once for so many other ones.
_BIG_EVERY = 10
_DEPTH = 100_000
_STRANGERS = ("NOBODY", "", "BRK/", " A A ", "X" * 10_000, "<b>'--\u00fc")
_NOT_JSON = ("OK", '{"event":"price","symbol":', "<html><body>502 Bad Gateway</body></html>", "ping", '{"a":1}{"b":2}')
_NO_UTF8 = b'{"event":"price","symbol":"AA\xff\xfePL","price":1.5}'
# Of plain answers, which are few, more are spoilt; what stands for each noise there. The empty one is big.
_SPOILT_ANSWERS = 3
_NOISY_ANSWERS = {
    "text": _NOT_JSON[2].encode(),
    "empty": b" ",
    "bom": b"\xef\xbb\xbf{}",
    "deep": b"[" * _DEPTH,
    "utf8": _NO_UTF8,
    "binary": bytes(range(256)),
    "event": b'{"notice":{"level":3}}',
    "big": b"",
}
_PLACE = "\x00price\x00"


class Spoiler:
    """Spoils the messages of one simulator. `strange`: a message of an unknown kind; `ledger`: volumes must stay."""

    def __init__(self, scene: Scenario, die: Dice, strange: Callable[[], str], *, ledger: bool) -> None:
        self._scene = scene
        self._die = die
        self._strange = strange
        self._ledger = ledger
        self._odd = sorted(scene.odd_prices)
        self._noise = sorted(scene.noise)
        self._count = 0
        self._changes = bool(scene.terse or scene.sparse or scene.extra_keys or scene.price_form != "usual")

    @staticmethod
    def needed(scene: Scenario) -> bool:
        """Whether the scenario does anything to messages at all."""
        return bool(
            scene.terse
            or scene.sparse
            or scene.extra_keys
            or scene.price_form != "usual"
            or scene.odd_prices
            or scene.incomplete
            or scene.strangers
            or scene.noise
            or scene.batch > 1
            or scene.fragments
        )

    def encode(self, voice: Voice, framing: Framing, items: Sequence[str]) -> bytes:
        """The bytes that tell these items of a voice."""
        if self._scene.fragments:
            framing = framing.in_fragments(self._scene.fragments)
        if self._changes:
            items = [self.changed(item, voice.fields) for item in items]
        size = 1 if voice.gathers == "never" else len(items) if voice.gathers == "always" else self._scene.batch
        parts = []
        for at in range(0, len(items), size):
            group = items[at : at + size]
            parts.append(framing.join([voice.message(group)]))
            for item in group:
                self._count += 1
                if self._count % SPOILT_EVERY == 0:
                    parts += [framing.join([voice.message([copy])]) for copy in self._copies(item, voice.fields)]
                    parts += self._noises(framing)
        return b"".join(parts)

    def answer(self, body: str, known: Sequence[Fields]) -> bytes:
        """A plain answer: changed, and every third one spoilt."""
        fields = next((fields for fields in known if f'"{fields.price}"' in body), None)
        self._count += 1
        spoilt = self._count % _SPOILT_ANSWERS == 0
        turn = self._count // _SPOILT_ANSWERS
        if fields is not None:
            if self._changes:
                body = self.changed(body, fields)
            if spoilt and self._odd:
                body = self._with_price(body, fields, self._odd[turn % len(self._odd)])
            if spoilt and self._scene.incomplete:
                message = json.loads(body)
                for quote in _quotes(message, fields.price):
                    del quote[fields.price]
                body = _json(message)
        if spoilt and self._noise:
            return (
                _NOISY_ANSWERS.get(self._noise[turn % len(self._noise)], b"null")
                or b"[" + b" " * self._scene.noise_bytes
            )
        return body.encode()

    def changed(self, text: str, fields: Fields) -> str:
        """The message with its price in another form, without some of its fields, with others."""
        scene, message = self._scene, json.loads(text)
        for quote in _quotes(message, fields.price):
            if scene.terse or scene.sparse:
                self._thin(quote, fields)
            if scene.extra_keys:
                quote["_v"] = 3
                quote["venueDetail"] = {"segment": [1, None, {"x": "\u00e9"}], "priority": True}
        if scene.price_form == "usual":
            return _json(message)
        literals = []
        for quote in _quotes(message, fields.price):
            literals.append(_written(quote[fields.price], scene.price_form))
            quote[fields.price] = _PLACE
        return _filled(message, literals)

    def _thin(self, quote: dict[str, Any], fields: Fields) -> None:
        """Leave optional fields out: all, or at random."""
        names = fields.optional if self._ledger or fields.volume is None else (*fields.optional, fields.volume)
        for name in names:
            if self._scene.terse or self._die() < 0.5:
                quote.pop(name, None)

    def _copies(self, text: str, fields: Fields) -> Iterator[str]:
        """Spoilt copies of a message, each time another."""
        turn = self._count // SPOILT_EVERY
        if self._odd:
            yield self._with_price(text, fields, self._odd[turn % len(self._odd)])
        if self._scene.incomplete:
            message = json.loads(text)
            for quote in _quotes(message, fields.price):
                del quote[fields.price if turn % 2 else fields.symbol]
            yield _json(message)
        if self._scene.strangers:
            message = json.loads(text)
            for quote in _quotes(message, fields.price):
                quote[fields.symbol] = _STRANGERS[turn % len(_STRANGERS)]
            yield _json(message)

    def _with_price(self, text: str, fields: Fields, literal: str) -> str:
        message = json.loads(text)
        literals = []
        for quote in _quotes(message, fields.price):
            usual, quote[fields.price] = quote[fields.price], _PLACE
            as_text = isinstance(usual, str) and literal[0] not in '"[{tn'
            literals.append(f'"{literal}"' if as_text else literal)
            if fields.volume in quote:
                quote[fields.volume] = "0" if isinstance(usual, str) else 0
        return _filled(message, literals)

    def _noises(self, framing: Framing) -> Iterator[bytes]:
        """Messages of no use, each time of another kind."""
        if not self._noise:
            return
        turn, kind = divmod(self._count // SPOILT_EVERY, len(self._noise))
        match self._noise[kind]:
            case "event":
                yield framing.join([self._strange()])
            case "text":
                yield framing.join([_NOT_JSON[turn % len(_NOT_JSON)]])
            case "empty":
                yield framing.join([""])
            case "bom":
                yield framing.odd("\ufeff{}".encode(), binary=False)
            case "deep":
                yield framing.join(["[" * _DEPTH])
            case "utf8":
                yield framing.odd(_NO_UTF8, binary=False)
            case "binary":
                yield framing.odd(bytes(range(256)), binary=True)
            case _ if turn % _BIG_EVERY == 1:
                yield framing.join(['{"type":"snapshot","filler":"' + "x" * self._scene.noise_bytes + '"}'])


def _quotes(value: Any, name: str) -> Iterator[dict[str, Any]]:
    """The objects inside a message that hold a price."""
    if isinstance(value, dict):
        if name in value:
            yield value
        for inner in list(value.values()):
            yield from _quotes(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _quotes(inner, name)


def _written(price: Any, form: str) -> str:
    """The JSON of a price in another form; what is text stays text, but for `number`."""
    digits = price if isinstance(price, str) else repr(price)
    if form == "zeros":
        digits = f"{digits}{'' if '.' in digits else '.'}0000000000"
    as_text = form == "text" or (form == "zeros" and isinstance(price, str))
    return f'"{digits}"' if as_text else digits


def _filled(message: Any, literals: Sequence[str]) -> str:
    """The message as JSON, with literals in the places that were kept for them, in order."""
    first, *rest = _json(message).split(json.dumps(_PLACE))
    return first + "".join(literal + piece for literal, piece in zip(literals, rest, strict=True))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
