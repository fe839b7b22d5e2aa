"""`${NAME}` in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.config.environment import interpolate

ENVIRON = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME}", "_1": "one"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${NAME}", "value"),
        ("a ${NAME} b ${_1}", "a value b one"),
        ("${OTHER:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("${OTHER:-}", ""),
        ("${OTHER:-wss://host:1/a-b?c=d}", "wss://host:1/a-b?c=d"),
        ("${NESTED}", "${NAME}"),
        ("$$", "$"),
        ("$${NAME}", "${NAME}"),
        ("$$$${NAME}", "$${NAME}"),
        ("5$", "5$"),
        ("$NAME", "$NAME"),
    ],
)
def test_names_are_replaced_by_what_the_environment_has(text: str, expected: str) -> None:
    found = interpolate(text, ENVIRON)
    assert (found.text, found.faults) == (expected, ())


@pytest.mark.parametrize("text", ["${}", "${1A}", "${NAME", "${NAME-x}", "${NAME:x}", "${a b}", "${${NAME}}"])
def test_what_is_no_name_is_a_fault(text: str) -> None:
    assert interpolate(text, ENVIRON).faults == (
        "expected ${NAME} or ${NAME:-default}; a dollar sign before a brace is written $$",
    )


def test_every_unset_name_is_a_fault_of_its_own() -> None:
    assert interpolate("${A} ${NAME} ${B}", ENVIRON).faults == (
        "the environment has no A; set it, or give a default: ${A:-...}",
        "the environment has no B; set it, or give a default: ${B:-...}",
    )


@given(st.text())
def test_doubled_dollars_keep_any_text(text: str) -> None:
    assert interpolate(text.replace("$", "$$"), {}).text == text


@given(st.text())
def test_a_value_is_taken_as_it_is(value: str) -> None:
    assert interpolate("<${X}>", {"X": value}).text == f"<{value}>"
