"""Builds settings from the data of a file, and finds every fault of it in one pass.

pydantic-core walks the data: its schema is made here from the settings classes, once and only when it is needed.
Words are read by `words`, so every message is ours; where several types are possible, a tag chosen by the shape of the
data picks one, so that a fault is told once and of the type that was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, ValidationError, core_schema

from pricestreamd.config.scalars import Scalar, describe, scalar
from pricestreamd.config.shape import (
    Setting,
    arms,
    choose,
    discriminators,
    is_class,
    is_list,
    is_mapping,
    is_scalar,
    item,
    settings_of,
    unwrapped,
    walk,
)
from pricestreamd.config.suggest import did_you_mean, nearest, one_of
from pricestreamd.config.words import Folders, Kind, UnfitError, kind_of
from pricestreamd.config.yaml_text import Fault, Location
from pricestreamd.model.secret import Secret

T = TypeVar("T")

# Tags show up in pydantic's locations; no key of a file can begin like this.
_TAG = "\0"
_WORD = _TAG + "word"

# A key so like one beside it (`symbol`, `symbols`) is that one mistyped, whatever there is one level deeper.
_SIBLING = 0.85


def build(cls: type[T], data: Any, folders: Folders) -> tuple[T | None, list[Fault]]:
    """An instance of `cls` made from `data`, or None and what is wrong with it."""
    wanted: Any = cls
    try:
        return _validator(wanted).validate_python(data, context=folders), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    owners: dict[Location, type] = {}
    if any(detail["type"] == "unexpected_keyword_argument" for detail in details):
        owners = {location: owner for location, owner, _ in walk(wanted, data)}
    # Entries that cannot be read do not count for pydantic; that a list is too short is then not the fault.
    inside = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
    told = (detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in inside)
    faults = (_fault(detail["type"], detail["loc"], detail.get("ctx", {}), owners) for detail in told)
    return None, [fault for fault in faults if fault is not None]


def _fault(kind: str, raw: Location, context: Mapping[str, Any], owners: Mapping[Location, type]) -> Fault | None:
    location = tuple(part for part in raw if not (isinstance(part, str) and part.startswith(_TAG)))
    if kind == "reported":
        return None
    if kind == "missing":
        return Fault(location, "this key is missing", on_key=True, absent=True)
    if kind == "unexpected_keyword_argument":
        message, meant = _unknown(str(location[-1]), owners[location[:-1]])
        return Fault(location, message, on_key=True, meant=meant)
    if kind == "too_short":
        return Fault(location, "expected at least one entry")
    return Fault((*location, *context.get("at", ())), context["text"])


def _unknown(key: str, owner: type) -> tuple[str, str]:
    """What to say of a key that `owner` does not have, and the key that was meant, or an empty text."""
    known = settings_of(owner)
    if sibling := nearest(key, known, cutoff=_SIBLING):
        return f"unknown key; did you mean {sibling!r}?", sibling
    for outer, setting in known.items():
        if any(is_class(arm) and key in settings_of(arm) for arm in arms(setting.hint)):
            return f"unknown key; did you mean '{outer}.{key}'?", outer
    meant = nearest(key, known)
    if meant:
        return f"unknown key; did you mean {meant!r}?", meant
    return f"unknown key; known here: {', '.join(known)}" if len(known) <= 25 else "unknown key", ""


@cache
def _validator(cls: Any) -> SchemaValidator:
    return SchemaValidator(_alternatives(cls, {}))


def forget_schemas() -> None:
    """Types have other alternatives than before: their schemas are made anew when they are needed."""
    _validator.cache_clear()
    _class.cache_clear()


def _alternatives(hint: Any, metadata: Mapping[str, Any], *, optional: bool = False) -> CoreSchema:
    """The schema of a type: one choice for each list, mapping or class in it, and one for all its words together."""
    alternatives = arms(hint)
    structures = [arm for arm in alternatives if not is_scalar(arm)]
    words = _words(alternatives, metadata)
    if not structures:
        return words
    tags = {arm: f"{_TAG}{number}" for number, arm in enumerate(structures)}
    # `symbols:` with nothing after it, its entries perhaps commented out, is an empty list.
    empty = optional and len(alternatives) == 1 and not is_class(alternatives[0])
    choices = {tag: _structure(arm, metadata, empty=empty) for arm, tag in tags.items()}

    def tag(data: Any) -> str:
        if empty and isinstance(data, Scalar) and data.value is None and not data.broken:
            return tags[alternatives[0]]
        chosen = choose(alternatives, data)
        return _WORD if chosen is None else tags[chosen]

    return core_schema.tagged_union_schema({**choices, _WORD: words}, discriminator=tag)


def _structure(arm: Any, metadata: Mapping[str, Any], *, empty: bool) -> CoreSchema:
    if is_class(arm):
        return _class(arm)
    inner = _alternatives(item(arm), metadata)
    schema: CoreSchema
    if is_list(arm):
        schema = core_schema.tuple_schema([inner], variadic_item_index=0, min_length=metadata.get("entries"))
    else:
        schema = core_schema.dict_schema(core_schema.any_schema(), inner)
    if not empty:
        return schema
    nothing: Any = () if is_list(arm) else {}
    return core_schema.no_info_before_validator_function(
        lambda data: nothing if isinstance(data, Scalar) else data, schema
    )


@cache
def _class(cls: type) -> CoreSchema:
    known = settings_of(cls)
    fields = [
        core_schema.dataclass_field(setting.name, _field(setting), kw_only=True, validation_alias=key)
        for key, setting in known.items()
    ]
    arguments = core_schema.dataclass_args_schema(cls.__name__, fields, extra_behavior="forbid")
    names = [setting.name for setting in known.values()]
    return core_schema.dataclass_schema(cls, arguments, names, slots=True, post_init=hasattr(cls, "__post_init__"))


def _field(setting: Setting) -> CoreSchema:
    if setting.required:
        return _alternatives(setting.hint, setting.metadata)
    schema = _alternatives(setting.hint, setting.metadata, optional=True)
    if setting.default_factory in arms(setting.hint):
        # A section that is not written is read like an empty one: there may be a path in it.
        return core_schema.with_default_schema(schema, default_factory=dict, validate_default=True)
    path = isinstance(setting.default, Path)
    return core_schema.with_default_schema(schema, default_factory=setting.neutral, validate_default=path)


def _words(alternatives: tuple[Any, ...], metadata: Mapping[str, Any]) -> CoreSchema:
    """The schema of all words that a type allows; whatever fits none of its alternatives ends here too."""
    kinds = [kind_of(arm, metadata) for arm in alternatives if is_scalar(arm)]
    # It may be a secret in the wrong form, or at the wrong key.
    secret = "secret" in metadata or any(
        unwrapped(arm)[0] is Secret for inner in alternatives for arm in _leaves(inner)
    )
    expected = _expected(alternatives, kinds)
    key, known = _discriminator(alternatives)

    def read(data: Any, info: core_schema.ValidationInfo[Any]) -> Any:
        word = scalar(str(data) if isinstance(data, Path) else data)
        if word is not None and word.broken:
            raise PydanticCustomError("reported", "reported")
        if isinstance(data, Mapping) and key:
            raise _wrong(_untyped(data.get(key), known), at=(key,) if key in data else ())
        hint = ""
        if word is not None:
            for kind in kinds:
                try:
                    return kind.read(word, info.context)
                except UnfitError as unfit:
                    if unfit.whole:
                        raise _wrong(unfit.whole) from None
                    hint = hint or unfit.hint
        got = "text" if secret and word is not None and word.text and not word.names else describe(data)
        if word is not None and word.value is None and not word.names and not kinds:
            hint = "; leave the key out for its default"
        raise _wrong(f"expected {expected}, got {got}{hint}")

    return core_schema.with_info_plain_validator_function(read)


def _wrong(text: str, *, at: tuple[str, ...] = ()) -> PydanticCustomError:
    return PydanticCustomError("setting", "{text}", {"text": text, "at": at})


def _leaves(arm: Any) -> tuple[Any, ...]:
    """The types of the words that an alternative may hold."""
    if is_list(arm) or is_mapping(arm):
        return tuple(leaf for inner in arms(item(arm)) for leaf in _leaves(inner))
    return (arm,)


def _expected(alternatives: tuple[Any, ...], kinds: list[Kind]) -> str:
    phrases = [phrase for kind in kinds for phrase in kind.phrases if phrase != "null"]
    if any(is_list(arm) for arm in alternatives):
        phrases.append("a list such as [a, b]")
    if any(is_class(arm) or is_mapping(arm) for arm in alternatives):
        phrases.append("a mapping of keys")
    # Where null only means that there is none, it goes without saying.
    if NoneType in alternatives and not set(phrases) <= {"text", "a path", "an address"}:
        phrases.append("null")
    return one_of(phrases)


def _discriminator(alternatives: tuple[Any, ...]) -> tuple[str, list[str]]:
    """The key that decides between classes that all have one, and its words."""
    found = [next(iter(discriminators(arm).items()), ("", "")) for arm in alternatives if is_class(arm)]
    if len(found) < 2 or not all(key for key, _ in found):
        return "", []
    return found[0][0], [word for _, word in found]


def _untyped(data: Any, known: list[str]) -> str:
    word = scalar(data)
    if data is None or word is None:
        return f"its type is missing: {one_of(known)}"
    hint = "" if word.names else did_you_mean(word.text, known)
    return f"expected {one_of(known)}, got {describe(word)}{hint}"
