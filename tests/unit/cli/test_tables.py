"""Columns on a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.cli.tables import cell, table
from pricestreamd.model.secret import register


def test_columns_are_as_wide_as_they_must_be() -> None:
    assert table(("a", "long head"), [("value", None), (1, 2.5)]) == ["a      long head", "value  -", "1      2.5"]


def test_a_secret_is_hidden_and_nothing_moves_the_cursor() -> None:
    register("hunter2222")
    assert cell("\x1b[2J key hunter2222\n") == " [2J key *** "


@given(st.text())
def test_a_cell_is_one_line(text: str) -> None:
    assert cell(text).isprintable()
