"""What changes something: alerts and symbols set, changed, removed, re-armed.

A change holds from the moment in which it is made, and is answered when it will outlast the process. Writes go one
after the other, and each asks first whether the disk takes anything: where it does not, nothing is changed. A client
that leaves in between cuts no write in half.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import hdrs, web

from pricestreamd.http.api import ALERT_PATH, json_response
from pricestreamd.http.body import body_of, no_body
from pricestreamd.http.control import CONTROL, Control, SetAlert
from pricestreamd.http.problem import RefusalError, field_refusal
from pricestreamd.http.query import only, symbol_of
from pricestreamd.http.redaction import redacted
from pricestreamd.model.errors import StateError
from pricestreamd.model.secret import redact

# Symbols of one request. Each is subscribed at the provider's own pace anyway.
MAX_SYMBOLS = 1000
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
    return [
        web.post("/api/v1/alerts/{alert_id:.+}/rearm", rearm_alert),
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
