"""What the contract has and this version does not do yet: such a key is accepted, told of, and ignored.

A key that is written with its default asks for nothing and is not told of. When a part is built, its line goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import Setting, settings_of, walk
from pricestreamd.config.yaml_text import Fault, Location
from pricestreamd.feeds.settings import PROVIDERS
from pricestreamd.providers.catalogue import BUILT_IN

NOT_BUILT_PROVIDERS = frozenset(PROVIDERS) - set(BUILT_IN)

# `*` stands for a name or a position.
NOT_BUILT_KEYS = (
    "feeds.*.api_secret",
    "feeds.*.api_secret_file",
    "stream.bars",
    "portfolio",
)
_PATTERNS = frozenset(tuple(pattern.split(".")) for pattern in NOT_BUILT_KEYS)


def not_built(data: Any, settings: Settings, defaults: Settings) -> list[Fault]:
    """One warning for each key in `data` that is ignored.

    `settings` are what it was read as, `defaults` what an empty file is read as.
    """
    found: list[Fault] = []
    for location, cls, mapping in walk(Settings, data):
        for key in mapping:
            place = (*location, key)
            if _matches(place) and _asked(settings, defaults, location, settings_of(cls)[key]):
                found.append(Fault(place, "not built yet: ignored", on_key=True))
    return found


def _matches(place: Location) -> bool:
    words = tuple(str(part) for part in place)
    return words in _PATTERNS or (*words[:1], "*", *words[2:]) in _PATTERNS


def _asked(settings: Settings, defaults: Settings, location: Location, setting: Setting) -> bool:
    """Whether the value of `setting`, of the mapping at `location`, differs from its default."""
    owner: Any = settings
    part: Any
    for part in location:
        if isinstance(owner, Mapping | tuple):
            owner = owner[part]
        else:
            owner = getattr(owner, settings_of(owner.__class__)[part].name)
    # A section's own default may hold a path, which is relative to something only after reading.
    neutral = getattr(defaults, setting.name) if owner is settings else setting.neutral()
    return bool(getattr(owner, setting.name) != neutral)
