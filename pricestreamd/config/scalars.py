"""What a word of the file means: the scalars of YAML 1.2, core schema, and nothing else.

`NO`, `ON`, `12:30:45` and `2026-01-31` are text; `0123` is the number 123; `1e3` and `1e-9` are numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Plain = bool | int | float | str | None

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}", re.ASCII)
_OCTAL = re.compile(r"0o([0-7]{1,100})")
_HEXADECIMAL = re.compile(r"0x([0-9a-fA-F]{1,100})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)


def resolve(text: str) -> Plain:
    """The value of a scalar written without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if match := _OCTAL.fullmatch(text):
        return int(match[1], 8)
    if match := _HEXADECIMAL.fullmatch(text):
        return int(match[1], 16)
    return float(text) if _FLOAT.fullmatch(text) else text


@dataclass(frozen=True, slots=True, repr=False)
class Scalar:
    """One scalar of the file: its value, its text, and where the text is from.

    `text` is what stands there after interpolation; it may be a secret, so a scalar has no text form of its own.
    `names` are those of the environment, `values` what they had, `quoted` whether the file has it in quotes.
    """

    value: Plain
    text: str
    quoted: bool = False
    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    broken: bool = False
    """It is already reported and means nothing."""

    @property
    def loose(self) -> Plain:
        """The value as if there were no quotes, where the text comes from the environment."""
        return resolve(self.text) if self.names else self.value

    @property
    def written(self) -> str | None:
        """The text, if text stands here and not a number, a truth value or null."""
        if self.broken or self.loose is None:
            return None
        return self.text if self.names or isinstance(self.value, str) else None


BROKEN = Scalar(None, "", broken=True)


def names_in(data: object) -> Iterator[str]:
    """The names of the environment that the words in `data` mention, in the order of the file."""
    if isinstance(data, Scalar):
        yield from data.names
    elif isinstance(data, Mapping | list):
        for entry in data.values() if isinstance(data, Mapping) else data:
            yield from names_in(entry)


def scalar(value: object) -> Scalar | None:
    """`value` as a scalar, or None for a list, a mapping or anything else. Plain Python values are taken as quoted."""
    if isinstance(value, Scalar):
        return value
    if value is None or isinstance(value, bool | int | float | str):
        return Scalar(value, "" if value is None else str(value), quoted=isinstance(value, str))
    return None


def describe(value: object) -> str:
    """How a message names a wrong value. Text from the environment is named by its name only."""
    word = scalar(value)
    if word is None:
        return "a list" if isinstance(value, list | tuple) else "a mapping"
    if word.names:
        return " and ".join(f"the value of ${{{name}}}" for name in word.names)
    if word.value is None:
        return "nothing"
    if isinstance(word.value, str):
        text = word.text if len(word.text) <= 40 else word.text[:37] + "..."
        return repr(text)
    kind = "" if isinstance(word.value, bool) else "the number "
    return f"{kind}{word.text[:40]}"


def shown(value: Scalar) -> str:
    """How a message names a right value: as it is written, unquoted; from the environment, by name."""
    return describe(value) if value.names else value.text.strip()
