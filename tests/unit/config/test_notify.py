"""What the sink that tells people demands of a file."""

from __future__ import annotations

import pytest

from tests.unit.config.conftest import Problems

UNKNOWN = "Apprise does not understand this address; how each service is written: https://appriseit.com/services/"


@pytest.mark.parametrize(
    "more",
    [
        "",
        ", repeat_after: 0s, max_age: 5m",
        ", templates: {price.alert: '{alert_text}', price.error: 'plain', my.own: '{whatever}'}",
    ],
)
def test_people_who_can_be_told_are_good(warnings_of: Problems, more: str) -> None:
    text = f"sinks: {{a: {{type: notify, urls: ['ntfy://ntfy.example.org/topic', '${{U}}']{more}}}}}"
    assert warnings_of(text, U="mailto://me:w0rd@example.org") == []


def test_an_address_that_apprise_does_not_understand_is_told_of_at_its_place_and_without_it(
    problems_of: Problems,
) -> None:
    text = """
        sinks:
          a:
            type: notify
            urls:
              - ntfy://ntfy.example.org/topic
              - nonsense://c4n4ry/secret
              - ${U}
    """
    told = problems_of(text, U="slack://c4n4ry")
    assert told == [f"c.yaml:6:9: sinks.a.urls[1]: {UNKNOWN}", f"c.yaml:7:9: sinks.a.urls[2]: {UNKNOWN}"]


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("price.alert: '{symbl}'", "price.alert has no field symbl; it has after_gap, "),
        ("price.alert: '{symbol'", "expected '}' before end of string: write {field} for a field"),
        ("price.error: '{message.upper}'", "expected {field} with the name of a field and nothing else"),
    ],
)
def test_a_broken_template_is_told_of_at_its_place(problems_of: Problems, template: str, fault: str) -> None:
    event = template.partition(":")[0]
    (told,) = problems_of(f"sinks: {{a: {{type: notify, urls: ['json://x'], templates: {{{template}}}}}}}")
    assert told.startswith("c.yaml:1:")
    assert f"sinks.a.templates.{event}: {fault}" in told


def test_a_template_for_an_event_that_there_is_not_is_a_warning(warnings_of: Problems) -> None:
    (told,) = warnings_of("sinks: {a: {type: notify, urls: ['json://x'], templates: {price.alrt: x}}}")
    assert told.endswith("no event 'price.alrt'; did you mean 'price.alert'?")


def test_a_storm_limit_is_a_setting_like_any_other(warnings_of: Problems) -> None:
    assert warnings_of("alert_storm: {per_minute: 5}") == []
