"""The addresses about sinks and what they owe, as data."""

from __future__ import annotations

from pricestreamd.http.delivery import MAX_ID, MAX_IDS, MAX_OWED, MAX_SINK
from pricestreamd.http.openapi.operation import Operation, Parameter, Schema, json_answer, limit, listed, ref

_SINK: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_SINK}
_BOOLEAN: Schema = {"enum": ["true", "false"]}
_ID: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_IDS: Schema = {"type": "array", "items": _ID, "minItems": 1, "maxItems": MAX_IDS}


def _selector(key: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


DELIVERY = (
    Operation(
        method="get",
        path="/api/v1/sinks",
        summary="How every sink is",
        answers={200: json_answer("And what it owes.", listed("sinks", "SinkReport"))},
    ),
    Operation(
        method="post",
        path="/api/v1/sinks/{sink}/test",
        summary="Try a sink out, and wait for what comes of it",
        query=(Parameter("call", "Let a sink `call` call its function; else it is only looked for.", _BOOLEAN),),
        answers={200: json_answer("Whether it works, and how that was found out.", ref("SinkTest"))},
        problems=(404, 409),
    ),
    Operation(
        method="get",
        path="/api/v1/outbox",
        summary="What sinks owe, newest first",
        query=(
            Parameter("sink", "Of this sink only.", _SINK),
            Parameter("dead", "`true`: only what was given up; `false`: only what waits.", _BOOLEAN),
            limit(MAX_OWED),
        ),
        answers={200: json_answer("100 without limit.", listed("deliveries", "OwedDelivery"))},
        problems=(404,),
    ),
    Operation(
        method="post",
        path="/api/v1/outbox/retry",
        summary="Try now what is owed, and what was given up",
        body={"oneOf": [_selector("ids", _IDS), _selector("sink", _SINK), _selector("all", {"enum": [True]})]},
        answers={200: json_answer("What is tried.", ref("RetriedOutbox"))},
        problems=(404, 409, 422),
    ),
    Operation(
        method="delete",
        path="/api/v1/outbox",
        summary="Forget for good what was given up: some of it by id, or all of a sink",
        query=(
            Parameter("id", "May be given again; without `sink`.", _IDS),
            Parameter("sink", "All of this sink; `dead=true` unless it is not configured any more.", _SINK),
            Parameter("dead", "`true`: what was given up.", {"enum": ["true"]}),
        ),
        answers={200: json_answer("What was dropped.", ref("DroppedOutbox"))},
        problems=(404, 409),
    ),
)
