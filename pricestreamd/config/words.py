"""Reads one scalar of the file as what its setting wants: each kind of word, and what to say when it does not fit.

A kind has phrases for messages and a function from a scalar to a value. The function raises `UnfitError` when the
scalar is something else altogether, with a text where it can say more. Nothing here puts the text of a secret, or of
anything that came from the environment, into a message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

from pricestreamd.config.forms import FORMS, read_datetime, read_time
from pricestreamd.config.scalars import Scalar, describe
from pricestreamd.config.shape import unwrapped
from pricestreamd.config.suggest import did_you_mean
from pricestreamd.config.units import UnitError, read_delay, read_duration, read_percent, read_size
from pricestreamd.model.secret import Secret, register
from pricestreamd.model.secret_address import register_address, secret_address, secret_parts
from pricestreamd.model.units import Unit


@dataclass(frozen=True, slots=True)
class Folders:
    """Where relative paths begin: those that are read, and those that are written."""

    read: Path
    written: Path


class UnfitError(ValueError):
    """A scalar does not fit. `whole` is the whole message; `hint` follows `expected ..., got ...`."""

    def __init__(self, hint: str = "", *, whole: str = "") -> None:
        super().__init__(whole or hint)
        self.hint = hint
        self.whole = whole


N = TypeVar("N", int, float)
Read = Callable[[Scalar, Folders], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of word: the phrases for `expected ... or ...`, and how it is read."""

    phrases: tuple[str, ...]
    read: Read


def kind_of(arm: Any, metadata: Mapping[str, Any]) -> Kind:
    """How an alternative of a setting's type is read."""
    plain, notes = unwrapped(arm)
    unit = next((note for note in notes if isinstance(note, Unit)), None)
    if unit is not None:
        return _quantity(unit, metadata)
    if get_origin(plain) is Literal:
        return _choice(get_args(plain))
    return _MAKERS[plain](metadata)


def _quantity(unit: Unit, metadata: Mapping[str, Any]) -> Kind:
    phrase, parse = _UNITS[unit.kind]

    def read(word: Scalar, _folders: Folders) -> Any:
        value = word.loose
        if isinstance(value, bool) or value is None:
            raise UnfitError
        if isinstance(value, int | float) and not (word.quoted and not word.names):
            if not math.isfinite(value):
                raise UnfitError
            text = f"{Decimal(repr(value)):f}"
        else:
            text = word.text.strip()
        return bounded(_parsed(parse, text, word), metadata, word)

    return Kind((phrase,), read)


def _parsed(parse: Callable[[str], Any], text: str, word: Scalar) -> Any:
    try:
        return parse(text)
    except UnitError as error:
        # The hint repeats what was written.
        raise UnfitError("" if word.names else str(error)) from None


_UNITS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "duration": ("a duration such as 30s", read_duration),
    "delay": ("a duration such as 30s", read_delay),
    "size": ("a size such as 4MiB", read_size),
    "percent": ("per cent such as 5.0 or 5.0%", read_percent),
}


def _choice(words: tuple[str, ...]) -> Kind:
    def read(word: Scalar, _folders: Folders) -> str:
        if word.text not in words:
            raise UnfitError("" if word.names else did_you_mean(word.text, words))
        return word.text

    return Kind(words, read)


def _nothing(_metadata: Mapping[str, Any]) -> Kind:
    def read(word: Scalar, _folders: Folders) -> None:
        if word.loose is not None:
            raise UnfitError

    return Kind(("null",), read)


def _boolean(_metadata: Mapping[str, Any]) -> Kind:
    def read(word: Scalar, _folders: Folders) -> bool:
        value = word.loose
        if isinstance(value, bool):
            return value
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(word.text.lower())
        raise UnfitError(f"; did you mean {meant}?" if meant and not word.names else "")

    return Kind(("true or false",), read)


def _number(metadata: Mapping[str, Any], *, whole: bool) -> Kind:
    def read(word: Scalar, _folders: Folders) -> int | float:
        value = word.loose
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            quoted = word.quoted and not word.names and word.text.replace(".", "", 1).isdigit()
            raise UnfitError("; remove the quotes" if quoted else "")
        if whole:
            if not isinstance(value, int):
                raise UnfitError
            return bounded(value, metadata, word)
        return bounded(float(value), metadata, word)

    return Kind(("a whole number" if whole else "a number",), read)


