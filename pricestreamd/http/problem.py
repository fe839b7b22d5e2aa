"""Refusals: every error leaves as `application/problem+json` (RFC 9457), without anything of our insides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TypedDict

import msgspec
from aiohttp import web

from pricestreamd.model.errors import PriceStreamError

CONTENT_TYPE = "application/problem+json"

# What a person can do about the answers that aiohttp itself gives.
_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The body is larger than 64 KiB.",
    500: "Something in the daemon failed; its log says what.",
}


class FieldFault(TypedDict):
    """One thing that is wrong with a body: the key as people name it (`active.from`), and a sentence."""

    field: str
    detail: str


class RefusalError(PriceStreamError):
    """A request that is refused: raised anywhere in a handler, answered by `access.answer_problems`.

    `parameter` is the query parameter at fault; `faults` are what is wrong with the body, the worst first.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        parameter: str | None = None,
        faults: Sequence[FieldFault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.parameter = parameter
        self.faults = faults
        self.headers = headers or {}


def field_refusal(field: str, detail: str, *, status: int = 422) -> RefusalError:
    """The refusal of a body for one of its keys."""
    return RefusalError(status, f"{field}: {detail}", faults=[{"field": field, "detail": detail}])


def problem_body(status: int, detail: str, parameter: str | None = None, faults: Sequence[FieldFault] = ()) -> bytes:
    """The JSON object. `parameter` names the query parameter at fault, `faults` what is wrong with the body."""
    members: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if parameter is not None:
        members["parameter"] = parameter
    if faults:
        members |= {"field": faults[0]["field"], "errors": faults}
    return msgspec.json.encode(members)


def problem_response(
    status: int,
    detail: str | None = None,
    *,
    parameter: str | None = None,
    faults: Sequence[FieldFault] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The answer for a status; without `detail`, a sentence that fits it."""
    text = detail or _DETAILS.get(status) or HTTPStatus(status).description or HTTPStatus(status).phrase
    return web.Response(
        status=status, body=problem_body(status, text, parameter, faults), content_type=CONTENT_TYPE, headers=headers
    )
