"""`POST /-/reload`: the configuration is read again, and the answer says what came of it."""

from __future__ import annotations

from aiohttp import web

from pricestreamd.http.api import json_response
from pricestreamd.http.body import no_body
from pricestreamd.http.control import CONTROL
from pricestreamd.http.problem import FieldFault, RefusalError
from pricestreamd.http.query import only
from pricestreamd.http.writes import TURN
from pricestreamd.model.errors import Problem
from pricestreamd.model.secret import redact

# A file with more faults than a person reads at once; how many there are is told.
MAX_TOLD = 100


def routes() -> list[web.RouteDef]:
    """The address of this module."""
    return [web.post("/-/reload", post_reload)]


async def post_reload(request: web.Request) -> web.Response:
    """200 with what has changed, or 422 with everything that is wrong: then the old configuration stays."""
    only(request)
    await no_body(request)
    report = await request.app[TURN].whole(request.app[CONTROL].reload())
    if report.problems:
        count = len(report.problems)
        faults = [_fault(problem) for problem in report.problems[:MAX_TOLD]]
        text = "one error" if count == 1 else f"{count} errors"
        raise RefusalError(422, f"The old configuration stays: the new one has {text}.", faults=faults)
    return json_response(
        {
            "status": "reloaded",
            "changed": list(report.changed),
            "restart": list(report.restart),
            "warnings": [redact(warning) for warning in report.warnings],
        }
    )


def _fault(problem: Problem) -> FieldFault:
    place = f"{problem.path}:{problem.line}:{problem.column}" if problem.line else problem.path
    return {"field": problem.key, "detail": redact(f"{place}: {problem.message}")}
