"""Reading YAML: places, limits, and texts made to hurt."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.config.scalars import Scalar
from pricestreamd.config.yaml_text import Document, Place, YamlError, dotted, read_yaml


def plain(data: object) -> object:
    """Data of a document as plain values."""
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    return data.value if isinstance(data, Scalar) else data


def read(text: str) -> Document:
    return read_yaml(text.encode(), {})


def refusal(text: str | bytes) -> str:
    """Place and message of a text that cannot be read."""
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(YamlError) as raised:
        read_yaml(content, {})
    return f"{raised.value.place.line}:{raised.value.place.column}: {raised.value.message}"


def faults(text: str) -> list[str]:
    return [f"{place.line}:{place.column}: {dotted(where)}: {text}" for place, where, text in read(text).faults]


def test_every_value_and_key_has_its_place() -> None:
    document = read("a:\n  - b: 1\n    'c': [x, y]\n")
    assert plain(document.data) == {"a": [{"b": 1, "c": ["x", "y"]}]}
    assert document.values["a", 0, "c", 1] == Place(3, 14)
    assert document.keys["a", 0, "c"] == Place(3, 5)
    assert document.place(("a", 0, "missing")) == Place(2, 5)
    assert document.place(("a", 0, "c"), on_key=True) == Place(3, 5)


def test_a_key_is_always_text() -> None:
    assert plain(read("ON: 1\n600519: 2\nTRUE: 3\n~: 4\n").data) == {"ON": 1, "600519": 2, "TRUE": 3, "~": 4}


def test_quoted_words_are_text() -> None:
    assert plain(read("[\"1\", '2', \"true\", '']").data) == ["1", "2", "true", ""]


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter() -> None:
    assert plain(read_yaml(b"\xef\xbb\xbfa: 1\r\nb: x\r\n", {}).data) == {"a": 1, "b": "x"}


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_nothing_is_an_empty_mapping(text: str) -> None:
    assert plain(read(text).data) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "1:6: a bracket is not closed"),
        ("a: 'x", "1:6: a quote is not closed"),
        ("a: {b: 1} c", "1:11: the indentation does not fit"),
        ('a: ["b" c]', "1:9: a comma"),
        ("a: 1\n\tb: 2", "2:1: a tab: YAML is indented with spaces"),
        ("a: b: c", "1:5: a second colon in one line"),
        ("a: 1\n  b: 2", "2:4: a second colon in one line, or indentation"),
        ("a:\n  b: 1\n c: 2", "3:2: the indentation does not fit"),
        ("a: *b", "1:4: an alias without an anchor"),
        ("a: 1\n---\nb: 2", "2:1: only one document"),
        ("a: {b: ${NAME}}", '1:8: inside { } or [ ] quote it: "${NAME}"'),
        ("a: !!python/object:os.system x", "1:4: tags are not used here"),
        ("a: !!str 5", "1:4: tags are not used here"),
        ("a: ! 5", "1:4: tags are not used here"),
        ("!!map {a: 1}", "1:1: tags are not used here"),
        ("a: b\x00c", "1:5: a character that YAML does not allow"),
        ("a: 1\nb: \x07", "2:4: a character that YAML does not allow"),
        (b"a: 1\nb: \xff\xfe", "2:4: the file is not UTF-8 text"),
        ("a: |x\n b", "1:5: not YAML: "),
    ],
)
def test_what_is_not_yaml_is_told_with_its_place(text: str | bytes, expected: str) -> None:
    assert refusal(text).startswith(expected)


def test_a_key_written_twice_is_a_fault_at_its_second_place() -> None:
    assert faults("a: 1\nb: {c: 1, c: 2, c: 3}\na: 3\n") == [
        "3:1: a: this key is already written in line 1",
        "2:11: b.c: this key is already written in line 2",
        "2:17: b.c: this key is already written in line 2",
    ]


def test_a_key_must_be_a_word() -> None:
    assert faults("? [1, 2]\n: x\n") == ["1:3: : a key must be a word"]


def test_a_merge_brings_what_is_not_written() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  y: 3\nc: {<<: *b, z: 4}\n"
    assert plain(read(text).data) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 3, "z": 4}}


@pytest.mark.parametrize("text", ["a: &a {x: 1}\nb: {<<: [*a, *a]}", "a: &a {x: 1}\nb: {<<: *a, <<: *a}", "b: {<<: 1}"])
def test_a_merge_takes_one_mapping(text: str) -> None:
    (fault,) = faults(text)
    assert fault.endswith("a mapping takes one merge, of one mapping: <<: *name")


def test_a_list_of_merges_that_doubles_at_each_level_is_refused_at_once() -> None:
    levels = "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 25))
    began = time.perf_counter()
    assert len(faults(f"a0: &a0 {{x: 1}}\n{levels}\n")) == 24
    assert time.perf_counter() - began < 2


def test_merges_upon_merges_stay_within_the_depth() -> None:
    levels = "\n".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 60))
    assert "merges nested deeper than 32" in refusal(f"a0: &a0 {{x: 1}}\n{levels}\n")


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: *a}", "a: &a\n  <<: *a\n  b: 1"])
def test_an_alias_inside_its_own_anchor_is_refused(text: str) -> None:
    assert "nested deeper than 32" in refusal(text)


def test_a_hundred_thousand_brackets_are_refused_at_the_thirty_third() -> None:
    began = time.perf_counter()
    assert refusal("[" * 100_000) == "1:33: nested deeper than 32"
    assert refusal("- " * 100_000) == "1:65: nested deeper than 32"
    assert refusal('{"a":' * 100_000) == "1:161: nested deeper than 32"
    assert time.perf_counter() - began < 5


def test_thirty_two_levels_are_fine() -> None:
    assert read("[" * 32 + "]" * 32).data


def test_aliases_are_counted() -> None:
    assert plain(read("a: &a 1\nb: [" + "*a, " * 100 + "]").data)
    assert refusal("a: &a 1\nb: [" + "*a, " * 101 + "]") == "2:405: more than 100 aliases"


def test_aliases_that_multiply_are_refused() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11))
    began = time.perf_counter()
    assert "aliases make this file larger than" in refusal(f"a0: &a0 [{', '.join('x' * 9)}]\n{levels}\n")
    assert time.perf_counter() - began < 20


def test_a_file_larger_than_a_mebibyte_is_refused_unread() -> None:
    assert refusal(b"#" * (1024 * 1024 + 1)) == "1:1: the file is larger than 1 MiB"


def place_of_refusal(content: bytes) -> Place | None:
    try:
        read_yaml(content, {})
    except YamlError as error:
        return error.place
    return None


@given(st.text() | st.lists(st.sampled_from("a:b- \n[]{}&*!|>'\"%@`,?#$~0\t<.")).map("".join))
def test_any_text_is_read_or_refused_at_its_place(text: str) -> None:
    content = text.encode()
    place = place_of_refusal(content)
    assert place is None or (1 <= place.line <= text.count("\n") + text.count("\r") + 2 and place.column >= 1)


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    place = place_of_refusal(content)
    assert place is None or place.line >= 1
