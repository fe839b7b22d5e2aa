"""What a word of the file means."""

import math

import pytest

from pricestreamd.config.scalars import Scalar, describe, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("ON", "ON"),
        ("on", "on"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2026-01-31", "2026-01-31"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("+", "+"),
        ("1e", "1e"),
        ("=", "="),
        ("TRUE", True),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("", None),
        ("~", None),
        ("null", None),
        ("nULL", "nULL"),
        ("0123", 123),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("1e-9", 1e-9),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        ("٣", "٣"),
    ],
)
def test_only_the_words_of_yaml_1_2_mean_something_else_than_their_text(text: str, value: object) -> None:
    found = resolve(text)
    assert (found, type(found)) == (value, type(value))


def test_a_number_that_is_none_is_not_one() -> None:
    assert math.isnan(float(resolve(".nan") or 0))


def test_a_number_of_thousands_of_digits_does_no_harm() -> None:
    assert resolve("9" * 5000) == math.inf


def test_a_scalar_has_no_text_form_of_its_own() -> None:
    scalar = Scalar("canary-secret", "canary-secret")
    assert "canary" not in f"{scalar!r} {scalar} {[scalar]}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Scalar("soon", "soon"), "'soon'"),
        (Scalar("x" * 100, "x" * 100), "'" + "x" * 37 + "...'"),
        (Scalar(1000.0, "1e3"), "the number 1e3"),
        (Scalar(value=True, text="TRUE"), "TRUE"),
        (Scalar(None, "~"), "nothing"),
        (Scalar("canary", "canary", names=("KEY",)), "the value of ${KEY}"),
        ([], "a list"),
        ({}, "a mapping"),
        (5, "the number 5"),
    ],
)
def test_a_wrong_value_is_named_without_telling_what_is_in_the_environment(value: object, words: str) -> None:
    assert describe(value) == words
