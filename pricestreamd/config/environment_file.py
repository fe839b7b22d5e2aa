r"""Reads what systemd's `EnvironmentFile=` reads: `NAME=value` a line, with its quotes, comments and escapes.

The rules are those of systemd.exec(5): spaces around a name or a bare value do not count; a value may be in single
quotes (all is meant as it stands) or double quotes (a backslash goes before `"`, `\`, `` ` `` and `$`), and several
quoted parts are one value; a line that ends in a backslash goes on in the next; `#` and `;` begin a comment at the
begin of a line only; a line without `=` is nothing.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPACE = " \t\r\n"
_BLANK = " \t"
_LINE_END = "\r\n"
_ESCAPED_IN_QUOTES = '"\\`$'


def environment_of(text: str) -> dict[str, str]:
    """What a file that holds `text` sets; of a name that comes twice the last. What is no name is left out."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
            continue
        end = _line_end(text, at)
        name, equals, _ = text[at:end].partition("=")
        if text[at] in "#;" or not equals:
            at = end
            continue
        value, at = _value(text, at + len(name) + 1)
        if _NAME.fullmatch(name.rstrip()) and "\0" not in value:
            found[name.rstrip()] = value
    return found


def _line_end(text: str, at: int) -> int:
    return next((place for place in range(at, len(text)) if text[place] in _LINE_END), len(text))


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins at `at`, and where it ends."""
    value = ""
    while at < len(text) and text[at] not in _LINE_END:
        character = text[at]
        if character in _BLANK:
            at += 1
        elif character == "'":
            end = text.find("'", at + 1)
            end = len(text) if end < 0 else end
            value, at = value + text[at + 1 : end], end + 1
        elif character == '"':
            part, at = _quoted(text, at + 1)
            value += part
        else:
            # From here on quotes are letters like others, up to the end of the line.
            part, at = _bare(text, at)
            return value + part, at
    return value, min(at, len(text))


def _quoted(text: str, at: int) -> tuple[str, int]:
    parts = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            if text[at] not in _ESCAPED_IN_QUOTES and text[at] != "\n":
                parts.append("\\")
            parts.append("" if text[at] == "\n" else text[at])
        else:
            parts.append(text[at])
        at += 1
    return "".join(parts), at + 1


def _bare(text: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    kept = 0  # so many parts stay, whatever spaces come after them
    while at < len(text) and text[at] not in _LINE_END:
        if text[at] == "\\":
            at += 1
            if at < len(text) and text[at] not in _LINE_END:
                parts.append(text[at])
            kept = len(parts)
        else:
            parts.append(text[at])
            if text[at] not in _BLANK:
                kept = len(parts)
        at += 1
    return "".join(parts[:kept]), at
