"""The command line: one file a command; this one finds the command and turns every ending into an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn, Protocol, cast

from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError, PriceStreamError
from pricestreamd.model.secret import redact

COMMANDS = ("run", "demo", "check", "simulate", "replay", "status", "schema")
# What a shell says of a program that was ended by Ctrl-C.
INTERRUPTED = 130


class Command(Protocol):
    """What each module of a command offers. `HELP` is one line, `EXAMPLE` what a person would type."""

    HELP: str
    EXAMPLE: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the exit code."""


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with 64 (`EX_USAGE`), in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to find out more."""
        self.exit(ExitCode.USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one ending, one exit code
    """Run one command; `argv` without the program's name. Returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
    command = _command(args.command)
    try:
        return command.run(args)
    except ConfigError as exc:
        return _fail(ExitCode.CONFIG, str(exc))
    except PriceStreamError as exc:
        return _fail(ExitCode.INTERNAL, f"pricestreamd {args.command}: {exc}")
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to be said, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except OSError as exc:
        return _fail(ExitCode.SYSTEM, f"pricestreamd {args.command}: {exc}")
    except KeyboardInterrupt:
        return INTERRUPTED


def _fail(code: ExitCode, message: str) -> ExitCode:
    print(redact(message), file=sys.stderr)
    return code


def _command(name: str) -> Command:
    return cast("Command", import_module(f"pricestreamd.cli.{name}"))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pricestreamd",
        description="Turns market-data connections into dependable price events.",
        epilog="example: pricestreamd run --config /etc/price-stream/config.yaml",
    )
    parser.add_argument("--version", action="version", version=f"pricestreamd {version('pricestreamd')}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        command = _command(name)
        sub = subparsers.add_parser(
            name, help=command.HELP, description=command.HELP, epilog=f"example: {command.EXAMPLE}"
        )
        sub.add_argument(
            "--config",
            metavar="FILE",
            help="the configuration (else /etc/price-stream/config.yaml, else ./config/price-stream.yaml)",
        )
        command.arguments(sub)
    return parser
