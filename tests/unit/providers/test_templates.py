"""Symbols in the places of a text: what stands there depends on where it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.providers.templates import Template, fill_address


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("SUB {symbols}", "SUB A,B"),
        ('{"symbols": "{symbols}"}', '{"symbols": "A,B"}'),
        ('{"params": ["{symbols}"]}', '{"params": ["A","B"]}'),
        ('["{symbols}@trade", 1]', '["A@trade","B@trade", 1]'),
        ('{"a": ["x", "{symbols}", "y"], "b": "{symbols}"}', '{"a": ["x", "A","B", "y"], "b": "A,B"}'),
        ('{"a": [{"s": "{symbols}"}]}', '{"a": [{"s": "A,B"}]}'),
        ('{"ids": [{symbols}]}', '{"ids": [A,B]}'),
        ("sub:{symbols};[x]", "sub:A,B;[x]"),
        ('] } "{symbols}"', '] } "A,B"'),
        ('"half {symbols}', '"half A,B'),
        (r'["\"{symbols}"]', r'["\"A","\"B"]'),
        ("nothing {else} {symbolic}", "nothing {else} {symbolic}"),
        ("{{symbols}}", "{A,B}"),
    ],
)
def test_a_list_of_symbols_stands_as_its_place_wants_it(text: str, filled: str) -> None:
    assert Template(text).fill(["A", "B"]) == filled


@pytest.mark.parametrize(
    ("text", "single", "joins"),
    [
        ("SUB {symbol}", True, False),
        ('{"symbol": "{symbol}"}', True, False),
        ('["{symbol}", "{symbols}"]', True, False),
        ("SUB {symbols}", False, True),
        ('{"symbols": "{symbols}"}', False, True),
        ('{"params": ["{symbols}"]}', False, False),
        ("SUB all", False, False),
    ],
)
def test_a_text_knows_how_many_symbols_it_takes_and_whether_a_comma_parts_them(
    text: str, single: bool, joins: bool
) -> None:
    template = Template(text)
    assert (template.single, template.joins) == (single, joins)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_between_quotes_any_symbol_is_safe(symbols: list[str]) -> None:
    assert json.loads(Template('{"params": ["{symbols}"]}').fill(symbols)) == {"params": symbols}
    assert json.loads(Template('{"symbol": "{symbol}"}').fill(symbols[:1])) == {"symbol": symbols[0]}
    assert json.loads(Template('{"symbols": "{symbols}"}').fill(symbols)) == {"symbols": ",".join(symbols)}


def test_a_symbol_is_not_searched_for_places() -> None:
    assert Template('{symbol} "{symbol}"').fill(["{symbols}\\1"]) == r'{symbols}\1 "{symbols}\\1"'


@given(st.text(max_size=40) | st.text('{}[]"\\symbols, ', max_size=40))
def test_any_text_can_be_filled(text: str) -> None:
    template = Template(text)
    assert "{symbols}" not in template.fill(["A", "B"])
    if "{symbol" not in text:
        assert template.fill(["A", "B"]) == text


@pytest.mark.parametrize(
    ("url", "filled"),
    [
        ("wss://h/ws?s={symbols}", "wss://h/ws?s=A%2FB,C%20D"),
        ("https://h/{symbol}/x", "https://h/A%2FB,C%20D/x"),
        ("wss://h/{other}", "wss://h/{other}"),
    ],
)
def test_an_address_has_its_symbols_encoded(url: str, filled: str) -> None:
    assert fill_address(url, ["A/B", "C D"]) == filled
