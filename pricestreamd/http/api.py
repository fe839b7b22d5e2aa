"""What programs ask: health, metrics, prices, history, statistics, feeds, symbols, alerts. Reads only.

A writing request has its route beside the reading one of the same path; the access check already sees every request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import hdrs, web

from pricestreamd.http.access import HURRIED
from pricestreamd.http.health import LOOK_SECONDS
from pricestreamd.http.problem import RefusalError
from pricestreamd.http.query import flag, limit_of, only
from pricestreamd.http.redaction import redacted
from pricestreamd.http.sse import get_events
from pricestreamd.http.view import Check, DaemonView

VIEW: web.AppKey[DaemonView] = web.AppKey("view", DaemonView)


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """What was told of the health; `at` is monotonic, in seconds."""

    at: float
    status: int
    body: bytes

    def response(self) -> web.Response:
        """It, to be sent."""
        return web.Response(body=self.body, status=self.status, content_type="application/json")


# The last one, once there is one.
LAST_HEALTH = web.AppKey("last_health", list[HealthAnswer])


# An id may hold a slash, written or as `%2F`; what these words ask about is not the end of an id.
ALERT_PATH = r"/api/v1/alerts/{alert_id:(?!.*/(?:explain|firings|rearm)$).+}"


def routes() -> list[web.RouteDef]:
    """All addresses of this module. Symbols may hold a slash, written or as `%2F`."""
    return [
        web.get("/health", get_health),
        web.get("/livez", get_livez),
        web.get("/readyz", get_readyz),
        web.get("/metrics", get_metrics),
        web.get("/api/v1/prices", get_prices),
        web.get("/api/v1/prices/{symbol:.+}", get_price),
        web.get("/api/v1/history/{symbol:.+}", get_history),
        web.get("/api/v1/stats", get_stats),
        web.get("/api/v1/config", get_config),
        web.get("/api/v1/feeds", get_feeds),
        web.get("/api/v1/symbols", get_symbols),
        web.get("/api/v1/alerts", get_alerts),
        web.get(ALERT_PATH, get_alert),
        web.get("/api/v1/events", get_events, allow_head=False),
    ]


def json_response(data: Any, status: int = 200) -> web.Response:
    """`data` as JSON; a number that is not finite becomes null."""
    return web.Response(body=msgspec.json.encode(data), status=status, content_type="application/json")


async def get_health(request: web.Request) -> web.Response:
    """200 and `healthy`, or 503 and `unhealthy` with the reason at the feed that is to blame."""
    last = request.app[LAST_HEALTH]
    if HURRIED in request and last and time.monotonic() - last[0].at < LOOK_SECONDS:
        return last[0].response()
    view = request.app[VIEW]
    stats, feeds, judged = view.stats(), view.feeds(), view.health()
    # The stream runs, and every feed is live.
    healthy = stats["running"] and all(verdict.healthy for verdict in judged.values())
    told = {
        name: {**feed, "healthy": judged[name].healthy, "reason": judged[name].reason} for name, feed in feeds.items()
    }
    body = {"status": "healthy" if healthy else "unhealthy", "stats": stats, "feeds": told}
    last[:] = [HealthAnswer(time.monotonic(), 200 if healthy else 503, msgspec.json.encode(redacted(body)))]
    return last[0].response()


async def get_livez(request: web.Request) -> web.Response:
    """Whether the process should be left to run."""
    return _checks(request, "livez", request.app[VIEW].liveness())


async def get_readyz(request: web.Request) -> web.Response:
    """Whether the daemon may be used: at least one feed is live, and what the daemon itself needs is there."""
    view = request.app[VIEW]
    judged = view.health()
    live = sum(verdict.healthy for verdict in judged.values())
    feeds = Check("feeds", bool(live) or not judged, f"{live} of {len(judged)} live")
    return _checks(request, "readyz", [*view.readiness(), feeds])


def _checks(request: web.Request, name: str, checks: Sequence[Check]) -> web.Response:
    passed = all(check.ok for check in checks)
    verdict = f"{name} check {'passed' if passed else 'failed'}"
    lines = ["ok" if passed else verdict]
    if flag(request, "verbose"):
        lines = [*map(_line_of, checks), verdict]
    elif not passed:
        lines.extend(_line_of(check) for check in checks if not check.ok)
    return web.Response(text="\n".join(lines) + "\n", status=200 if passed else 503)


def _line_of(check: Check) -> str:
    detail = f": {redacted(check.detail)}" if check.detail else ""
    return f"[{'+' if check.ok else '-'}]{check.name} {'ok' if check.ok else 'failed'}{detail}"


async def get_metrics(request: web.Request) -> web.Response:
    """Prometheus text, or OpenMetrics when asked for."""
    body, content_type = request.app[VIEW].metrics(request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


async def get_prices(request: web.Request) -> web.Response:
    """The last price of every symbol that has had one."""
    return json_response(request.app[VIEW].prices())


async def get_price(request: web.Request) -> web.Response:
    """The last price of one symbol, in the shape of all prices."""
    symbol = _symbol(request)
    prices = request.app[VIEW].prices(symbol)
    if not prices:
        raise RefusalError(404, f"{symbol} is wanted, but has had no price yet.")
    return json_response(prices)


async def get_history(request: web.Request) -> web.Response:
    """The newest prices of one symbol, oldest first."""
    only(request, "limit")
    limit = limit_of(request)
    symbol = _symbol(request)
    return json_response({"symbol": symbol, "history": request.app[VIEW].history(symbol, limit)})


async def get_stats(request: web.Request) -> web.Response:
    """The stream's statistics."""
    return json_response(redacted(request.app[VIEW].stats()))


async def get_config(request: web.Request) -> web.Response:
    """The configuration in force; of a secret only that there is one."""
    return json_response(redacted(request.app[VIEW].config()))


async def get_feeds(request: web.Request) -> web.Response:
    """Every feed and its connections."""
    return json_response(redacted(request.app[VIEW].feeds()))


async def get_symbols(request: web.Request) -> web.Response:
    """Every wanted symbol, and whether its provider has confirmed it."""
    return json_response({"symbols": redacted(request.app[VIEW].symbols())})


async def get_alerts(request: web.Request) -> web.Response:
    """Every alert."""
    return json_response({"alerts": request.app[VIEW].alerts()})


async def get_alert(request: web.Request) -> web.Response:
    """One alert."""
    wanted = request.match_info["alert_id"]
    found: Mapping[str, Any] | None = next(
        (alert for alert in request.app[VIEW].alerts() if alert["alert_id"] == wanted), None
    )
    if found is None:
        raise RefusalError(404, "There is no alert of that id. GET /api/v1/alerts lists them.")
    return json_response(found)


def _symbol(request: web.Request) -> str:
    """The configured spelling of the symbol in the path."""
    symbol = request.app[VIEW].find_symbol(request.match_info["symbol"])
    if symbol is None:
        raise RefusalError(404, "No such symbol is wanted. GET /api/v1/symbols lists those that are.")
    return symbol
