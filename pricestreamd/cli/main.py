"""The command line: one file a command; this one finds the command and turns every ending into an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn, Protocol, cast

from pricestreamd.cli.ask import UnreachableError
from pricestreamd.cli.patience import INTERRUPTED
from pricestreamd.cli.tables import cell
from pricestreamd.cli.words import UsageError
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError, PriceStreamError
from pricestreamd.model.secret import redact
from pricestreamd.state.lock import StateLocked
from pricestreamd.telemetry.strays import tell_strays

COMMANDS = (
    *("run", "demo", "check", "simulate", "record", "replay", "status", "reload"),
    *("alerts", "symbols", "sinks", "outbox", "state", "schema"),
)


class Command(Protocol):
    """What each module of a command offers. `HELP` is one line, `EXAMPLE` what a person would type."""

    HELP: str
    EXAMPLE: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the exit code."""


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with 64 (`EX_USAGE`), in one line. Options are not abbreviated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # What is a part of one name today may be a part of two tomorrow, and a mistyped alert is set all the same.
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to find out more."""
        self.exit(ExitCode.USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name. Returns the exit code."""
    command = ""
    if argv is None:  # the process is ours
        tell_strays()
    try:
        parser = program_parser()
        args = parser.parse_args(argv)
        if args.command is None:
            parser.print_help(sys.stderr)
            return ExitCode.USAGE
        command = f" {args.command}"
        code = _command(args.command).run(args)
        if sys.stdout is not None:  # it was closed when we were started
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to be said, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - the top: no user is to read a traceback
        return _failed(f"pricestreamd{command}", exc)
    return code


def _failed(program: str, exc: Exception) -> ExitCode:
    """Tell of `exc` in plain words; the exit code that it stands for."""
    if isinstance(exc, ConfigError):
        code, message = ExitCode.CONFIG, _findings(exc)
    elif isinstance(exc, UsageError):
        code, message = ExitCode.USAGE, f"{program}: {exc}"
    elif isinstance(exc, UnreachableError):
        code, message = ExitCode.REFUSED, cell(f"{program}: {exc}")
    elif isinstance(exc, StateLocked):
        code, message = ExitCode.LOCKED, f"{program}: {exc}"
    elif isinstance(exc, PriceStreamError):
        code, message = ExitCode.INTERNAL, f"{program}: {exc}"
    elif isinstance(exc, OSError):
        code, message = ExitCode.SYSTEM, f"{program}: {exc}"
    else:
        code = ExitCode.INTERNAL
        detail = " ".join(str(exc).split())
        message = f"{program}: a bug: {type(exc).__name__}: {detail} (PRICESTREAM_DEBUG=1 shows where)"
        if os.environ.get("PRICESTREAM_DEBUG") == "1":
            print(redact("".join(traceback.format_exception(exc))), end="", file=sys.stderr)
    print(_for_journal(redact(message)), file=sys.stderr)
    return code


def _for_journal(message: str) -> str:
    """With the priority of each line, where journald reads it: `journalctl -p err` is to show what ended us."""
    from pricestreamd.telemetry.logs import is_journal

    if not is_journal(sys.stderr, os.environ):
        return message
    return "\n".join(f"<{4 if line.startswith('warning: ') else 3}>{line}" for line in message.split("\n"))


def _findings(exc: ConfigError) -> str:
    """Errors and warnings, a line each, in the order of the file."""
    told = [(problem, str(problem)) for problem in exc.problems]
    told += [(warning, f"warning: {warning}") for warning in exc.warnings]
    return "\n".join(line for _, line in sorted(told, key=lambda entry: (entry[0].line, entry[0].column)))


def _command(name: str) -> Command:
    return cast("Command", import_module(f"pricestreamd.cli.{name}"))


def program_parser() -> argparse.ArgumentParser:
    """The parser of all commands; manual pages and shell completion are made from it."""
    parser = Parser(
        prog="pricestreamd",
        description="Turns market-data connections into dependable price events.",
        epilog="example: pricestreamd run --config /etc/price-stream/config.yaml",
    )
    told = f"pricestreamd {version('pricestreamd')}"
    parser.add_argument("--version", action="version", version=told)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        command = _command(name)
        sub = subparsers.add_parser(
            name, help=command.HELP, description=command.HELP, epilog=f"example: {command.EXAMPLE}"
        )
        sub.add_argument("--version", action="version", version=told)
        command.arguments(sub)
    return parser
