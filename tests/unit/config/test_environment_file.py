"""`EnvironmentFile=`, as systemd reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.config.environment_file import environment_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  A = 1 2  \n", {"A": "1 2"}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("# A=1\n;B=2\n  #C=3\nD=4 # 5\n", {"D": "4 # 5"}),
        ("# goes \\\nA=1\n", {"A": "1"}),
        ("no value\nA=1", {"A": "1"}),
        ("export A=1\n1A=1\n=1\nB=2", {"B": "2"}),
        ("A='1 \\ \"2\" '\n", {"A": '1 \\ "2" '}),
        ('A="1 \\" \\$2 \\\\ \\n"\n', {"A": '1 " $2 \\ \\n'}),
        ('A="1\n2"\nB=3', {"A": "1\n2", "B": "3"}),
        ("A='1\n2'\nB=3", {"A": "1\n2", "B": "3"}),
        ("A=\"1\" '2'3\n", {"A": "123"}),
        ("A=1'2'\"3\"\n", {"A": "1'2'\"3\""}),
        ("A=1 \\\n 2\nB=3", {"A": "1  2", "B": "3"}),
        ("A=a\\ \nB=3", {"A": "a ", "B": "3"}),
        ('A="1\\\n2"', {"A": "12"}),
        ("A=a\\\\b\\'c", {"A": "a\\b'c"}),
        ("A='never ends\nB=2", {"A": "never ends\nB=2"}),
        ("A=1=2", {"A": "1=2"}),
        ("A=${B}", {"A": "${B}"}),
        ("A=\\", {"A": ""}),
    ],
)
def test_it_is_read_as_systemd_reads_it(text: str, found: dict[str, str]) -> None:
    assert environment_of(text) == found


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.text().filter(lambda t: "\0" not in t)
    )
)
def test_whatever_stands_in_double_quotes_comes_back(values: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        for character in '\\"`$':
            value = value.replace(character, f"\\{character}")
        return value

    assert environment_of("".join(f'{name}="{quoted(value)}"\n' for name, value in values.items())) == values


@given(st.text(alphabet="A=1 \\'\"\n\r#;$`\t"))
def test_no_text_is_too_much(text: str) -> None:
    assert all(name.isidentifier() for name in environment_of(text))
