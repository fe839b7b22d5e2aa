"""Refusals, and the redaction of what came from outside."""

import json

import pytest

from pricestreamd.http.problem import problem_body, problem_response
from pricestreamd.http.redaction import redacted
from pricestreamd.model.secret import register


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 421, 500, 503])
def test_every_refusal_has_a_title_a_status_and_a_sentence(status: int) -> None:
    response = problem_response(status)
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    assert body["type"] == "about:blank"
    assert body["status"] == response.status == status
    assert body["title"]
    assert body["detail"]
    assert "parameter" not in body


def test_the_parameter_at_fault_is_named() -> None:
    assert json.loads(problem_body(400, "limit: expected a number", "limit"))["parameter"] == "limit"


def test_secrets_are_hidden_at_any_depth() -> None:
    register("canary-4711")
    told = {"feeds": [{"last_error": "key canary-4711 refused", "n": 1, "none": None}], "pair": ("canary-4711", 2.5)}
    assert redacted(told) == {
        "feeds": [{"last_error": "key *** refused", "n": 1, "none": None}],
        "pair": ["***", 2.5],
    }
