"""What changes something: alerts and symbols set, changed, removed, re-armed; and why an alert did or did not fire.

A change holds from the moment in which it is made, and is answered when it will outlast the process. Writes go one
after the other, and each asks first whether the disk takes anything: where it does not, nothing is changed. A client
that leaves in between cuts no write in half.
"""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import hdrs, web

from pricestreamd.http.api import ALERT_PATH, json_response
from pricestreamd.http.body import body_of, no_body
from pricestreamd.http.control import CONTROL, Control, PastFiring, SetAlert
from pricestreamd.http.explanation import delivery_sentences, sentences
from pricestreamd.http.problem import RefusalError, field_refusal
from pricestreamd.http.query import limit_of, only, symbol_of
from pricestreamd.http.redaction import redacted
from pricestreamd.model.errors import StateError
from pricestreamd.model.secret import redact
from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.alerts.explain import AlertExplanation

# Symbols of one request. Each is subscribed at the provider's own pace anyway.
MAX_SYMBOLS = 1000
# An alert on a glob may cover thousands; whoever wants to know more names a symbol.
MAX_EXPLAINED = 50
MAX_FIRINGS = 1000
MAX_LAST_FIRINGS = 100
_FIRINGS = 100
_LAST_FIRINGS = 20
# So many of the last firings are told with an explanation.
_TOLD_FIRINGS = 5
_RETRY_SECONDS = "5"
# The server stops while the daemon does: by then nobody may be there who commits.
END_SECONDS = 1.0

_T = TypeVar("_T")


