"""Reads YAML text into plain lists, mappings and scalars, and remembers the place of each.

A subclass of PyYAML's SafeLoader that stops before constructing anything: the event stream is bounded (depth, aliases),
tags are refused, and `scalars` decides what a scalar means. A merge (`<<: *name`) takes one mapping, so that what a
file expands to is bounded by MAX_VALUES; a key written twice is an error at its second place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from pricestreamd.config.environment import interpolate
from pricestreamd.config.scalars import BROKEN, Scalar, resolve
from pricestreamd.model.errors import Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_ALIASES = 100
MAX_VALUES = 250_000  # what one MiB can hold without aliases is less

Location = tuple[str | int, ...]


def dotted(location: Location) -> str:
    """The key as people name it: `alerts[0].symbol`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a location of the document.

    `on_key` points at the key, not at its value. `absent`: something is missing there. `meant`: the key is unknown,
    and this is the one that was meant, if that is known; what it was meant to be is not told as absent too.
    """

    location: Location
    message: str
    on_key: bool = False
    absent: bool = False
    meant: str | None = None


@dataclass(slots=True)
class Document:
    """The data of a file, the places of its values and keys, and the faults found while reading."""

    data: Any = field(default_factory=dict)
    values: dict[Location, Place] = field(default_factory=dict)
    keys: dict[Location, Place] = field(default_factory=dict)
    faults: list[tuple[Place, Location, str]] = field(default_factory=list)

    def problem(self, path: str, fault: Fault) -> Problem:
        """`fault` as it is told, with its place in the file `path`."""
        place = self.place(fault.location, on_key=fault.on_key)
        return Problem(path, place.line, place.column, dotted(fault.location), fault.message)

    def place(self, location: Location, *, on_key: bool = False) -> Place:
        """Where `location` is written; of what is not there, where its nearest owner is."""
        if on_key and location in self.keys:
            return self.keys[location]
        while location:
            if location in self.values:
                return self.values[location]
            location = location[:-1]
            if location in self.keys:
                return self.keys[location]
        return self.values.get((), Place(1, 1))


class YamlError(Exception):
    """The text is not YAML, or breaks a limit: nothing after `place` was read."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


def read_yaml(content: bytes, environ: Mapping[str, str]) -> Document:
    """The document in `content`. Raises YamlError for what makes the rest unreadable; other faults are collected."""
    if len(content) > MAX_BYTES:
        raise YamlError(Place(1, 1), "the file is larger than 1 MiB")
    text = _decode(content)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        place = _place_of_offset(text, error.position)
        raise YamlError(place, "a character that YAML does not allow") from None
    except yaml.MarkedYAMLError as error:
        raise _plain(error, text) from None
    document = Document()
    if node is not None:
        _Reader(document, environ).read(node)
    return document


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        raise YamlError(_place_of_offset(before, len(before)), "the file is not UTF-8 text") from None


def _place_of_offset(text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def _stop(event: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


class _Loader(yaml.SafeLoader):
    """Composes nodes within the limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs have no types for it
        if isinstance(event, yaml.AliasEvent):
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                raise _stop(event, f"more than {MAX_ALIASES} aliases")
        elif event.tag is not None:
            raise _stop(event, "tags are not used here: remove it")
        if not isinstance(event, yaml.CollectionStartEvent):
            return super().compose_node(parent, index)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _stop(event, f"nested deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> str:
        # Tags mean nothing here: `scalars.resolve` reads the words.
        return "tag:yaml.org,2002:str"


# Texts of PyYAML's that a person who edits a file cannot be expected to know.
_PLAIN_WORDS = (
    ("character '\\t'", "a tab: YAML is indented with spaces"),
    ("expected <block end>", "the indentation does not fit the lines above, or a bracket or quote is missing"),
    ("could not find expected ':'", "this line is no `key: value`, or a bracket or quote above it is not closed"),
    ("mapping values are not allowed", "a second colon in one line, or indentation that does not fit; quote the text"),
    ("but found another document", "only one document is read: remove the line `---`"),
    ("<stream end>", "a bracket is not closed"),
    ("unexpected end of stream", "a quote is not closed"),
    ("expected ',' or", "a comma or a closing bracket is missing"),
    ("found undefined alias", "an alias without an anchor of that name above it"),
)


def _plain(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem = " ".join(filter(None, (error.context, error.problem))) or "not readable"
    if mark and text[mark.index - 1 : mark.index + 1] == "${":
        return YamlError(Place(place.line, place.column - 1), 'inside { } or [ ] quote it: "${NAME}"')
    for words, plain in _PLAIN_WORDS:
        if words in problem:
            return YamlError(place, plain)
    if isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError | yaml.composer.ComposerError):
        return YamlError(place, f"not YAML: {problem}")
    return YamlError(place, problem)


def _start(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


class _Reader:
    """Turns nodes into data. Aliased nodes are read again at each of their locations."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._count = 0

    def read(self, root: yaml.Node) -> None:
        self._document.data = self._value(root, ())

    def _fault(self, node: yaml.Node, location: Location, message: str) -> None:
        self._document.faults.append((_start(node), location, message))

    def _value(self, node: yaml.Node, location: Location) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise YamlError(_start(node), f"aliases make this file larger than {MAX_VALUES} values")
        if len(location) > MAX_DEPTH:
            raise YamlError(_start(node), f"nested deeper than {MAX_DEPTH}: an alias inside its own anchor?")
        self._document.values[location] = _start(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*location, index)) for index, item in enumerate(node.value)]
        return self._mapping(node, location)

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Scalar:
        found = interpolate(node.value, self._environ)
        for message in found.faults:
            self._fault(node, location, message)
        if found.faults:
            return BROKEN
        quoted = node.style is not None
        value = found.text if quoted else resolve(found.text)
        return Scalar(value, found.text, quoted, found.names, found.values)

    def _mapping(self, node: yaml.Node, location: Location) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in self._pairs(node, location, 0):
            place = (*location, key.value)
            self._document.keys[place] = _start(key)
            data[key.value] = self._value(value, place)
        return data

    def _pairs(self, node: yaml.Node, location: Location, depth: int) -> list[tuple[yaml.Node, yaml.Node]]:
        """The pairs written in a mapping, then those that its merge brings."""
        if depth > MAX_DEPTH:
            raise YamlError(_start(node), f"merges nested deeper than {MAX_DEPTH}")
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merge: yaml.Node | None = None
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(key, location, "a key must be a word")
            elif key.value == "<<" and key.style is None:
                if merge is not None or not isinstance(value, yaml.MappingNode):
                    self._fault(key, location, "a mapping takes one merge, of one mapping: <<: *name")
                else:
                    merge = value
            elif key.value in pairs:
                first = _start(pairs[key.value][0]).line
                self._fault(key, (*location, key.value), f"this key is already written in line {first}")
            else:
                pairs[key.value] = (key, value)
        if merge is not None:
            for key, value in self._pairs(merge, location, depth + 1):
                pairs.setdefault(key.value, (key, value))
        return list(pairs.values())
