"""A port of this machine that nobody listens on."""

import socket


def free_port() -> int:
    """A free TCP port of 127.0.0.1; somebody else may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
