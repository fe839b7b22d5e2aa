"""What foreign exceptions say."""

import socket
import ssl

import pytest

from pricestreamd.sinks.said import said_by


def _around(inner: Exception) -> Exception:
    error = RuntimeError("Error 111 connecting to host")
    error.__context__ = inner
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (_around(ConnectionRefusedError(111, "Connect call failed")), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "its name has no address: name or service not known"),
        (ssl.SSLError(1, "[SSL] wrong version number"), "[SSL] wrong version number"),
        (OSError("Multiple exceptions"), "Multiple exceptions"),
        (ValueError("one\ntwo\t three"), "one two three"),
        (ValueError("x" * 1000), "x" * 200),
        (ValueError(), "ValueError"),
    ],
)
def test_it_is_one_bounded_line_in_the_words_of_the_system(error: Exception, words: str) -> None:
    assert said_by(error) == words
