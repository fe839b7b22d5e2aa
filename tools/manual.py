"""Writes the manual pages, pricestreamd(8) and pricestreamd.yaml(5), into a folder: `python -m tools.manual FOLDER`.

They are made when a release is installed, from what the program says of itself: the commands and options of its parser,
the tables of signals and exit codes of docs/commands.md, and the JSON Schema of the configuration. So there is no page
that could be out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pricestreamd.cli.main import program_parser
from pricestreamd.config.schema import Json, json_schema
from tools.options import commands, options

ROOT = Path(__file__).parents[1]
# A type of the schema in a person's words.
_WORDS = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text", "null": "null"}
_UNITS = {"duration": "duration", "delay": "duration", "size": "size", "percent": "per cent"}
_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}

_FILES = (
    ("/etc/price-stream/config.yaml", "the configuration; price-stream@NAME reads /etc/price-stream/NAME.yaml"),
    ("/etc/price-stream/env", "under systemd: NAME=value lines for ${NAME} in it; NAME.env for price-stream@NAME"),
    ("/var/lib/price-stream/", "the state, and what sinks write; /var/lib/price-stream-NAME/ for price-stream@NAME"),
    ("/run/price-stream/http-token", "the token for changes while the daemon runs, where none is configured"),
    ("/opt/price-stream/releases/", "the installed releases; /opt/price-stream/current is the one in force"),
)
_ENVIRONMENT = (
    ("PRICESTREAM_URL", "where commands find a running daemon, instead of where its configuration says"),
    ("PRICESTREAM_DEBUG", "1: show where an error of the program happened"),
    ("STATE_DIRECTORY", "where relative paths of what is written begin; set by systemd"),
    ("RUNTIME_DIRECTORY", "where the token for changes is kept; set by systemd"),
    ("CREDENTIALS_DIRECTORY", "where the credentials of LoadCredential= are; set by systemd"),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "set by systemd where it wants to be told of readiness and life"),
)


def escaped(text: str) -> str:
    """`text` as roff shows it: hyphens that can be searched for, and no line that is taken for a request."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def plain(markdown: str) -> str:
    """A cell of a Markdown table without its marks."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown).replace("`", "").replace("\\|", "|")


def head(name: str, section: int, purpose: str) -> Iterator[str]:
    """The title and the first section of a page."""
    yield f'.TH "{name.upper()}" "{section}" "" "pricestreamd {version("pricestreamd")}" "Price stream"'
    yield '.SH "NAME"'
    yield f"{escaped(name)} \\- {escaped(purpose)}"


def paragraph(tag: str, *texts: str) -> Iterator[str]:
    """A tagged paragraph: `tag` in bold, `texts` below it, indented."""
    yield ".TP"
    yield rf"\fB{escaped(tag)}\fR"
    for index, text in enumerate(filter(None, texts)):
        if index:
            yield ".br"
        yield escaped(text)


def table(document: str, section: str) -> Iterator[tuple[str, str]]:
    """The rows of the first table below a heading of a Markdown document."""
    text = document.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    for left, right in rows[2:]:
        yield plain(left.strip()), plain(right.strip())


# --- pricestreamd(8)


def program_page() -> Iterator[str]:
    """The commands, with what a person needs beside them."""
    document = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    parser = program_parser()
    yield from head("pricestreamd", 8, "turns market-data connections into dependable price events")
    yield '.SH "SYNOPSIS"'
    yield r"\fBpricestreamd\fR \fICOMMAND\fR [\fIOPTION\fR...]"
    yield '.SH "DESCRIPTION"'
    yield escaped(
        "A long-running daemon. One YAML file, pricestreamd.yaml(5), says which symbols come from which provider, what "
        "counts as a change, a spike or an alert, and where the events go. The command run is the daemon itself; the "
        "others prepare it, ask it, or change what it does."
    )
    yield '.SH "COMMANDS"'
    for name, command in commands(parser):
        yield from _command(name, command)
    for section, title in (("Signals", "SIGNALS"), ("Exit codes", "EXIT STATUS")):
        yield f'.SH "{title}"'
        yield from _paragraphs(table(document, section))
    for title, rows in (("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT)):
        yield f'.SH "{title}"'
        yield from _paragraphs(rows)
    yield '.SH "SEE ALSO"'
    yield escaped("pricestreamd.yaml(5), systemctl(1), journalctl(1)")


def _paragraphs(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for tag, text in rows:
        yield from paragraph(tag, text)


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f'.SS "{escaped(name)}"'
    yield escaped(f"{(parser.description or '').rstrip('.')}.")
    for option in options(parser):
        yield from paragraph(_tag(parser, option), _help(parser, option))
    if parser.epilog:
        yield ".PP"
        yield escaped(parser.epilog)


def _tag(parser: argparse.ArgumentParser, option: argparse.Action) -> str:
    formatter = parser._get_formatter()  # noqa: SLF001 - argparse tells how an option looks in no other way
    return formatter._format_action_invocation(option)  # noqa: SLF001 - as above


def _help(parser: argparse.ArgumentParser, option: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(option) if option.help else ""  # noqa: SLF001 - as above


# --- pricestreamd.yaml(5)


def configuration_page() -> Iterator[str]:
    """Every key of the configuration, section by section."""
    schema = json_schema()
    yield from head("pricestreamd.yaml", 5, "configuration of pricestreamd")
    yield '.SH "DESCRIPTION"'
    yield escaped(
        "One YAML file, by default /etc/price-stream/config.yaml. Only feeds is required. Durations are written 250ms, "
        "30s, 5m, 1h, 7d, or as a number of seconds; sizes 64KiB, 4MiB, or as a number of bytes. ${NAME} and "
        "${NAME:-default} are taken from the environment; $$ is a dollar sign. pricestreamd check FILE tells every "
        "mistake with its place. A sample with every key is "
        "/opt/price-stream/current/share/price-stream/price-stream.yaml."
    )
    for key, property_ in schema["properties"].items():
        yield f'.SH "{escaped(key.upper())}"'
        inner = list(_below(schema, key, property_))
        yield escaped(property_["description"])
        if not inner:
            yield ".br"
            yield escaped(_type(property_))
        yield from inner
    yield '.SH "SEE ALSO"'
    yield "pricestreamd(8)"


def _below(schema: Json, path: str, property_: Json, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """What is written below a key: the keys of each class that its value may be.

    What several classes have alike is told once. A key that only some have says which: a class is known by the one word
    that its `type` may be.
    """
    classes = [found for found in dict.fromkeys(_classes(property_, "")) if found[1] not in seen]
    names = tuple(name for _, name in classes)
    owners: dict[tuple[str, str, str], list[str]] = {}
    deeper: dict[tuple[str, str, str], list[str]] = {}
    for suffix, name in classes:
        keys = schema["$defs"][name]["properties"]
        word = _word(keys) if len(classes) > 1 else ""
        for key, inner in keys.items():
            place = f"{path}{suffix}.{key}"
            below = list(_below(schema, place, inner, (*seen, *names)))
            told = (place, inner["description"], "" if below else _type(inner))
            if not (word and _only_word(inner) == word):
                owners.setdefault(told, []).append(word)
                deeper.setdefault(told, below)
    words = [word for word in (_word(schema["$defs"][name]["properties"]) for name in names) if word]
    if len(words) == len(classes) > 1:
        yield from paragraph(f"{path}{classes[0][0]}.type", "Which one.", f"Value: {' | '.join(words)}.")
    for (place, description, kind), had in owners.items():
        where = f"Of {', '.join(had)}. " if len(had) < len(classes) and all(had) else ""
        yield from paragraph(place, description, f"{where}{kind}".rstrip())
        yield from deeper[place, description, kind]


def _word(keys: Json) -> str:
    """The word that makes a mapping one of this class, where there is one."""
    words = (_only_word(keys[key]) for key in ("type", "provider") if key in keys)
    return next(filter(None, words), "")


def _only_word(part: Json) -> str:
    """The one word that a value may be, where there is but one."""
    words = [word for branch in (part, *part.get("anyOf", ())) for word in branch.get("enum", ())]
    return str(words[0]) if len(words) == 1 else ""


def _classes(part: Json, suffix: str) -> Iterator[tuple[str, str]]:
    """The classes that a part of the schema refers to, each with what stands between it and its key."""
    if (reference := part.get("$ref", "").rpartition("/")[2]) and reference[0].isupper():
        yield suffix, reference
    if "items" in part:
        yield from _classes(part["items"], f"{suffix}[]")
    if isinstance(part.get("additionalProperties"), dict):
        yield from _classes(part["additionalProperties"], f"{suffix}.NAME")
    for word in ("anyOf", "allOf"):
        for branch in part.get(word, ()):
            yield from _classes(branch, suffix)
    # What holds for most comes first.
    for word in ("else", "then"):
        if word in part:
            yield from _classes(part[word], suffix)


def _type(part: Json) -> str:
    """What may be written, and what is taken where nothing is."""
    kinds = dict.fromkeys(_kinds(part))
    default = part.get("default")
    if isinstance(default, bool):
        default = str(default).lower()
    if default in (None, [], ""):
        return f"Value: {', or '.join(kinds)}."
    if isinstance(default, list):
        default = ", ".join(default)
    return f"Value: {', or '.join(kinds)}. Default: {default}."


def _kinds(part: Json) -> Iterator[str]:
    bounds = "".join(f" {word} {part[key]:,}" for key, word in _BOUNDS.items() if key in part)
    if reference := part.get("$ref", "").rpartition("/")[2]:
        if reference in _UNITS:
            yield f"{_UNITS[reference]}{bounds}"
        elif reference != "environment":
            yield "a mapping"
    for branch in part.get("anyOf", ()):
        yield from _kinds(branch)
    if "enum" in part:
        yield " | ".join(str(value) for value in part["enum"])
    kind: Any = part.get("type", ())
    for name in (kind,) if isinstance(kind, str) else kind:
        if name == "array":
            yield f"list of {' or '.join(_kinds(part['items']))}"
        elif name == "object":
            yield "a mapping"
        elif not ("array" in kind or "object" in kind):
            yield f"{_WORDS[name]}{bounds}"


def write(folder: Path) -> None:
    """Both pages, in the folders of their sections."""
    for place, lines in (("man8/pricestreamd.8", program_page()), ("man5/pricestreamd.yaml.5", configuration_page())):
        page = folder / place
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
