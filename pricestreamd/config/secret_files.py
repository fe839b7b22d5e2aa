"""Where secrets come from: files named by `..._file` keys are read, secrets written out in the file are told of."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pricestreamd.config.scalars import Scalar
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import arms, settings_of, walk
from pricestreamd.config.words import holds_secret
from pricestreamd.config.yaml_text import Fault, Location
from pricestreamd.model.secret import Secret

WIDEST_MODE = 0o640
MAX_BYTES = 64 * 1024  # a key, a token, a private key; not a log file named by mistake

_SECRET_HEADERS = ("authorization", "cookie", "key", "secret", "token", "signature")


def read_secret_files(data: Any, folder: Path) -> tuple[list[Fault], list[Fault]]:
    """Put the content of each secret's file in the place of the secret itself. Gives faults and warnings."""
    faults: list[Fault] = []
    warnings: list[Fault] = []
    for location, cls, mapping in list(walk(Settings, data)):
        known = settings_of(cls)
        for key in known:
            name = key.removesuffix("_file")
            if name == key or name not in known or Secret not in arms(known[name].hint):
                continue
            word = mapping.get(key)
            if not isinstance(word, Scalar) or word.broken or not word.text or word.value is None:
                continue
            place = (*location, key)
            if _is_set(mapping.get(name)):
                faults.append(Fault(place, f"there is {name} already; keep one of the two", on_key=True))
                continue
            text, fault, warning = _read(Path(word.text), folder)
            faults += [Fault(place, fault)] if fault else []
            warnings += [Fault(place, warning)] if warning else []
            if isinstance(mapping, dict):
                # The key stands in for a name of the environment: the text is not in the file.
                mapping[name] = Scalar(text, text, quoted=True, names=(key,))
    return faults, warnings


def _is_set(word: object) -> bool:
    return word is not None and not (isinstance(word, Scalar) and word.value is None and not word.broken)


def _read(path: Path, folder: Path) -> tuple[str, str, str]:
    """The text of a secret's file without its last line end, a fault, and a warning.

    A relative path is not repeated in them: it may be the secret itself, written at the wrong key.
    """
    name = str(path) if path.is_absolute() else f"this file in {folder}"
    try:
        # A pipe that nobody writes into is empty; it would keep us waiting.
        with open(folder / path, "rb", opener=_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            os.set_blocking(file.fileno(), True)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        remedy = _REMEDIES.get(type(error), "name another file")
        return "", f"cannot read {name}: {error.strerror}; {remedy}", ""
    warning = ""
    if stat.S_ISREG(mode) and stat.S_IMODE(mode) & ~WIDEST_MODE:
        warning = f"{name} is open to others (mode {stat.S_IMODE(mode):04o}): chmod 0640"
    if len(content) > MAX_BYTES:
        return "", f"{name} is too large for a secret: name the file that holds nothing else", warning
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return "", f"{name} is not UTF-8 text: write the secret into it as one line of text", warning
    text = text.removesuffix("\n").removesuffix("\r")
    if text.strip() != text and not warning:
        warning = f"{name} has spaces or empty lines around the secret, which count: remove them"
    return text, "" if text else f"{name} is empty: write the secret into it", warning


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


_REMEDIES: Mapping[type[OSError], str] = {
    FileNotFoundError: "write the secret into it, or name another file",
    PermissionError: "let the user who runs this read it",
    IsADirectoryError: "name the file in it",
}


def literal_secrets(data: Any) -> list[Fault]:
    """A warning for each secret that is written out in the file."""
    found = []
    for location, cls, mapping in walk(Settings, data):
        for key, setting in settings_of(cls).items():
            sort = setting.metadata.get("secret")
            if sort is None or key not in mapping:
                continue
            remedy = f"{key}_file" if f"{key}_file" in settings_of(cls) else ""
            # Where no mapping belongs its keys are no names, and may be the secret.
            written = {} if isinstance(mapping[key], Mapping) and sort != "header" else mapping[key]
            for place, name, word in _texts((*location, key), key, written):
                if _tells(sort, name, word):
                    better = f"${{NAME}} or {remedy}" if remedy else "${NAME}"
                    found.append(Fault(place, f"a secret is written out in the file; better: {better}"))
    return found


def secret_places(data: Any) -> frozenset[Location]:
    """Where a secret stands that nothing else can stand for: keys and tokens, but no addresses."""
    return frozenset(
        (*location, key)
        for location, cls, mapping in walk(Settings, data)
        for key, setting in settings_of(cls).items()
        if setting.metadata.get("secret") in ("value", "header") and key in mapping
    )


def _texts(location: Location, name: str, data: Any) -> Iterator[tuple[Location, str, Scalar]]:
    """The words at a setting that are written out."""
    if isinstance(data, Mapping):
        for key, entry in data.items():
            yield from _texts((*location, key), key, entry)
    elif isinstance(data, list):
        for index, entry in enumerate(data):
            yield from _texts((*location, index), name, entry)
    elif isinstance(data, Scalar) and not data.names and not data.broken and data.text and data.value is not None:
        yield location, name, data


def _tells(sort: str, name: str, word: Scalar) -> bool:
    if sort in ("url", "address"):
        return holds_secret(word.text)
    if sort == "header":
        return any(part in name.lower() for part in _SECRET_HEADERS)
    return sort == "value"
