"""The JSON Schema of the configuration, draft 2020-12, made from the settings classes: for editors, and for people.

The description of a key is the text under its field. Where a value may come from the environment, a text with `${...}`
is allowed beside the value itself. The schema sees one value at a time: what one setting demands of another only
`check` can tell.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from datetime import datetime, time
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import (
    Setting,
    arms,
    discriminators,
    is_class,
    is_list,
    is_mapping,
    item,
    settings_of,
    unwrapped,
)
from pricestreamd.config.units import BARE_DELAY, show_duration, show_size
from pricestreamd.model.secret import Secret
from pricestreamd.model.units import Unit

Json = dict[str, Any]

_NUMBER = r"[0-9]{1,18}(\.[0-9]{1,18})?"
_DURATION = rf"^{_NUMBER}(ms|s|m|h|d)?$"
# As a duration, but without its unit at most 300.
_DELAY = rf"^({_NUMBER}(ms|s|m|h|d)|0*([0-9]{{1,2}}|[12][0-9]{{2}})(\.[0-9]{{1,18}})?|0*300(\.0+)?)$"

_DEFINITIONS: Json = {
    "environment": {
        "description": "A value from the environment: ${NAME}, or ${NAME:-default}.",
        "type": "string",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    },
    "duration": {
        "description": "A duration: 250ms, 30s, 5m, 1h, 7d, or a bare number of seconds.",
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _DURATION}],
    },
    "delay": {
        "description": "A duration: 250ms, 30s, 5m, 1h, or a bare number of seconds up to 300.",
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": BARE_DELAY},
            {"type": "string", "pattern": _DELAY},
        ],
    },
    "size": {
        "description": "A size: 64KiB, 4MiB, or a bare number of bytes.",
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": rf"^{_NUMBER}(B|KiB|MiB|GiB)?$"},
        ],
    },
    "percent": {
        "description": "Per cent: 5.0 or 5.0%.",
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": rf"^[-+]?{_NUMBER} ?%?$"}],
    },
}
_BOUNDS = {"at_least": "minimum", "above": "exclusiveMinimum", "at_most": "maximum"}
_TEXTS: Mapping[Any, Json] = {
    str: {"type": "string"},
    Secret: {"type": "string"},
    Path: {"type": "string", "minLength": 1},
    time: {"type": "string", "pattern": r"^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$|\$\{"},
    datetime: {"type": "string"},
}


def json_schema() -> Json:
    """The whole schema, a fresh one at each call."""
    definitions: Json = {name: dict(definition) for name, definition in _DEFINITIONS.items()}
    root = _class(Settings, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of pricestreamd",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def class_schema(cls: type) -> Json:
    """The schema of one class of settings, without those that it refers to.

    Raises:
        KeyError: a setting is of a type that no file can be read as.
    """
    return _class(cls, {})


def _class(cls: type, definitions: Json) -> Json:
    texts = _descriptions(cls)
    known = settings_of(cls)
    properties = {key: _property(setting, texts, definitions) for key, setting in known.items()}
    required = [key for key, setting in known.items() if setting.required]
    if cls is Settings:
        # It has a default only for replay, which connects to nothing.
        required = ["feeds"]
        properties["feeds"] |= {"type": "object", "minProperties": 1}
    schema: Json = {"type": "object", "description": _first_line(cls), "properties": properties}
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False}


def _property(setting: Setting, texts: Mapping[str, str], definitions: Json) -> Json:
    schema = _type(setting.hint, setting.metadata, definitions)
    # A list or a mapping that is written with nothing in it is empty.
    if not setting.required and schema.get("type") in ("array", "object"):
        schema = {**schema, "type": [schema["type"], "null"]}
    default = None if setting.required else _default(setting)
    written = {} if default is None else {"default": default}
    return {"description": texts.get(setting.name, ""), **written, **schema}


def _default(setting: Setting) -> Any:
    """The default as a person would write it; None where it is not worth writing."""
    value = setting.neutral()
    if isinstance(value, bool | str):
        return value
    units = {note.kind for arm in arms(setting.hint) for note in unwrapped(arm)[1] if isinstance(note, Unit)}
    if isinstance(value, int | float):
        if units & {"duration", "delay"}:
            return show_duration(value)
        return show_size(int(value)) if "size" in units else value
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) and all(isinstance(part, str) for part in value) else None


def _type(hint: Any, metadata: Mapping[str, Any], definitions: Json) -> Json:
    alternatives = arms(hint)
    classes = [arm for arm in alternatives if is_class(arm)]
    others = [_arm(arm, metadata, definitions) for arm in alternatives if not is_class(arm)]
    if not classes:
        choices = others
    elif any(discriminators(cls) for cls in classes):
        choices = [*others, _by_word(classes, definitions)]
    else:
        choices = [*others, *({"$ref": _reference(cls, definitions)} for cls in classes)]
    if _from_environment(alternatives):
        choices.append({"$ref": "#/$defs/environment"})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _from_environment(alternatives: tuple[Any, ...]) -> bool:
    """Whether some word is possible that is not written as text; one that is may hold `${...}` anyway."""
    plain = [unwrapped(arm)[0] for arm in alternatives]
    if any(arm in _TEXTS for arm in plain):
        return False
    return any(arm in (bool, int, float) or get_origin(arm) is Literal for arm in plain)


def _arm(arm: Any, metadata: Mapping[str, Any], definitions: Json) -> Json:
    if is_list(arm):
        entries = {"minItems": metadata["entries"]} if "entries" in metadata else {}
        return {"type": "array", "items": _type(item(arm), metadata, definitions), **entries}
    if is_mapping(arm):
        return {"type": "object", "additionalProperties": _type(item(arm), metadata, definitions)}
    plain, notes = unwrapped(arm)
    bounds = {_BOUNDS[key]: limit for key, limit in metadata.items() if key in _BOUNDS}
    for note in notes:
        if isinstance(note, Unit):
            reference: Json = {"$ref": f"#/$defs/{note.kind}"}
            # Bounds of a schema hold for numbers only and let texts pass.
            return {**reference, **bounds}
    if get_origin(plain) is Literal:
        return {"enum": list(get_args(plain))}
    if plain in _TEXTS:
        return dict(_TEXTS[plain])
    names: Mapping[Any, str] = {NoneType: "null", bool: "boolean", int: "integer", float: "number"}
    return {"type": names[plain], **(bounds if plain in (int, float) else {})}


def _by_word(classes: list[type], definitions: Json) -> Json:
    """A class chosen by one of its keys: `type` of a sink, `provider: generic` of a feed."""
    key = next(key for cls in classes for key in discriminators(cls))
    words = {cls: discriminators(cls).get(key) for cls in classes}
    chosen: Json = {"type": "object", "required": [key]}
    fallback = next((cls for cls, word in words.items() if word is None), None)
    if fallback is None:
        chosen["properties"] = {key: {"enum": list(words.values())}}
    rules = []
    for cls, word in words.items():
        if word is not None:
            rule: Json = {"if": {"properties": {key: {"const": word}}, "required": [key]}}
            rule["then"] = {"$ref": _reference(cls, definitions)}
            if fallback is not None:
                rule["else"] = {"$ref": _reference(fallback, definitions)}
            rules.append(rule)
    return {**chosen, "allOf": rules}


def _reference(cls: type, definitions: Json) -> str:
    name = cls.__name__.removesuffix("Settings")
    if name not in definitions:
        definitions[name] = {}  # stands here while its parts are made
        definitions[name] = _class(cls, definitions)
    return f"#/$defs/{name}"


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0].replace("`", "")


@cache
def _descriptions(cls: type) -> Mapping[str, str]:
    """Field to the text under it, those of the classes that it inherits from included."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__[:-1]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        except OSError:  # somebody else's class, without its source
            continue
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                found[field.target.id] = str(ast.literal_eval(text.value))
    return found
