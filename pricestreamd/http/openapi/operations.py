"""Every address of the HTTP interface and what it takes and answers, as data. The document is made of nothing else.

A test compares these with the routes of the application in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping

from pricestreamd.http.firings import MAX_FIRINGS, MAX_LAST_FIRINGS
from pricestreamd.http.openapi.delivery_operations import DELIVERY
from pricestreamd.http.openapi.operation import (
    JSON,
    TEXT,
    TEXT_SCHEMA,
    TEXTS,
    Answer,
    Operation,
    Parameter,
    Schema,
    by_name,
    json_answer,
    limit,
    listed,
    ref,
)
from pricestreamd.http.query import MAX_LIMIT, MAX_SYMBOL
from pricestreamd.http.writes import MAX_SYMBOLS

_SYMBOL = {"type": "string", "minLength": 1, "maxLength": MAX_SYMBOL}
SYMBOL = Parameter("symbol", "One symbol, in any case.", _SYMBOL)
THE_SYMBOL = Parameter("symbol", "One symbol, in any case.", _SYMBOL, required=True)
# Whoever asks after the life of the process gets an answer, whatever is written here.
VERBOSE = Parameter("verbose", "List every check; `0`, `false` and `no` do not.", {})
EVENT_NAMES = Parameter("event", "Names or globs, separated by commas; all without it.", TEXT_SCHEMA)
EVENT_SYMBOLS = Parameter("symbol", "Symbols or globs, separated by commas; all without it.", TEXT_SCHEMA)

_CHECKS = {TEXT: TEXT_SCHEMA}
_ALERT = "/api/v1/alerts/{alert_id}"
_WARNINGS: Schema = {
    "type": "object",
    "properties": {"removed": TEXT_SCHEMA, "warnings": TEXTS},
    "required": ["removed", "warnings"],
}
_RELOADED: Schema = {
    "type": "object",
    "properties": {"status": {"enum": ["reloaded"]}, "changed": TEXTS, "restart": TEXTS, "warnings": TEXTS},
    "required": ["status", "changed", "restart", "warnings"],
}
_ADDED: Schema = {
    "type": "object",
    "properties": {
        "symbols": {"type": "array", "items": ref("SymbolReport")},
        "added": TEXTS,
        "warnings": TEXTS,
    },
    "required": ["symbols", "added"],
}
_WANTED: Schema = {
    "type": "object",
    "properties": {
        "symbols": {"type": "array", "items": TEXT_SCHEMA, "minItems": 1, "maxItems": MAX_SYMBOLS},
        "feed": {"type": ["string", "null"]},
    },
    "required": ["symbols"],
    "additionalProperties": False,
}

LOOKS = (
    Operation(
        method="get",
        path="/",
        summary="The live page",
        answers={200: Answer("The page.", {"text/html": TEXT_SCHEMA})},
        open=True,
    ),
    Operation(
        method="get",
        path="/page/{name}",
        summary="A file of the page",
        answers={
            200: Answer(
                "Its bytes.",
                dict.fromkeys(("text/javascript", "text/css", "image/svg+xml", "text/html"), TEXT_SCHEMA),
            )
        },
        problems=(404,),
        open=True,
    ),
    Operation(
        method="get",
        path="/health",
        summary="Whether the stream runs and every feed is live",
        answers={200: json_answer("It does.", ref("Health")), 503: json_answer("It does not, and why.", ref("Health"))},
        open=True,
    ),
    Operation(
        method="get",
        path="/livez",
        summary="Whether the process should be left to run",
        query=(VERBOSE,),
        answers={200: Answer("It should.", _CHECKS), 503: Answer("It should be restarted.", _CHECKS)},
        open=True,
    ),
    Operation(
        method="get",
        path="/readyz",
        summary="Whether the daemon may be used",
        query=(VERBOSE,),
        answers={200: Answer("It may.", _CHECKS), 503: Answer("What is missing.", _CHECKS)},
        open=True,
    ),
    Operation(
        method="get",
        path="/metrics",
        summary="The metrics for Prometheus",
        answers={200: Answer("As asked for.", {TEXT: TEXT_SCHEMA, "application/openmetrics-text": TEXT_SCHEMA})},
    ),
    Operation(
        method="get",
        path="/api/v1/openapi.json",
        summary="This document",
        answers={200: json_answer("This.", {"type": "object"})},
    ),
    Operation(
        method="get",
        path="/api/v1/prices",
        summary="The last price of every symbol that has had one",
        answers={200: json_answer("By symbol.", by_name("PriceReport"))},
    ),
    Operation(
        method="get",
        path="/api/v1/prices/{symbol}",
        summary="The last price of one symbol",
        answers={200: json_answer("By symbol.", by_name("PriceReport"))},
        problems=(404,),
    ),
    Operation(
        method="get",
        path="/api/v1/history/{symbol}",
        summary="The newest prices of one symbol, oldest first",
        query=(limit(MAX_LIMIT),),
        answers={200: json_answer("Its history.", listed("history", "HistoryPoint", symbol=TEXT_SCHEMA))},
        problems=(404,),
    ),
    Operation(
        method="get",
        path="/api/v1/stats",
        summary="Counters of the stream",
        answers={200: json_answer("The counters.", ref("StreamStats"))},
    ),
    Operation(
        method="get",
        path="/api/v1/config",
        summary="The configuration in force; of a secret only that there is one",
        answers={200: json_answer("In the shape of the YAML.", {"type": "object"})},
    ),
    Operation(
        method="get",
        path="/api/v1/feeds",
        summary="Every feed and its connections",
        answers={200: json_answer("By the feed's name.", by_name("FeedReport"))},
    ),
    Operation(
        method="get",
        path="/api/v1/events",
        summary="The live events as Server-Sent Events",
        query=(EVENT_NAMES, EVENT_SYMBOLS),
        answers={
            200: Answer("Each has id, event, and as data the JSON of one event.", {"text/event-stream": TEXT_SCHEMA})
        },
    ),
)

SYMBOLS = (
    Operation(
        method="get",
        path="/api/v1/symbols",
        summary="Every wanted symbol",
        answers={200: json_answer("And whether its provider has confirmed it.", listed("symbols", "SymbolReport"))},
    ),
    Operation(
        method="post",
        path="/api/v1/symbols",
        summary="Want more symbols",
        body=_WANTED,
        answers={
            201: json_answer("As they stand now.", _ADDED),
            200: json_answer("All of them were wanted before.", _ADDED),
        },
        problems=(409, 422),
    ),
    Operation(
        method="delete",
        path="/api/v1/symbols",
        summary="Want a symbol no longer",
        query=(THE_SYMBOL,),
        answers={204: Answer("It is gone."), 200: json_answer("It is gone, and alerts miss it.", _WARNINGS)},
        problems=(404, 409),
    ),
)

ALERTS = (
    Operation(
        method="get",
        path="/api/v1/alerts",
        summary="Every alert",
        answers={200: json_answer("In the order in which they were set.", listed("alerts", "AlertReport"))},
    ),
    Operation(
        method="post",
        path="/api/v1/alerts",
        summary="Set an alert, in the place of one of its name",
        body=ref("Alert"),
        answers={
            201: Answer("It is set.", {JSON: ref("ChangedAlert")}, location=True),
            200: Answer("It is in the place of the old one.", {JSON: ref("ChangedAlert")}, location=True),
        },
        problems=(409, 422),
    ),
    Operation(
        method="delete",
        path="/api/v1/alerts",
        summary="Remove the alerts on one symbol that were made over HTTP",
        query=(THE_SYMBOL,),
        answers={200: json_answer("What became of each.", ref("ClearedAlerts"))},
    ),
    Operation(
        method="get",
        path=_ALERT,
        summary="One alert",
        answers={200: json_answer("The alert.", ref("AlertReport"))},
        problems=(404,),
    ),
    Operation(
        method="patch",
        path=_ALERT,
        summary="Change some keys of an alert; null takes one out",
        body=ref("AlertChanges"),
        answers={200: json_answer("The alert as it is now.", ref("ChangedAlert"))},
        problems=(404, 409, 422),
    ),
    Operation(
        method="delete",
        path=_ALERT,
        summary="Remove one alert",
        answers={204: Answer("It is gone.")},
        problems=(404, 409),
    ),
    Operation(
        method="get",
        path=f"{_ALERT}/explain",
        summary="Why an alert did or did not fire",
        query=(SYMBOL,),
        answers={200: json_answer("For one of its symbols, or for the first 50.", ref("Explanations"))},
        problems=(404,),
    ),
    Operation(
        method="get",
        path=f"{_ALERT}/firings",
        summary="Its past firings, newest first",
        query=(SYMBOL, limit(MAX_FIRINGS)),
        answers={200: json_answer("100 without limit.", listed("firings", "PastFiring", alert_id=TEXT_SCHEMA))},
        problems=(404,),
    ),
    Operation(
        method="post",
        path=f"{_ALERT}/rearm",
        summary="Let an alert begin anew",
        query=(SYMBOL,),
        answers={200: json_answer("The alert as it is now.", ref("ChangedAlert"))},
        problems=(404,),
    ),
    Operation(
        method="get",
        path="/api/v1/firings",
        summary="The last firings of all alerts that are set, newest first",
        query=(limit(MAX_LAST_FIRINGS),),
        answers={200: json_answer("20 without limit.", listed("firings", "PastFiring"))},
    ),
)

ADMINISTRATION = (
    Operation(
        method="post",
        path="/-/reload",
        summary="Read the configuration again",
        answers={200: json_answer("Keys that differed: in force now, and at the next start.", _RELOADED)},
        problems=(422,),
    ),
)

# By the heading under which a reader finds them.
OPERATIONS: Mapping[str, tuple[Operation, ...]] = {
    "look": LOOKS,
    "symbols": SYMBOLS,
    "alerts": ALERTS,
    "delivery": DELIVERY,
    "administration": ADMINISTRATION,
}
