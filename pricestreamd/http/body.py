"""The body of a request that changes something: one JSON object, bounded in size and depth, each key once."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, NoReturn

from aiohttp import hdrs, web

from pricestreamd.http.problem import RefusalError

JSON = "application/json"
# For all of it; a request whose letters trickle in holds a connection.
BODY_SECONDS = 5.0
# An alert with its hours is three levels deep.
MAX_DEPTH = 8
# A price of so many digits is a mistake, and a longer one costs time to read.
MAX_DIGITS = 100


class BodyError(ValueError):
    """A text that is no JSON object as we take it."""


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. It is read whole before anything is changed; 64 KiB are the application's limit."""
    if request.content_type != JSON:
        raise RefusalError(
            415, f"The body has to be JSON: send the header Content-Type: {JSON}.", headers={hdrs.ACCEPT: JSON}
        )
    data = await read_body(request)
    try:
        return parse_object(data)
    except BodyError as exc:
        raise RefusalError(400, f"The body is no JSON object: {exc}") from exc


async def no_body(request: web.Request) -> None:
    """Refuse a body where there is none to be: what it asks for would not happen."""
    if await read_body(request):
        raise RefusalError(400, "This request has no body: what it is about is in its address.")


async def read_body(request: web.Request) -> bytes:
    """All of the body, if it comes in time.

    Raises:
        RefusalError: it takes too long (408).
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        text = f"The body took longer than {BODY_SECONDS:g} s."
        raise RefusalError(408, text, headers={hdrs.CONNECTION: "close"}) from None


def parse_object(data: bytes) -> dict[str, Any]:
    """The object in `data`, strictly: UTF-8, each key once, finite numbers, no deeper than `MAX_DEPTH`.

    Raises:
        BodyError: it is none; the text says why, and holds nothing of `data` but a key.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BodyError(f"byte {exc.start} is not UTF-8") from None
    try:
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=_not_a_number, parse_float=_finite, parse_int=_whole
        )
    except json.JSONDecodeError as exc:
        raise BodyError(f"{exc.msg} at line {exc.lineno}, column {exc.colno}") from None
    except RecursionError:
        raise BodyError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    if not isinstance(found, dict):
        raise BodyError("it is something else")
    _check(found, 1)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise BodyError(f"{key[:100]!r} is there twice")
        if not key.isprintable():
            raise BodyError("a key has letters that cannot be printed")
        found[key] = value
    return found


def _not_a_number(name: str) -> NoReturn:
    raise BodyError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyError("a number is too large")
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise BodyError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _check(value: Any, depth: int) -> None:
    """Whether it is shallow, and every text in it can be written as UTF-8 again: half of a surrogate pair cannot."""
    if depth > MAX_DEPTH:
        raise BodyError(f"it is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BodyError("half of a surrogate pair is no text") from None
    elif isinstance(value, dict):
        for entry in value.values():
            _check(entry, depth + 1)
    elif isinstance(value, list):
        for entry in value:
            _check(entry, depth + 1)
