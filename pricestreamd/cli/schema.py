"""`schema`: the JSON Schema of the configuration, for editors, with the sinks that installed distributions bring."""

from __future__ import annotations

import argparse
import json
import sys

HELP = "print the JSON Schema of the configuration"
EXAMPLE = "pricestreamd schema > schema.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`schema` has no arguments of its own."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Print the schema; a distribution that cannot be used is told of, and left out."""
    from pricestreamd.config.plugins import admit_installed
    from pricestreamd.config.schema import json_schema

    del args
    for trouble in admit_installed():
        print(f"pricestreamd: warning: {trouble}", file=sys.stderr)
    print(json.dumps(json_schema(), indent=2))
    return 0