def bounded(value: N, metadata: Mapping[str, Any], word: Scalar) -> N:
    """`value`, if it keeps the bounds of its setting."""
    low, above, high = metadata.get("at_least"), metadata.get("above"), metadata.get("at_most")
    wrong = (
        (f"at least {low}", low is not None and value < low),
        (f"more than {above}", above is not None and value <= above),
        (f"at most {high}", high is not None and value > high),
    )
    for phrase, broken in wrong:
        if broken:
            raise UnfitError(whole=f"must be {phrase}, got {describe(word)}")
    return value


def plain_text(word: Scalar, *, secret: bool = False) -> str:
    """The text of a scalar where text is wanted. What looks like a number or truth value must be quoted.

    `secret`: the text may be one, so that no message repeats it.
    """
    if word.names or isinstance(word.value, str):
        if not word.text and word.names and not word.quoted:
            raise UnfitError
        return word.text
    if word.value is None:
        raise UnfitError
    raise UnfitError("; as text it is quoted" + ("" if secret else f': "{word.text[:40]}"'))


def _text(metadata: Mapping[str, Any]) -> Kind:
    check = FORMS[metadata["form"]] if "form" in metadata else None

    def read(word: Scalar, _folders: Folders) -> str:
        text = plain_text(word, secret="secret" in metadata)
        fault = check(text, describe(word)) if check else None
        if fault is not None:
            raise UnfitError(whole=fault)
        if metadata.get("secret") == "address":
            register_address(text, secret=False)
        elif metadata.get("secret") == "inside":
            _register_values(word)
        return text

    return Kind(("text",), read)


def _register_values(word: Scalar) -> None:
    """What the environment has put into a text may be the secret in it."""
    for value in word.values:
        register(value)


def _path(metadata: Mapping[str, Any]) -> Kind:
    def read(word: Scalar, folders: Folders) -> Path:
        text = plain_text(word, secret="secret" in metadata)
        if not text or "\0" in text:
            raise UnfitError(whole="expected a path, got an empty text")
        return (folders.written if metadata["path"] == "written" else folders.read) / text

    return Kind(("a path",), read)


def _secret(metadata: Mapping[str, Any]) -> Kind:
    sort = metadata["secret"]

    def read(word: Scalar, folders: Folders) -> Secret:
        text = plain_text(word, secret=True)
        if sort == "url":
            if "://" not in text:
                raise UnfitError(whole="expected an address such as scheme://host/path")
            return secret_address(_with_path(text, metadata, folders))
        if sort in ("text", "header"):
            _register_values(word)
        return Secret(text)

    return Kind(("an address" if sort == "url" else "text",), read)


def _with_path(url: str, metadata: Mapping[str, Any], folders: Folders) -> str:
    """`sqlite:///relative.db` names a file that is read, so it begins where such paths begin."""
    if metadata.get("path") != "read" or not url.startswith("sqlite:///"):
        return url
    path = url.removeprefix("sqlite:///")
    return f"sqlite:///{folders.read.absolute() / path}"


def _time(_metadata: Mapping[str, Any]) -> Kind:
    def read(word: Scalar, _folders: Folders) -> time:
        found = read_time(word.text)
        if found is None:
            raise UnfitError
        return found

    return Kind(("a time of day such as 09:30",), read)


def _datetime(_metadata: Mapping[str, Any]) -> Kind:
    def read(word: Scalar, _folders: Folders) -> datetime:
        found = read_datetime(word.text)
        if found is None:
            raise UnfitError
        return found

    return Kind(("a time with its offset such as 2030-01-31T16:00:00-05:00",), read)


_MAKERS: Mapping[Any, Callable[[Mapping[str, Any]], Kind]] = {
    NoneType: _nothing,
    bool: _boolean,
    int: lambda metadata: _number(metadata, whole=True),
    float: lambda metadata: _number(metadata, whole=False),
    str: _text,
    Path: _path,
    Secret: _secret,
    time: _time,
    datetime: _datetime,
}


def holds_secret(url: str) -> bool:
    """Whether something in an address is a secret by itself."""
    try:
        urlsplit(url)
    except ValueError:
        return True
    return any(secret_parts(url, secret=False))
