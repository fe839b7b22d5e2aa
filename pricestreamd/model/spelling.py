"""The spellings of a text: as it is, escaped, percent-encoded, in base64; so that it is found however it was written.

Whole spellings are listed where only one is possible. Where a writer may escape any letter or leave it (percent
encoding, JSON, Python, HTML, and each within another) there is one pattern, which knows every spelling of each letter.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import quote, quote_plus

# A shorter text has pieces in base64 that occur by chance.
LONG_ENOUGH_FOR_PIECES = 8
# Of a longer text (a private key) only the listed spellings are known: its pattern would take too long to make.
_LONGEST_PATTERN = 160

# How often one writer's escape may have been escaped by the next. Bounded, or a hostile text would take for ever.
_AGAIN = "{1,8}"
_PERCENT = "%(?:25){0,3}"
# May stand for any letter. A backslash before another letter stands for one of few, of which most secrets have none.
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}|\\[uUx]|&[#A-Za-z]")
_BACKSLASHED = frozenset("\\\"'/\n\r\t\b\f")
_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


class Spelling:
    """All spellings of one text of at least 4 characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The text first: it is by far the most frequent, and shorter than every other.
        self._forms = tuple(dict.fromkeys(_forms(text)))
        self._backslashed = not _BACKSLASHED.isdisjoint(text)

    @property
    def shortness(self) -> int:
        """Sorts the longest first: one must not be cut up by another that is a part of it."""
        return -len(self.text)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return re.compile("".join(map(_any_spelling, self.text))) if len(self.text) <= _LONGEST_PATTERN else None

    def replaced(self, text: str, mask: str, *, escapes: bool) -> str:
        """`text` with `mask` in the place of each spelling. `escapes`: whether `text` `has_escapes`."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, mask)
        if (escapes or (self._backslashed and "\\" in text)) and self._pattern is not None:
            text = self._pattern.sub(mask, text)
        return text


def has_escapes(text: str) -> bool:
    """Whether something in `text` looks like an escape that may stand for any letter."""
    return _ESCAPE.search(text) is not None


def _forms(text: str) -> Iterator[str]:
    raw = text.encode("utf-8", "surrogatepass")
    yield text
    yield quote_plus(text, errors="surrogatepass")
    yield quote_plus(text, "/?:@-._~!$'()*,;", errors="surrogatepass")
    yield quote(text, errors="surrogatepass")
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    # Read by somebody who takes UTF-8 for something else.
    yield raw.decode("latin-1")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        if len(raw) >= LONG_ENOUGH_FOR_PIECES:
            # Within a longer text, such as `user:password`, a byte can begin at each of three places in a group; the
            # characters at both ends are shared with the neighbours.
            for offset in range(3):
                first, last = -(-8 * offset // 6), 8 * (offset + len(raw)) // 6
                yield encode(b"-" * offset + raw).decode()[first:last]


def _any_spelling(letter: str) -> str:
    """A pattern for one letter, as it is or escaped in any way."""
    code = ord(letter)
    ways = [
        rf"\\{_AGAIN}" if letter == "\\" else rf"\\{{0,8}}{letter}" if letter in "\"'/" else re.escape(letter),
        "".join(f"{_PERCENT}{_hex(byte)}" for byte in letter.encode("utf-8", "surrogatepass")),
        "".join(rf"\\{_AGAIN}u{_hex(unit, 4)}" for unit in _utf16(code)),
        "".join(rf"\\{_AGAIN}x{_hex(byte)}" for byte in letter.encode("utf-8", "surrogatepass")),
        f"&(?:amp;)?#(?:0{{0,6}}{code}|[xX]0{{0,6}}{_hex(code, 1)});",
    ]
    if 0x7F < code < 0x100:
        ways.append(rf"\\{_AGAIN}x{_hex(code)}")
    if code > 0xFFFF:
        ways.append(rf"\\{_AGAIN}U{_hex(code, 8)}")
    if letter == " ":
        ways.append(r"\+")
    if letter in _LETTERS:
        ways.append(rf"\\{_AGAIN}{_LETTERS[letter]}")
    if letter in _ENTITIES:
        ways.append(f"&(?:amp;)?{_ENTITIES[letter]};")
    return f"(?:{'|'.join(ways)})"


def _utf16(code: int) -> tuple[int, ...]:
    if code <= 0xFFFF:
        return (code,)
    return 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)


def _hex(number: int, digits: int = 2) -> str:
    """A pattern for a number in hexadecimal, in letters of either size."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{number:0{digits}x}")
