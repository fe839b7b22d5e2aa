"""How settings classes look from outside: their fields by the key in the file, and which class a mapping stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pricestreamd.config.scalars import scalar
from pricestreamd.config.suggest import nearest
from pricestreamd.config.yaml_text import Location


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a settings class. `key` is its name in the file, `name` its name in Python."""

    name: str
    key: str
    hint: Any
    metadata: Mapping[str, Any]
    default: Any
    default_factory: Any

    @property
    def required(self) -> bool:
        """Whether the file must have it."""
        return self.default is MISSING and self.default_factory is MISSING

    def neutral(self) -> Any:
        """Its default, made afresh."""
        return self.default if self.default_factory is MISSING else self.default_factory()


@cache
def settings_of(cls: type) -> Mapping[str, Setting]:
    """Key to field, in the order of the class."""
    hints = get_type_hints(cls, include_extras=True)
    found = (
        Setting(
            field.name,
            field.metadata.get("key", field.name),
            hints[field.name],
            field.metadata,
            field.default,
            field.default_factory,
        )
        for field in fields(cls)
    )
    return {setting.key: setting for setting in found}


@cache
def arms(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a type, None as NoneType."""
    if get_origin(hint) in (Union, UnionType):
        return (*(arm for part in get_args(hint) for arm in arms(part)), *_admitted.get(hint, ()))
    return (NoneType if hint is None else hint,)


# Alternatives that a type does not name itself: settings of somebody else's.
_admitted: dict[Any, tuple[type, ...]] = {}


def admit(hint: Any, cls: type) -> bool:
    """Let `cls` be one of the alternatives of `hint`, a union, from now on; False: it is one already."""
    if cls in arms(hint):
        return False
    _admitted[hint] = (*_admitted.get(hint, ()), cls)
    arms.cache_clear()
    return True


def is_class(arm: Any) -> bool:
    """Whether an alternative is a settings class."""
    return isinstance(arm, type) and is_dataclass(arm)


def is_list(arm: Any) -> bool:
    """Whether an alternative is `tuple[x, ...]`."""
    return get_origin(arm) is tuple


def is_mapping(arm: Any) -> bool:
    """Whether an alternative is `Mapping[str, x]`."""
    return isinstance(origin := get_origin(arm), type) and issubclass(origin, Mapping)


def is_scalar(arm: Any) -> bool:
    """Whether an alternative is one word of the file."""
    return not (is_class(arm) or is_list(arm) or is_mapping(arm))


def item(arm: Any) -> Any:
    """The type of what a list or a mapping holds."""
    return get_args(arm)[0] if is_list(arm) else get_args(arm)[1]


@cache
def discriminators(cls: type) -> Mapping[str, str]:
    """Keys that allow one word only, and that word: `type` of a sink."""
    return {
        key: get_args(setting.hint)[0]
        for key, setting in settings_of(cls).items()
        if get_origin(setting.hint) is Literal and len(get_args(setting.hint)) == 1
    }


def word(data: Mapping[str, Any], key: str) -> str | None:
    """The text at `key` of a mapping of the file, if there is one."""
    found = scalar(data.get(key))
    return None if found is None else found.written


def choose(alternatives: tuple[Any, ...], data: Any) -> Any:
    """The alternative that `data` stands for, or None if it can be none of them.

    Of several classes it is the one whose discriminator is written; otherwise the one with most keys in common, and
    a plain mapping where no key is known.
    """
    if isinstance(data, list | tuple):
        return next(filter(is_list, alternatives), None)
    if not isinstance(data, Mapping):
        return None
    classes = [arm for arm in alternatives if is_class(arm)]
    for cls in classes:
        if any(word(data, key) == only for key, only in discriminators(cls).items()):
            return cls
    free = [cls for cls in classes if not discriminators(cls)]
    common = {cls: len(data.keys() & settings_of(cls).keys()) for cls in free}
    plain = next(filter(is_mapping, alternatives), None)
    best = max(free, key=common.__getitem__, default=None)
    if best is None or plain is None or common[best]:
        return best or plain
    # A mistyped key is still a key; any other word is one of the mapping's own.
    return best if any(nearest(key, settings_of(best), cutoff=0.8) for key in data) else plain


def walk(hint: Any, data: Any, location: Location = ()) -> Iterator[tuple[Location, type, Mapping[str, Any]]]:
    """Every mapping of the file that stands for a settings class: its location, the class and its data."""
    arm = choose(arms(hint), data)
    if is_list(arm):
        for index, entry in enumerate(data):
            yield from walk(item(arm), entry, (*location, index))
    elif is_mapping(arm):
        for key, entry in data.items():
            yield from walk(item(arm), entry, (*location, key))
    elif arm is not None:
        yield location, arm, data
        known = settings_of(arm)
        for key, entry in data.items():
            if key in known:
                yield from walk(known[key].hint, entry, (*location, key))


def unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its annotations, and those."""
    if get_origin(hint) is Annotated:
        plain, *notes = get_args(hint)
        return plain, tuple(notes)
    return hint, ()
