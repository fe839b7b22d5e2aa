"""`state backup`: a copy of the state, also while a daemon uses it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pricestreamd.cli.words import UsageError, config_argument
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import StateError
from pricestreamd.model.secret import redact

HELP = "copy the state: alerts' states, what was made over the API, what sinks owe"
EXAMPLE = "pricestreamd state backup /var/backups/price-stream.db"
_BACKUP_HELP = "copy the state into FILE, whole and checked, while the daemon runs or not"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done, and where the copy goes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    backup = actions.add_parser("backup", help=_BACKUP_HELP, description=_BACKUP_HELP, epilog=f"example: {EXAMPLE}")
    backup.add_argument("file", metavar="FILE", help="the copy; replaced if it is there")
    config_argument(backup)
    backup.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    """Copy it; 64 where there is nothing to copy or FILE cannot be written, 71 where the state cannot be read."""
    from pricestreamd.cli.target import settings_found
    from pricestreamd.config.service_places import RIGHTS
    from pricestreamd.state.backup import TargetError, back_up
    from pricestreamd.state.migrations import ForeignStateError

    settings, found = settings_found(args.config, sections=("state",))
    state = settings.state.path
    try:
        there = state.exists()
    except PermissionError as exc:
        raise UsageError(f"{state} may not be read ({exc.strerror}): {RIGHTS}") from exc
    if not there:
        why = f"{found} names this file" if found is not None else "without a configuration it would be there"
        remedy = "" if found is not None else "; name its configuration with --config"
        raise UsageError(f"{state}: there is no state: {why}, and no daemon has kept anything in it{remedy}")
    try:
        size = back_up(state, Path(args.file))
    except TargetError as exc:
        raise UsageError(str(exc)) from exc
    except ForeignStateError as exc:
        return _failed(exc, ExitCode.CONFIG)
    except StateError as exc:
        return _failed(exc, ExitCode.SYSTEM)
    if args.json:
        print(json.dumps({"state": str(state.absolute()), "backup": args.file, "size_bytes": size}))
    else:
        print(redact(f"{args.file}: a copy of {state}, {size / 1024:.0f} KiB"))
    return ExitCode.OK


def _failed(exc: StateError, code: ExitCode) -> int:
    print(redact(f"pricestreamd state: {exc}"), file=sys.stderr)
    return code
