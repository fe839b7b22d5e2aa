"""`check`: validates a configuration whole, and tells what it amounts to."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from pricestreamd.daemon.exit_code import ExitCode

if TYPE_CHECKING:
    from pricestreamd.config.load import Loaded
    from pricestreamd.feeds.settings import FeedSettings
    from pricestreamd.stream.alert_rule import AlertRule

HELP = "check a configuration: every error with its place, and what will happen"
EXAMPLE = "pricestreamd check --config config/price-stream.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """For whom the answer is."""
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(args: argparse.Namespace) -> int:
    """Load, put the parts together without starting them, and print the plan."""
    from pricestreamd.config.load import find_config, load
    from pricestreamd.daemon.parts import build

    loaded = load(find_config(args.config, os.environ), environ=os.environ)
    build(loaded)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    plan = _plan(loaded)
    print(json.dumps(plan) if args.json else _text(loaded, plan))
    return ExitCode.OK


def _plan(loaded: Loaded) -> dict[str, Any]:
    from pricestreamd.config.alerts import alert_rules
    from pricestreamd.daemon.parts import sink_settings

    settings = loaded.settings
    return {
        "feeds": {name: _feed(feed) for name, feed in settings.feeds.items()},
        "alerts": [
            {
                "alert_id": rule.alert_id,
                "symbols": list(rule.patterns),
                "conditions": [c.reason for c in rule.conditions],
            }
            for rule in alert_rules(loaded)
        ],
        "sinks": {
            name: {"type": sink.type, "events": list(sink.events)} for name, sink in sink_settings(settings).items()
        },
        "http": settings.http.listen,
        "warnings": [str(warning) for warning in loaded.warnings],
    }


def _alert(rule: AlertRule) -> dict[str, Any]:
    conditions = [condition.reason for condition in rule.conditions]
    return {"alert_id": rule.alert_id, "symbols": list(rule.patterns), "conditions": conditions}


def _feed(feed: FeedSettings) -> dict[str, Any]:
    from pricestreamd.providers.catalogue import profile

    about = profile(feed.provider)
    return {
        "provider": feed.provider,
        "endpoint": feed.endpoint or about.endpoint,
        "symbols": list(feed.symbols),
        "connections": 1,
        "control_messages": f"{about.control_messages} in {about.control_window:g} s",
    }


def _text(loaded: Loaded, plan: dict[str, Any]) -> str:
    lines = [f"{loaded.path}: good, {len(loaded.warnings)} warnings", ""]
    for name, feed in plan["feeds"].items():
        lines += [
            f"feed {name}: {feed['provider']} at {feed['endpoint']}",
            f"  {len(feed['symbols'])} symbols over {feed['connections']} connection: {', '.join(feed['symbols'])}",
            f"  at most {feed['control_messages']} control messages",
        ]
    for alert in plan["alerts"]:
        lines.append(f"alert {alert['alert_id']} on {', '.join(alert['symbols'])}: {' or '.join(alert['conditions'])}")
    for name, sink in plan["sinks"].items():
        lines.append(f"sink {name}: {sink['type']} gets {', '.join(sink['events'])}")
    lines.append(f"page and API on {plan['http']}")
    return "\n".join(lines)