class Turn:
    """One write after the other, each in a task of its own."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def write(self, control: Control, change: Callable[[], _T]) -> _T:
        """What `change()` returns, when it will last.

        Raises:
            RefusalError: what `change` raises, or that the disk refuses (503), with what holds then.
        """
        return await self.whole(self._write(control, change))

    async def whole(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` returns. It goes on to its end when the client leaves in between."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def end(self, timeout: float = END_SECONDS) -> None:
        """Let the writes that are under way come to their end within `timeout` seconds, and wait for no others."""
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks, timeout=timeout)
            for task in pending:
                # What it has changed is noted, and goes with the last commit of the run.
                task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Its client may have gone; then nobody else asks how it ended.
            task.exception()

    async def _write(self, control: Control, change: Callable[[], _T]) -> _T:
        async with self._lock:
            try:
                await control.committed()
            except StateError as exc:
                raise unwritable(f"nothing was changed, because the state cannot be written ({exc})") from exc
            changed = change()
            try:
                await control.committed()
            except StateError as exc:
                text = (
                    f"it is changed and in force, but not yet kept ({exc}): it is written as soon as the disk takes "
                    "it, and would be forgotten if the daemon ended before"
                )
                raise unwritable(text) from exc
            return changed


TURN = web.AppKey("turn", Turn)


def unwritable(text: str) -> RefusalError:
    """The refusal where the disk refuses; `text` says what holds."""
    return RefusalError(503, redact(f"{text[0].upper()}{text[1:]}."), headers={hdrs.RETRY_AFTER: _RETRY_SECONDS})


def routes() -> list[web.RouteDef]:
    """All addresses of this module."""
    alert = "/api/v1/alerts/{alert_id:.+}"
    return [
        web.get(f"{alert}/explain", get_explanation),
        web.get(f"{alert}/firings", get_firings),
        web.post(f"{alert}/rearm", rearm_alert),
        web.post("/api/v1/alerts", post_alert),
        web.delete("/api/v1/alerts", delete_alerts),
        web.patch(ALERT_PATH, patch_alert),
        web.delete(ALERT_PATH, delete_alert),
        web.post("/api/v1/symbols", post_symbols),
        web.delete("/api/v1/symbols", delete_symbol),
    ]


# --- alerts


async def post_alert(request: web.Request) -> web.Response:
    """Set an alert: 201, or 200 where there was one with its id, in whose place it is now."""
    only(request)
    body = await body_of(request)
    control = request.app[CONTROL]
    done = await request.app[TURN].write(control, lambda: control.set_alert(body))
    response = _alert_response(control, done, 200 if done.existed else 201)
    response.headers[hdrs.LOCATION] = f"/api/v1/alerts/{quote(done.alert_id, safe='')}"
    return response


async def patch_alert(request: web.Request) -> web.Response:
    """Change some keys of an alert; null takes a key out."""
    only(request)
    body = await body_of(request)
    control, alert_id = request.app[CONTROL], request.match_info["alert_id"]
    done = await request.app[TURN].write(control, lambda: control.change_alert(alert_id, body))
    return _alert_response(control, done, 200)


async def delete_alert(request: web.Request) -> web.Response:
    """Remove one alert."""
    only(request)
    await no_body(request)
    control, alert_id = request.app[CONTROL], request.match_info["alert_id"]
    await request.app[TURN].write(control, lambda: control.remove_alert(alert_id))
    return web.Response(status=204)


async def delete_alerts(request: web.Request) -> web.Response:
    """Remove the API-made alerts on one symbol, and say which."""
    only(request, "symbol")
    await no_body(request)
    symbol = symbol_of(request)
    if symbol is None:
        text = "symbol: name the symbol whose alerts are to go; DELETE /api/v1/alerts/{id} removes one alert"
        raise RefusalError(400, text, parameter="symbol")
    control = request.app[CONTROL]
    return json_response(await request.app[TURN].write(control, lambda: control.clear_alerts(symbol)))


async def rearm_alert(request: web.Request) -> web.Response:
    """Let an alert begin anew."""
    only(request, "symbol")
    await no_body(request)
    control, alert_id, symbol = request.app[CONTROL], request.match_info["alert_id"], symbol_of(request)
    await request.app[TURN].write(control, lambda: control.rearm_alert(alert_id, symbol))
    return _alert_response(control, SetAlert(alert_id, existed=True), 200)


def _alert_response(control: Control, done: SetAlert, status: int) -> web.Response:
    """The alert as it is now; it may be gone already, by another request."""
    found = control.alert(done.alert_id)
    answer: dict[str, Any] = {**found} if found is not None else {"alert_id": done.alert_id}
    if done.warnings:
        answer["warnings"] = [redact(warning) for warning in done.warnings]
    return json_response(answer, status)


# --- symbols


async def post_symbols(request: web.Request) -> web.Response:
    """Want symbols: 201, or 200 where all of them were wanted before."""
    only(request)
    body = await body_of(request)
    symbols, feed = _symbols_in(body)
    control = request.app[CONTROL]
    done = await request.app[TURN].write(control, lambda: control.add_symbols(symbols, feed))
    answer = {"symbols": redacted(list(done.reports)), "added": list(done.added)}
    if done.warnings:
        answer["warnings"] = [redact(warning) for warning in done.warnings]
    return json_response(answer, 201 if done.added else 200)


async def delete_symbol(request: web.Request) -> web.Response:
    """Want a symbol no longer: 204, or 200 with the warnings that there are."""
    only(request, "symbol")
    await no_body(request)
    symbol = symbol_of(request)
    if symbol is None:
        raise RefusalError(400, "symbol: name the symbol that is to go", parameter="symbol")
    control = request.app[CONTROL]
    warnings = await request.app[TURN].write(control, lambda: control.remove_symbol(symbol))
    if not warnings:
        return web.Response(status=204)
    return json_response({"removed": symbol, "warnings": [redact(warning) for warning in warnings]})


def _symbols_in(body: Mapping[str, Any]) -> tuple[list[str], str | None]:
    known = ("symbols", "feed")
    for key in body:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
            raise field_refusal(key[:100], f"unknown key; {hint}")
    symbols, feed = body.get("symbols"), body.get("feed")
    if not isinstance(symbols, list) or not symbols or not all(isinstance(symbol, str) for symbol in symbols):
        raise field_refusal("symbols", 'expected a list of texts such as ["AAPL", "BTC/USD"]')
    if len(symbols) > MAX_SYMBOLS:
        raise field_refusal("symbols", f"at most {MAX_SYMBOLS} in one request")
    if feed is not None and not isinstance(feed, str):
        raise field_refusal("feed", "expected the name of a feed")
    return symbols, feed


# --- why


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
        unknown = redact(f"What was delivered is not known: {exc}")
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
