"""The document put together, and its address: `GET /api/v1/openapi.json`."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from pricestreamd.http.openapi.operation import JSON, TEXT_SCHEMA, Answer, Operation, Parameter, Schema, ref
from pricestreamd.http.openapi.operations import OPERATIONS
from pricestreamd.http.openapi.shapes import schemas
from pricestreamd.http.problem import CONTENT_TYPE
from pricestreamd.http.query import only

PATH = "/api/v1/openapi.json"

# What any address may answer: by the limits, the names and the token.
ANYWHERE = (400, 403, 413, 421, 429, 500, 503)
# What a write may answer besides: the body comes too late, is no JSON, or the token is missing.
_BODIES = (408, 415)
_TOKEN = 401

_ABOUT = """\
Prices, alerts and the state of a running pricestreamd. Times are UTC epoch seconds. A slash in a symbol or an id is
written `%2F` in a path. HEAD is answered wherever GET is, except on the live stream.

What changes something needs `Authorization: Bearer` with the configured `auth_token`, or with the token that is in
the file `http-token`. Reading needs it where an `auth_token` is configured, except `/`, the page's files, `/health`,
`/livez` and `/readyz`.
"""
_PROBLEMS = {
    400: "The request cannot be read, or a parameter of it.",
    401: "The token is missing or wrong.",
    403: "A page of another origin asks.",
    404: "There is no such thing.",
    408: "The body takes too long.",
    409: "It belongs to the configuration or to another feed, is one too many, or is still at work.",
    413: "The body is larger than 64 KiB.",
    415: "The body is no JSON.",
    421: "The Host is not one of ours.",
    422: "What the body asks for cannot be meant.",
    429: "Too many requests, or too many wrong tokens.",
    500: "A bug; the log has it.",
    503: "Too many connections, or the disk refuses.",
}
_IN_PATH = {
    "symbol": "A symbol, in any case.",
    "alert_id": "The id of an alert.",
    "name": "The name of a file.",
    "sink": "The name of a sink.",
}

DOCUMENT: web.AppKey[bytes] = web.AppKey("document", bytes)


def routes() -> list[web.RouteDef]:
    """The address of the document."""
    return [web.get(PATH, get_document)]


async def get_document(request: web.Request) -> web.Response:
    """The document."""
    only(request)
    return web.Response(body=request.app[DOCUMENT], content_type=JSON)


def encoded(version: str) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document(version))


def document(version: str) -> dict[str, Any]:
    """The OpenAPI document of this version of the daemon."""
    paths: dict[str, dict[str, Any]] = {}
    for tag, operations in OPERATIONS.items():
        for operation in operations:
            paths.setdefault(operation.path, {})[operation.method] = _operation(tag, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pricestreamd", "version": version, "description": _ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in OPERATIONS],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "auth_token, or that of the file http-token.",
                },
                "certificate": {
                    "type": "mutualTLS",
                    "description": "Where http.tls.client_ca_file is set, for everything.",
                },
            },
        },
    }


def _operation(tag: str, operation: Operation) -> dict[str, Any]:
    parameters = [_in_path(name) for name in re.findall(r"{(\w+)}", operation.path)]
    parameters += map(_in_query, operation.query)
    found: dict[str, Any] = {
        "tags": [tag],
        "operationId": _id(operation),
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": operation.body}}}
    if operation.writes:
        found["security"] = [{"token": []}]
    elif not operation.open:
        found["security"] = [{}, {"token": []}]
    return found


def _id(operation: Operation) -> str:
    """Such as `get_prices_symbol`: stable, because programs are made of it."""
    words = re.findall(r"\w+", operation.path.removeprefix("/api/v1"))
    return "_".join([operation.method, *words]) if words else f"{operation.method}_page"


def _in_path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": _IN_PATH[name], "schema": schema}


def _in_query(parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": parameter.schema,
    }
    return found | {"required": True} if parameter.required else found


def _responses(operation: Operation) -> dict[str, Any]:
    statuses = {*ANYWHERE, *operation.problems}
    if operation.writes:
        statuses |= {*_BODIES, _TOKEN}
    elif not operation.open:
        statuses.add(_TOKEN)
    found = {status: _answer(answer) for status, answer in operation.answers.items()}
    for status in statuses:
        if status in found:
            # /health and its like answer 503 in their own words, and a full server answers in these.
            found[status]["content"][CONTENT_TYPE] = {"schema": ref("Problem")}
        else:
            found[status] = _problem(status)
    return {str(status): found[status] for status in sorted(found)}


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.description}
    if answer.schemas:
        found["content"] = {kind: {"schema": schema} for kind, schema in answer.schemas.items()}
    if answer.location:
        found["headers"] = {"Location": _header("The address of the alert.", TEXT_SCHEMA, required=True)}
    return found


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _PROBLEMS.get(status, HTTPStatus(status).phrase),
        "content": {CONTENT_TYPE: {"schema": ref("Problem")}},
    }
    if status == _TOKEN:
        found["headers"] = {"WWW-Authenticate": _header("Bearer.", TEXT_SCHEMA, required=True)}
    elif status in (429, 503):
        found["headers"] = {"Retry-After": _header("Seconds.", {"type": "integer", "minimum": 1})}
    return found


def _header(description: str, schema: Schema, *, required: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"description": description, "schema": schema}
    return found | {"required": True} if required else found
