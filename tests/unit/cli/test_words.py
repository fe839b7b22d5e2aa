"""Words of the command line that more than one command has."""

import argparse

import pytest

from pricestreamd.cli.words import counted, host_and_port, port_number


@pytest.mark.parametrize(("text", "port"), [("0", 0), ("9777", 9777), ("65535", 65535)])
def test_a_port_is_a_number_that_a_socket_takes(text: str, port: int) -> None:
    assert port_number(text) == port


@pytest.mark.parametrize("text", ["", "-1", "65536", "99999", "http", "1.5", " 1", "٣"])
def test_another_text_is_no_port(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a port from 0 to 65535, got"):
        port_number(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("localhost:1", ("localhost", 1))],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert host_and_port(text) == address


@pytest.mark.parametrize("text", ["", "localhost", ":80", "localhost:", "localhost:70000"])
def test_another_text_is_no_address(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        host_and_port(text)


@pytest.mark.parametrize(("number", "text"), [(0, "0 warnings"), (1, "1 warning"), (2, "2 warnings")])
def test_one_is_not_plural(number: int, text: str) -> None:
    assert counted(number, "warning") == text
