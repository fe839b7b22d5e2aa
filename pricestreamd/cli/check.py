"""`check`: validates a configuration whole, and tells what it amounts to."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pricestreamd.cli.words import UsageError, config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import redact
from pricestreamd.sinks.settings import AnySinkSettings, FileSinkSettings, SqliteSinkSettings

if TYPE_CHECKING:
    from pricestreamd.config.load import Loaded
    from pricestreamd.feeds.settings import FeedSettings
    from pricestreamd.stream.alert_rule import AlertRule

HELP = "check a configuration: every error with its place, and what will happen"
EXAMPLE = "pricestreamd check config/price-stream.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and for whom the answer is."""
    config_argument(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the configuration; the same as --config FILE")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(args: argparse.Namespace) -> int:
    """Load, put the parts together without starting them, and print the plan."""
    from pricestreamd.config.load import find_config, load
    from pricestreamd.daemon.parts import build

    loaded = load(find_config(_named(args), os.environ), environ=os.environ)
    try:
        build(loaded)
    except ConfigError as exc:
        raise ConfigError(*exc.problems, warnings=loaded.warnings) from exc
    for warning in loaded.warnings:
        print(redact(f"warning: {warning}"), file=sys.stderr)
    plan = _redacted(_plan(loaded))
    print(json.dumps(plan) if args.json else redact(_text(loaded, plan)))
    return ExitCode.OK


def _named(args: argparse.Namespace) -> str | None:
    file: str | None = args.file
    config: str | None = args.config
    if file is not None and config is not None and os.path.realpath(file) != os.path.realpath(config):
        raise UsageError(f"two configurations, {file} and --config {config}: name one")
    return config if file is None else file


def _redacted(value: Any) -> Any:
    """A plan with `redact` applied to each of its texts, so that it stays JSON whatever is hidden."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(entry) for entry in value]
    return {redact(key): _redacted(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _plan(loaded: Loaded) -> dict[str, Any]:
    from pricestreamd.config.load import state_directory
    from pricestreamd.daemon.parts import sink_settings

    settings = loaded.settings
    return {
        "feeds": {name: _feed(feed) for name, feed in settings.feeds.items()},
        "alerts": [_alert(rule) for rule in loaded.alert_rules],
        "sinks": {name: _sink(sink) for name, sink in sink_settings(settings).items()},
        "http": settings.http.listen,
        "relative_paths": {
            "read": str(loaded.path.absolute().parent),
            "written": str(state_directory(os.environ).absolute()),
        },
        "warnings": [str(warning) for warning in loaded.warnings],
    }


def _sink(sink: AnySinkSettings) -> dict[str, Any]:
    plan: dict[str, Any] = {"type": sink.type, "events": list(sink.events)}
    if isinstance(sink, FileSinkSettings | SqliteSinkSettings):
        plan["path"] = str(sink.path.absolute())
    return plan


def _alert(rule: AlertRule) -> dict[str, Any]:
    conditions = [condition.reason for condition in rule.conditions]
    return {"alert_id": rule.alert_id, "symbols": list(rule.patterns), "conditions": conditions}


def _feed(feed: FeedSettings) -> dict[str, Any]:
    from pricestreamd.config.capacity import placement
    from pricestreamd.providers.catalogue import profile

    about = profile(feed.provider)
    return {
        "provider": feed.provider,
        "endpoint": _address(feed.endpoint or about.endpoint),
        "symbols": list(feed.symbols),
        "symbols_placed": len(placement(feed).placed),
        "connections": 1,
        "control_messages": f"{about.control_messages} in {about.control_window:g} s",
    }


def _address(endpoint: str) -> str:
    """Scheme, host and path: what is in front of the host and in the query may be a key."""
    parts = urlsplit(endpoint)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _count(feed: dict[str, Any]) -> str:
    placed, wanted = feed["symbols_placed"], len(feed["symbols"])
    return counted(wanted, "symbol") if placed == wanted else f"{placed} of {counted(wanted, 'symbol')}"


def _text(loaded: Loaded, plan: dict[str, Any]) -> str:
    lines = [f"{loaded.path}: good, {counted(len(loaded.warnings), 'warning')}", ""]
    for name, feed in plan["feeds"].items():
        lines += [
            f"feed {name}: {feed['provider']} at {feed['endpoint']}",
            f"  {_count(feed)} over {counted(feed['connections'], 'connection')}: {', '.join(feed['symbols'])}",
            f"  control messages: at most {feed['control_messages']}",
        ]
    for alert in plan["alerts"]:
        lines.append(f"alert {alert['alert_id']} on {', '.join(alert['symbols'])}: {' or '.join(alert['conditions'])}")
    for name, sink in plan["sinks"].items():
        lines.append(f"sink {name}: {sink['type']} gets {', '.join(sink['events'])}")
        lines += [f"  in {sink['path']}"] if "path" in sink else []
    begin = plan["relative_paths"]
    lines += [
        f"page and API on {plan['http']}",
        f"relative paths begin at {begin['written']} (what is written) and at {begin['read']} (what is read)",
    ]
    return "\n".join(lines)
