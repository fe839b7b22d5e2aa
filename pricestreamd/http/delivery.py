"""Sinks and what they owe: how each is, one tried out, the outbox listed, tried again, and forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from pricestreamd.http.api import json_response
from pricestreamd.http.body import body_of, no_body
from pricestreamd.http.control import CONTROL
from pricestreamd.http.problem import RefusalError, field_refusal
from pricestreamd.http.query import limit_of, only
from pricestreamd.http.redaction import redacted
from pricestreamd.http.writes import TURN, unwritable
from pricestreamd.model.errors import StateError

MAX_OWED = 1000
# Ids of one request.
MAX_IDS = 1000
# The numbers that the state gives are of 63 bits.
MAX_ID = 2**63 - 1
MAX_SINK = 200
_OWED = 100
_SELECTORS = ("ids", "sink", "all")
_DIGITS = len(str(MAX_ID))


def routes() -> list[web.RouteDef]:
    """All addresses of this module."""
    return [
        web.get("/api/v1/sinks", get_sinks),
        web.post("/api/v1/sinks/{sink:.+}/test", post_test),
        web.get("/api/v1/outbox", get_outbox),
        web.post("/api/v1/outbox/retry", post_retry),
        web.delete("/api/v1/outbox", delete_outbox),
    ]


async def get_sinks(request: web.Request) -> web.Response:
    """How every sink is."""
    only(request)
    return json_response(redacted({"sinks": await request.app[CONTROL].sinks()}))


async def post_test(request: web.Request) -> web.Response:
    """Try a sink out; that it fails is an answer, too."""
    only(request, "call")
    await no_body(request)
    call = _boolean(request, "call") or False
    found = await request.app[TURN].whole(request.app[CONTROL].test_sink(request.match_info["sink"], call=call))
    return json_response(redacted(found))


async def get_outbox(request: web.Request) -> web.Response:
    """What sinks owe, newest first."""
    only(request, "sink", "dead", "limit")
    sink, dead, limit = _sink(request), _boolean(request, "dead"), limit_of(request, most=MAX_OWED) or _OWED
    try:
        found = await request.app[CONTROL].outbox(sink, dead=dead, limit=limit)
    except StateError as exc:
        raise unwritable(f"the state cannot be read ({exc})") from exc
    return json_response(redacted({"deliveries": found}))


async def post_retry(request: web.Request) -> web.Response:
    """Try now what is owed."""
    only(request)
    sink, ids = _selected(await body_of(request))
    try:
        found = await request.app[TURN].whole(request.app[CONTROL].retry_outbox(sink, ids))
    except StateError as exc:
        raise unwritable(f"the state cannot be used ({exc})") from exc
    return json_response(found)


async def delete_outbox(request: web.Request) -> web.Response:
    """Forget what was given up, and say what that was."""
    only(request, "sink", "dead", "id")
    await no_body(request)
    sink, dead, ids = _sink(request), _boolean(request, "dead"), _ids(request)
    if (sink is None) is not bool(ids):
        raise RefusalError(400, "Name deliveries by id, or a sink by sink=, and not both.")
    if ids and dead is not None:
        raise RefusalError(400, "dead: goes with sink=, not with id=", parameter="dead")
    if dead is False:
        raise RefusalError(400, "dead: expected true, or leave it out", parameter="dead")
    try:
        found = await request.app[TURN].whole(request.app[CONTROL].drop_outbox(sink, ids, dead=bool(dead)))
    except StateError as exc:
        raise unwritable(f"nothing was dropped, because the state cannot be written ({exc})") from exc
    return json_response(redacted(found))


def _selected(body: Mapping[str, Any]) -> tuple[str | None, Sequence[int] | None]:
    """The sink and the ids that a body names; neither: all."""
    for key in body:
        if key not in _SELECTORS:
            raise field_refusal(key[:100], f"unknown key; known here: {', '.join(_SELECTORS)}")
    if len(body) != 1:
        raise field_refusal(_SELECTORS[0], 'expected one of {"ids": [17]}, {"sink": "hook"} and {"all": true}')
    if "all" in body:
        if body["all"] is not True:
            raise field_refusal("all", "expected true")
        return None, None
    if "sink" in body:
        sink = body["sink"]
        if not isinstance(sink, str) or not 0 < len(sink) <= MAX_SINK:
            raise field_refusal("sink", "expected the name of a sink")
        return sink, None
    ids = body["ids"]
    whole = isinstance(ids, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in ids)
    if not whole or not ids or not all(1 <= one <= MAX_ID for one in ids):
        raise field_refusal("ids", "expected a list of ids as GET /api/v1/outbox shows them")
    if len(ids) > MAX_IDS:
        raise field_refusal("ids", f"at most {MAX_IDS} in one request")
    return None, ids


def _ids(request: web.Request) -> list[int] | None:
    given = request.query.getall("id", [])
    if not given:
        return None
    if len(given) > MAX_IDS:
        raise RefusalError(400, f"id: at most {MAX_IDS} in one request", parameter="id")
    for text in given:
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and 1 <= int(text) <= MAX_ID):
            raise RefusalError(400, "id: expected a number as GET /api/v1/outbox shows it", parameter="id")
    return [int(text) for text in given]


def _sink(request: web.Request) -> str | None:
    given = _one(request, "sink")
    if given is not None and not 0 < len(given) <= MAX_SINK:
        raise RefusalError(400, "sink: expected the name of a sink", parameter="sink")
    return given


def _boolean(request: web.Request, name: str) -> bool | None:
    given = _one(request, name)
    if given is None:
        return None
    if given not in ("true", "false"):
        raise RefusalError(400, f"{name}: expected true or false", parameter=name)
    return given == "true"


def _one(request: web.Request, name: str) -> str | None:
    given = request.query.getall(name, [])
    if len(given) > 1:
        raise RefusalError(400, f"{name}: one at a time", parameter=name)
    return given[0] if given else None
