"""Why an alert did or did not fire, what has fired, and what came of the deliveries."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from pricestreamd.http.api import json_response
from pricestreamd.http.control import CONTROL, PastFiring
from pricestreamd.http.explanation import delivery_sentences, sentences
from pricestreamd.http.problem import RefusalError
from pricestreamd.http.query import limit_of, only, symbol_of
from pricestreamd.http.redaction import redacted
from pricestreamd.http.writes import unwritable
from pricestreamd.model.errors import StateError
from pricestreamd.model.secret import redact
from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.alerts.explain import AlertExplanation

# An alert on a glob may cover thousands; whoever wants to know more names a symbol.
MAX_EXPLAINED = 50
MAX_FIRINGS = 1000
MAX_LAST_FIRINGS = 100
_FIRINGS = 100
_LAST_FIRINGS = 20
# So many of the last firings are told with an explanation.
_TOLD_FIRINGS = 5


def routes() -> list[web.RouteDef]:
    """All addresses of this module but that of the last firings, which is there where nothing can be changed, too."""
    alert = "/api/v1/alerts/{alert_id:.+}"
    return [web.get(f"{alert}/explain", get_explanation), web.get(f"{alert}/firings", get_firings)]


async def get_explanation(request: web.Request) -> web.Response:
    """Why an alert did or did not fire, for one of its symbols or for all, as data and as sentences."""
    only(request, "symbol")
    control, alert_id, symbol = request.app[CONTROL], request.match_info["alert_id"], symbol_of(request)
    told, more = control.explain(alert_id, symbol, MAX_EXPLAINED)
    firings: list[PastFiring] | None = None
    unknown = None
    try:
        firings = await control.firings(alert_id, symbol, _TOLD_FIRINGS)
    except StateError as exc:
        unknown = redact(f"What was delivered before is not known: {exc}")
        firings = control.unwritten_firings(alert_id, symbol, _TOLD_FIRINGS) or None
    now = time.time()
    log_only = control.is_log_only(alert_id)
    answer = [_explanation(one, firings, unknown, now, log_only=log_only) for one in told]
    return json_response(redacted({"alert_id": alert_id, "explanations": answer, "more": more}))


def _explanation(
    told: AlertExplanation, firings: list[PastFiring] | None, unknown: str | None, now: float, *, log_only: bool
) -> dict[str, Any]:
    key = symbol_key(told["symbol"])
    own = [one for one in firings or () if one["symbol"] is not None and symbol_key(one["symbol"]) == key]
    delivered = delivery_sentences(own, now, log_only=log_only)
    lines = [*sentences(told, now), *delivered, *([unknown] if unknown else [])]
    return {**told, "last_firings": None if firings is None else own, "sentences": lines}


async def get_last_firings(request: web.Request) -> web.Response:
    """The last firings of all alerts, newest first; none where nobody keeps account of them."""
    only(request, "limit")
    limit = limit_of(request, most=MAX_LAST_FIRINGS) or _LAST_FIRINGS
    control = request.app.get(CONTROL)
    try:
        firings = await control.last_firings(limit) if control is not None else []
    except StateError as exc:
        raise unwritable(f"the state cannot be read ({exc})") from exc
    return json_response(redacted({"firings": firings}))


async def get_firings(request: web.Request) -> web.Response:
    """The past firings of an alert, newest first, with what came of their deliveries."""
    only(request, "symbol", "limit")
    limit = limit_of(request, most=MAX_FIRINGS) or _FIRINGS
    control, alert_id = request.app[CONTROL], request.match_info["alert_id"]
    try:
        firings = await control.firings(alert_id, symbol_of(request), limit)
    except StateError as exc:
        raise unwritable(f"the state cannot be read ({exc})") from exc
    if not firings and control.alert(alert_id) is None:
        raise RefusalError(404, "There is no alert of that id. GET /api/v1/alerts lists them.")
    return json_response(redacted({"alert_id": alert_id, "firings": firings}))
