"""The shapes of bodies and answers as JSON Schemas; made of the types that the code answers with, where there are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import msgspec

from pricestreamd.http.control import ClearedAlerts, PastFiring
from pricestreamd.http.delivery_control import DroppedOutbox, OwedDelivery, RetriedOutbox, SinkReport, SinkTest
from pricestreamd.http.openapi.operation import TEXT_SCHEMA, TEXTS, Schema, ref
from pricestreamd.http.view import AlertReport, HistoryPoint, PriceReport
from pricestreamd.model.interface import FeedReport, StreamStats, SymbolReport
from pricestreamd.stream.alerts.explain import AlertExplanation

_TYPES = (
    PriceReport,
    HistoryPoint,
    AlertReport,
    AlertExplanation,
    PastFiring,
    ClearedAlerts,
    FeedReport,
    StreamStats,
    SymbolReport,
    SinkReport,
    SinkTest,
    OwedDelivery,
    RetriedOutbox,
    DroppedOutbox,
)

_POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
_PERCENT: Schema = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[-+]?[0-9]{1,18}(\.[0-9]{1,18})? ?%?$"}]
}
_DURATION: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9]{1,18}(\.[0-9]{1,18})?(ms|s|m|h|d)?$"},
    ]
}
_CLOCK: Schema = {"type": "string", "pattern": r"^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(*words: str) -> Schema:
    return {"enum": list(words)}


# The keys of an alert, as the configuration has them; a test compares the two.
ALERT_KEYS: Mapping[str, Schema] = {
    "name": _or_null(TEXT_SCHEMA),
    "symbol": _or_null(TEXT_SCHEMA),
    "symbols": _or_null(TEXTS),
    "above": _or_null(_POSITIVE),
    "below": _or_null(_POSITIVE),
    "change_percent": _or_null({**_PERCENT, "exclusiveMinimum": 0}),
    "trailing_percent": _or_null(_PERCENT),
    "day_volume_above": _or_null(_POSITIVE),
    "trade_size_above": _or_null(_POSITIVE),
    "baseline": {"anyOf": [{**_DURATION, "exclusiveMinimum": 0}, _one_of("armed", "previous", "open", "close")]},
    "hysteresis": {**_PERCENT, "minimum": 0},
    "when": _one_of("any", "all"),
    "trigger": _one_of("edge", "every_update"),
    "on_start": _one_of("fire", "require_cross"),
    "once": {"type": "boolean"},
    "cooldown": {**_DURATION, "minimum": 0},
    "for": {**_DURATION, "minimum": 0},
    "expires": _or_null(TEXT_SCHEMA),
    "active": _or_null(
        {
            "type": "object",
            "properties": {"days": TEXT_SCHEMA, "from": _CLOCK, "to": _CLOCK, "timezone": TEXT_SCHEMA},
            "additionalProperties": False,
        }
    ),
    "session": _one_of("any", "regular", "extended"),
    "on_blind": _one_of("ignore", "notify"),
    "notify": _or_null(TEXTS),
}

_FIELD_FAULT: Schema = {
    "type": "object",
    "description": "One thing that is wrong with a body; `field` is the key as people name it (`active.from`).",
    "properties": {"field": TEXT_SCHEMA, "detail": TEXT_SCHEMA},
    "required": ["field", "detail"],
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "A refusal (RFC 9457). `detail` says what to do; `parameter` is that of the query at fault.",
    "properties": {
        "type": {"enum": ["about:blank"]},
        "title": TEXT_SCHEMA,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": TEXT_SCHEMA,
        "parameter": TEXT_SCHEMA,
        "field": TEXT_SCHEMA,
        "errors": {"type": "array", "items": ref("FieldFault"), "minItems": 1},
    },
    "required": ["type", "title", "status", "detail"],
}
_FEED_HEALTH: Schema = {
    "type": "object",
    "properties": {"healthy": {"type": "boolean"}, "reason": {"type": ["string", "null"]}},
    "required": ["healthy", "reason"],
}
_HEALTH: Schema = {
    "type": "object",
    "properties": {
        "status": _one_of("healthy", "unhealthy"),
        "stats": ref("StreamStats"),
        "feeds": {"type": "object", "additionalProperties": {"allOf": [ref("FeedReport"), _FEED_HEALTH]}},
    },
    "required": ["status", "stats", "feeds"],
}
_TOLD: Schema = {
    "type": "object",
    "properties": {
        "sentences": TEXTS,
        "last_firings": {"anyOf": [{"type": "array", "items": ref("PastFiring")}, {"type": "null"}]},
    },
    "required": ["sentences", "last_firings"],
}
_EXPLANATIONS: Schema = {
    "type": "object",
    "properties": {
        "alert_id": TEXT_SCHEMA,
        "explanations": {"type": "array", "items": {"allOf": [ref("AlertExplanation"), _TOLD]}},
        "more": {"type": "integer", "minimum": 0},
    },
    "required": ["alert_id", "explanations", "more"],
}


def schemas() -> dict[str, Schema]:
    """Every schema by its name."""
    _, made = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    for schema in made.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    warned = {"type": "object", "properties": {"warnings": TEXTS}}
    return {
        **{name: made[name] for name in sorted(made)},
        # It may be gone already when it is answered: then its id is all there is.
        "ChangedAlert": {"allOf": [{"anyOf": [ref("AlertReport"), {"required": ["alert_id"]}]}, warned]},
        "Alert": {"type": "object", "properties": dict(ALERT_KEYS), "additionalProperties": False},
        "AlertChanges": {
            "type": "object",
            "properties": {key: _or_null(schema) for key, schema in ALERT_KEYS.items()},
            "additionalProperties": False,
        },
        "Health": _HEALTH,
        "Explanations": _EXPLANATIONS,
        "FieldFault": _FIELD_FAULT,
        "Problem": _PROBLEM,
    }
