"""What more than one command has: how words of the command line are read (a fault is code 64), and who looks on."""

from __future__ import annotations

import argparse
import sys

from pricestreamd.model.errors import PriceStreamError

_HIGHEST_PORT = 65535


class UsageError(PriceStreamError):
    """The command line asks for what cannot be, as only shows when it is tried."""


def config_argument(parser: argparse.ArgumentParser) -> None:
    """`--config`, for a command that reads a configuration."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (else /etc/price-stream/config.yaml, else ./config/price-stream.yaml)",
    )


def counted(number: int, noun: str) -> str:
    """`1 warning`, `2 warnings`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def on_terminal() -> bool:
    """Whether stderr is a terminal; it may have been closed when we were started."""
    return sys.stderr is not None and sys.stderr.isatty()


def port_number(text: str) -> int:
    """A port to listen on; 0 is any free one."""
    if not (text.isascii() and text.isdigit() and int(text) <= _HIGHEST_PORT):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {_HIGHEST_PORT}, got {text!r}")
    return int(text)


def host_and_port(text: str) -> tuple[str, int]:
    """`host:port` or `[::1]:port`; the host without its brackets."""
    host, _, port = text.rpartition(":")
    if not host:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), port_number(port)
