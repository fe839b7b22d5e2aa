"""`run`: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import os

from pricestreamd.cli.words import config_argument

HELP = "run the daemon in the foreground"
EXAMPLE = "pricestreamd run --config config/price-stream.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration."""
    config_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Load the configuration and run until a signal; the exit code says how it ended."""
    from pricestreamd.daemon.signals import not_yet_heard

    not_yet_heard()
    from pricestreamd.config.load import find_config, load
    from pricestreamd.daemon.run import run_daemon

    return run_daemon(load(find_config(args.config, os.environ), environ=os.environ))
