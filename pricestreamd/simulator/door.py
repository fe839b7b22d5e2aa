"""The door: who is let in, and what everybody else is told. The same for all faces."""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import formatdate

from aiohttp import web

from pricestreamd.simulator.dialect import Answer, Budget, Dialect, Request
from pricestreamd.simulator.scenario import Scenario

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0
_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Welcome to our Wi-Fi</h1></body></html>"


def read_request(request: web.Request) -> Request:
    """What a dialect needs to know of a request."""
    return Request(request.path, request.match_info, request.query, request.headers, len(request.raw_path))


def web_response(answer: Answer) -> web.Response:
    """A dialect's answer."""
    return web.Response(
        text=answer.body, status=answer.status, headers=answer.headers, content_type=answer.content_type
    )


class Door:
    """Decides about requests. `refused` counts the unlucky ones. `api_key`: the only key let in; None: any.

    `dials`: when somebody wanted a connection, and `requests`: a plain answer, on the event loop's clock.
    """

    def __init__(self, scenario: Scenario, api_key: str | None) -> None:
        self.scenario = scenario
        self.dials: list[float] = []
        self.requests: list[float] = []
        self.refused = 0
        self._api_key = api_key
        self._closed_until = 0.0
        self._closed_with = 503
        self._connects: dict[str, Budget] = {}

    def close(self, seconds: float, status: int) -> None:
        """Refuse everybody for a while."""
        self._closed_until = asyncio.get_running_loop().time() + seconds
        self._closed_with = status

    async def arrive(self, dialect: Dialect, request: Request, *, plain: bool = False) -> Answer | None:
        """What a request is refused with; None: it may go on. Comes back when the scenario lets it."""
        now = asyncio.get_running_loop().time
        (self.requests if plain else self.dials).append(now())
        if self.scenario.upgrade_delay:
            await asyncio.sleep(self.scenario.upgrade_delay)
        answer = self._refusal(dialect, request, now())
        if answer is not None:
            self.refused += 1
            _log.debug("a request for %s is answered with %d", request.path, answer.status)
        return answer

    def _refusal(self, dialect: Dialect, request: Request, now: float) -> Answer | None:
        scene = self.scenario
        if scene.answer == "redirect":
            return Answer(status=302, headers={"Location": "/moved" + request.path}, content_type="text/plain")
        if scene.answer == "page":
            return Answer(_PAGE, content_type="text/html")
        key = dialect.credential(request)
        status = self._status(dialect, request, key, now)
        if status is None:
            return None
        answer = dialect.refusal(status, key or "")
        if status != scene.refuse_status:
            return answer
        return Answer(answer.body, answer.status, {**answer.headers, **self._headers()}, answer.content_type)

    def _status(self, dialect: Dialect, request: Request, key: str | None, now: float) -> int | None:
        """Why a request is refused, as HTTP has it; None: it is not."""
        if now < self._closed_until:
            return self._closed_with
        if self.scenario.refuse_status is not None:
            return self.scenario.refuse_status
        if dialect.limits.max_url is not None and request.length > dialect.limits.max_url:
            return 414
        wrong = self._api_key is not None and key is not None and key != self._api_key
        return 401 if wrong and not self.scenario.refuse_in_band else None

    def crowded(self, dialect: Dialect) -> Answer | None:
        """Whether there have been too many connections of late."""
        limits = dialect.limits
        budget = self._connects.setdefault(dialect.address, Budget(limits.connects, limits.connects_window))
        if not budget.spent(asyncio.get_running_loop().time()):
            return None
        self.refused += 1
        return dialect.refusal(429)

    def _headers(self) -> dict[str, str]:
        headers = dict(self.scenario.refuse_headers)
        if self.scenario.retry_after == "date":
            headers["Retry-After"] = formatdate(time.time() + _RETRY_SECONDS, usegmt=True)
        elif self.scenario.retry_after is not None:
            headers["Retry-After"] = self.scenario.retry_after
        return headers
