"""`check`: validates a configuration whole, runs its tests, tells what it amounts to, and, if asked, tries it out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from pricestreamd.cli.patience import ImpatientLoop, quiet_log
from pricestreamd.cli.words import UsageError, config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import redact
from pricestreamd.sinks.settings import AnySinkSettings, FileSinkSettings, SqliteSinkSettings
from pricestreamd.telemetry.plain import escaped

if TYPE_CHECKING:
    from pricestreamd.config.load import Loaded
    from pricestreamd.stream.alert_rule import AlertRule

HELP = "check a configuration: every error with its place, its tests, and what will happen; --connect tries it out"
EXAMPLE = "pricestreamd check config/price-stream.yaml --connect"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and for whom the answer is."""
    config_argument(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the configuration; the same as --config FILE")
    parser.add_argument(
        "--connect",
        action="store_true",
        help="also connect and subscribe each feed once, open and close each sink, and say what happened",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(args: argparse.Namespace) -> int:
    """Load, put the parts together without starting them, run the tests, and print the plan; perhaps try it out."""
    from pricestreamd.cli.alert_tests import failed_tests
    from pricestreamd.config.load import find_config
    from pricestreamd.config.service_places import load_beside
    from pricestreamd.daemon.parts import build

    loaded = load_beside(find_config(_named(args), os.environ), os.environ)
    try:
        # What the parts have to say of the configuration is a warning of it already.
        with quiet_log():
            build(loaded)
    except ConfigError as exc:
        raise ConfigError(*exc.problems, warnings=loaded.warnings) from exc
    if failures := failed_tests(loaded):
        raise ConfigError(*failures, warnings=loaded.warnings)
    for warning in loaded.warnings:
        print(redact(f"warning: {warning}"), file=sys.stderr)
    plan = _redacted(_plan(loaded))
    if not args.json:
        print(redact(_text(loaded, plan)), flush=True)
    if args.connect:
        return _connect(loaded, plan, as_json=args.json)
    if args.json:
        print(json.dumps(plan))
    return ExitCode.OK


def _connect(loaded: Loaded, plan: dict[str, Any], *, as_json: bool) -> int:
    """Try the configuration out, and print what happened: 0 when all is well."""
    from pricestreamd.cli import findings as told
    from pricestreamd.config.service_places import service_places
    from pricestreamd.daemon.outlets import sink_settings
    from pricestreamd.daemon.trial.probe import probe

    settings = loaded.settings
    loop, places = ImpatientLoop(), service_places(loaded.path)
    with quiet_log():
        findings = loop.run(probe(settings.feeds, sink_settings(settings), state=places.state if places else None))
    if as_json:
        print(json.dumps({**plan, "connect": _redacted(told.as_json(findings))}))
    else:
        print("\n".join(escaped(redact(line)) for line in ["", *told.as_lines(findings)]))
    return loop.leave(ExitCode.OK if findings.ok else ExitCode.REFUSED)


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
    from pricestreamd.cli.feed_plan import feed_plan
    from pricestreamd.config.load import state_directory
    from pricestreamd.config.service_places import service_environ
    from pricestreamd.daemon.outlets import sink_settings

    settings = loaded.settings
    return {
        "feeds": {name: feed_plan(feed) for name, feed in settings.feeds.items()},
        "alerts": [_alert(rule) for rule in loaded.alert_rules],
        "tests_passed": len(settings.tests),
        "sinks": {name: _sink(sink) for name, sink in sink_settings(settings).items()},
        "http": settings.http.listen,
        "relative_paths": {
            "read": str(loaded.path.absolute().parent),
            "written": str(state_directory(service_environ(loaded.path, os.environ)).absolute()),
        },
        "warnings": [str(warning) for warning in loaded.warnings],
    }


def _sink(sink: AnySinkSettings) -> dict[str, Any]:
    plan: dict[str, Any] = {"type": sink.type, "events": list(sink.events)}
    if isinstance(sink, FileSinkSettings | SqliteSinkSettings):
        plan["path"] = str(sink.path.absolute())
    return plan


def _alert(rule: AlertRule) -> dict[str, Any]:
    from pricestreamd.daemon.answers.alert_words import in_words
    from pricestreamd.stream.alert_rule import CONDITIONS

    conditions = [condition.reason for condition in rule.conditions]
    modifiers = {key: value for key, value in rule.written.items() if key not in (*CONDITIONS, "when")}
    words = f" {'and' if rule.together else 'or'} ".join(conditions)
    further = in_words(modifiers, rule.notify)
    return {
        "alert_id": rule.alert_id,
        "symbols": list(rule.patterns),
        "conditions": conditions,
        "text": f"{words}, {further}" if further else words,
    }


def _text(loaded: Loaded, plan: dict[str, Any]) -> str:
    from pricestreamd.cli.feed_plan import feed_lines

    lines = [f"{loaded.path}: good, {counted(len(loaded.warnings), 'warning')}", ""]
    for name, feed in plan["feeds"].items():
        lines += feed_lines(name, feed)
    for alert in plan["alerts"]:
        lines.append(f"alert {alert['alert_id']} on {', '.join(alert['symbols'])}: {alert['text']}")
    if plan["tests_passed"]:
        lines.append(f"{counted(plan['tests_passed'], 'test')} of alerts passed")
    for name, sink in plan["sinks"].items():
        lines.append(f"sink {name}: {sink['type']} gets {', '.join(sink['events'])}")
        lines += [f"  in {sink['path']}"] if "path" in sink else []
    begin = plan["relative_paths"]
    lines += [
        f"page and API on {plan['http']}",
        f"relative paths begin at {begin['written']} (what is written) and at {begin['read']} (what is read)",
    ]
    return "\n".join(lines)
