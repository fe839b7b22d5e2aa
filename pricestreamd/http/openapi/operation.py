"""What is said of one method of one address; and the little schemas of which larger ones are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]

JSON = "application/json"
TEXT = "text/plain"


def ref(name: str) -> Schema:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(key: str, name: str, **more: Schema) -> Schema:
    """An object whose `key` is a list of `name`."""
    return {
        "type": "object",
        "properties": {**more, key: {"type": "array", "items": ref(name)}},
        "required": [*more, key],
    }


def by_name(name: str) -> Schema:
    """An object whose keys are names of things and whose values are `name`."""
    return {"type": "object", "additionalProperties": ref(name)}


TEXT_SCHEMA: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT_SCHEMA}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One in the query; of those in the path the document knows by the address."""

    name: str
    description: str
    schema: Schema
    required: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes with one status. Without `schemas`, by the content type, it has no body."""

    description: str
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    location: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address. `problems` are the statuses that it answers beside those that every address may."""

    method: str
    path: str
    summary: str
    answers: Mapping[int, Answer]
    query: tuple[Parameter, ...] = ()
    body: Schema | None = None
    problems: tuple[int, ...] = ()
    open: bool = False

    @property
    def writes(self) -> bool:
        """Whether it changes something, and so needs the token always."""
        return self.method != "get"


def json_answer(description: str, schema: Schema) -> Answer:
    """An answer of JSON."""
    return Answer(description, {JSON: schema})


def limit(most: int) -> Parameter:
    """`limit=`, from 1 to `most`."""
    return Parameter("limit", "So many at most.", {"type": "integer", "minimum": 1, "maximum": most})
