"""Puts the environment into the values of a file: `${NAME}`, `${NAME:-default}`, and `$$` for a dollar sign.

The value taken is text and stays text: nothing in it is read as YAML, and no `${` inside it counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$(?:\$|\{([^}]*)(\}?))")
DEFAULT_PROPOSED = ", or give a default: "
"""How the remedy goes on that is none for a secret."""
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, repr=False)
class Interpolated:
    """A text after interpolation, the names it mentions, the values they had, and what was wrong with it."""

    text: str
    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def interpolate(text: str, environ: Mapping[str, str]) -> Interpolated:
    """`text` with its references replaced. A name that is unset or empty takes its default, where it has one."""
    if "$" not in text:
        return Interpolated(text)
    names: list[str] = []
    values: list[str] = []
    faults: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        inside = _INSIDE.fullmatch(match[1]) if match[2] else None
        if inside is None:
            faults.append("expected ${NAME} or ${NAME:-default}; a dollar sign before a brace is written $$")
            return ""
        name, default = inside[1], inside[2]
        value = environ.get(name)
        if value is None and default is None:
            faults.append(f"the environment has no {name}; set it{DEFAULT_PROPOSED}${{{name}:-...}}")
        names.append(name)
        taken = value if value or default is None else default
        values.append(taken or "")
        return taken or ""

    replaced = _REFERENCE.sub(replace, text)
    return Interpolated(replaced, tuple(names), tuple(values), tuple(faults))
