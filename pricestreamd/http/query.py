"""Query parameters: what cannot be meant is refused with the parameter's name and what to write instead."""

from __future__ import annotations

import difflib

from aiohttp import web

from pricestreamd.http.problem import RefusalError

# More than any history keeps; a number beyond it is a mistake.
MAX_LIMIT = 1_000_000
# As in the configuration.
MAX_SYMBOL = 128


def only(request: web.Request, *known: str) -> None:
    """Refuse a parameter that this address does not know: ignoring `symbols=` would answer another question."""
    for name in request.query:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known) or 'none'}"
        raise RefusalError(400, f"Unknown parameter {name[:100]!r}; {hint}", parameter=name[:100])


def limit_of(request: web.Request, most: int = MAX_LIMIT) -> int | None:
    """The parameter `limit`, a whole number from 1 to `most`; None where it is absent."""
    text = request.query.get("limit")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= most):
        raise RefusalError(400, f"limit: expected a whole number from 1 to {most}", parameter="limit")
    return int(text)


def symbol_of(request: web.Request) -> str | None:
    """The parameter `symbol`, one symbol; None where it is absent."""
    given = request.query.getall("symbol", [])
    if not given:
        return None
    if len(given) > 1:
        raise RefusalError(400, "symbol: one at a time", parameter="symbol")
    if not given[0].strip() or len(given[0]) > MAX_SYMBOL or not given[0].isprintable():
        raise RefusalError(400, "symbol: expected a symbol such as AAPL", parameter="symbol")
    return given[0]


def flag(request: web.Request, name: str) -> bool:
    """Whether a flag such as `?verbose` is given, and not as `false` or `0`."""
    value = request.query.get(name)
    return value is not None and value.lower() not in ("false", "0", "no")
