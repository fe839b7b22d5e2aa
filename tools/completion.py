"""Prints the completion of a shell, made by shtab from the program's parser: `python -m tools.completion bash|zsh`."""

from __future__ import annotations

import sys

import shtab

from pricestreamd.cli.main import program_parser
from tools.options import commands, options

# Of these arguments, the value is a file.
_FILES = frozenset({"FILE", "OUT"})


def completion(shell: str) -> str:
    """The script for `shell`."""
    parser = program_parser()
    for _, command in commands(parser):
        for option in options(command):
            if option.metavar in _FILES:
                option.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab is told
    return shtab.complete(parser, shell=shell)


if __name__ == "__main__":
    sys.stdout.write(completion(sys.argv[1]))
