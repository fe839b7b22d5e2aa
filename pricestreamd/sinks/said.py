"""What an exception of a foreign library says, in one bounded line that a person can read."""

from __future__ import annotations

import os
import socket
import ssl

# What a server says is told up to this many characters.
SAID = 200


def said_by(exc: BaseException) -> str:
    """In the words of the system where the network is at fault, else in its own."""
    # A library may have put its own error around the system's.
    for error in (exc, exc.__cause__, exc.__context__):
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {error.verify_message}"
        if isinstance(error, socket.gaierror):
            return f"its name has no address: {error.strerror}".lower()
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
            return os.strerror(error.errno).lower()
    return " ".join(str(exc).split())[:SAID] or type(exc).__name__
