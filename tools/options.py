"""Walks the program's parser: every command, however deep, with every option. Manual and completion are made of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Name (`alerts add`) and parser of each command, in the order of the help; not of those that have further ones."""
    declare(parser)
    subparsers = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - argparse has no other door
    for action in subparsers:
        for word, inner in action.choices.items():
            yield from commands(inner, f"{name} {word}".strip())
    if not subparsers:
        yield name, parser


def declare(parser: argparse.ArgumentParser) -> None:
    """Have `parser` declare the options that it declares only when it is used."""
    late = getattr(parser, "declare", None)
    if late is not None:
        parser.declare = None  # type: ignore[attr-defined]  # of the parser of an action: cli.alerts
        late(parser)


def options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Arguments and options, but for those that every command has and those that are hidden."""
    for action in parser._actions:  # noqa: SLF001 - as above
        shown = action.help is not argparse.SUPPRESS and not {"--help", "--version"} & set(action.option_strings)
        if shown and not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            yield action
