"""Texts with `{symbol}` or `{symbols}` in them, as a configuration writes them, and symbols put in their places.

The texts are mostly JSON, so nothing but these two words in braces is a place. What is put there depends on where it
is:

| written                      | for A and B                                                 |
|------------------------------|-------------------------------------------------------------|
| `SUB {symbols}`              | `SUB A,B`                                                   |
| `{"symbols": "{symbols}"}`   | `{"symbols": "A,B"}`: one text                              |
| `{"params": ["{symbols}"]}`  | `{"params": ["A","B"]}`: an element of a list is repeated   |
| `["{symbols}@trade"]`        | `["A@trade","B@trade"]`                                     |
| `SUB {symbol}`               | `SUB A` and, in a text of its own, `SUB B`                  |

Between double quotes a symbol is escaped as JSON wants it; elsewhere it stands as it is. Where both words are in one
text, each text has one symbol.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from urllib.parse import quote

_PLACE = re.compile(r"\{symbols?\}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\{symbols?\}|[\[\]{}]', re.DOTALL)
_CLOSES = {"]": "[", "}": "{"}


class Template:
    """A text with places for symbols.

    `single`: it takes one symbol at a time. `joins`: somewhere it parts symbols with commas, so that none may have one.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.single = "{symbol}" in text
        self._pieces: list[tuple[str, bool]] = []
        """Stretches of the text, and whether each is an element of a list, repeated for every symbol."""
        open_brackets: list[str] = []
        end = 0
        for found in _TOKEN.finditer(text):
            token = found[0]
            if token in _CLOSES:
                if open_brackets and open_brackets[-1] == _CLOSES[token]:
                    open_brackets.pop()
            elif token in ("[", "{"):
                open_brackets.append(token)
            elif _PLACE.search(token):
                listed = token.startswith('"') and open_brackets[-1:] == ["["]
                self._pieces += [(text[end : found.start()], False), (token, listed)]
                end = found.end()
        self._pieces.append((text[end:], False))
        self.joins = not self.single and any(_PLACE.search(piece) and not listed for piece, listed in self._pieces)

    def fill(self, symbols: Sequence[str]) -> str:
        """The text for `symbols`; for one of them where the template is `single`."""
        return "".join(_filled(piece, symbols, listed=listed) for piece, listed in self._pieces)


def fill_address(url: str, symbols: Sequence[str]) -> str:
    """`url` with the symbols, percent-encoded and parted by commas, in place of `{symbol}` and `{symbols}`."""
    names = ",".join(quote(symbol, safe="") for symbol in symbols)
    return _PLACE.sub(lambda _: names, url)


def _filled(piece: str, symbols: Sequence[str], *, listed: bool) -> str:
    if listed:
        return ",".join(_filled(piece, [symbol], listed=False) for symbol in symbols)
    if piece.startswith('"'):
        symbols = [json.dumps(symbol, ensure_ascii=False)[1:-1] for symbol in symbols]
    names = ",".join(symbols)
    return _PLACE.sub(lambda _: names, piece)
