"""`schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import argparse
import json

HELP = "print the JSON Schema of the configuration"
EXAMPLE = "pricestreamd schema > schema.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`schema` has no arguments of its own."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    from pricestreamd.config.schema import json_schema

    del args
    print(json.dumps(json_schema(), indent=2))
    return 0
