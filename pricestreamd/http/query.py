"""Query parameters: what cannot be meant is refused with the parameter's name and what to write instead."""

from __future__ import annotations

import difflib

from aiohttp import web

from pricestreamd.http.problem import RefusalError

# More than any history keeps; a number beyond it is a mistake.
MAX_LIMIT = 1_000_000


def only(request: web.Request, *known: str) -> None:
    """Refuse a parameter that this address does not know: ignoring `symbols=` would answer another question."""
    for name in request.query:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known) or 'none'}"
        raise RefusalError(400, f"Unknown parameter {name[:100]!r}; {hint}", parameter=name[:100])


def limit_of(request: web.Request) -> int | None:
    """The parameter `limit`, a whole number from 1; None where it is absent."""
    text = request.query.get("limit")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= MAX_LIMIT):
        raise RefusalError(400, f"limit: expected a whole number from 1 to {MAX_LIMIT}", parameter="limit")
    return int(text)


def flag(request: web.Request, name: str) -> bool:
    """Whether a flag such as `?verbose` is given, and not as `false` or `0`."""
    value = request.query.get(name)
    return value is not None and value.lower() not in ("false", "0", "no")
