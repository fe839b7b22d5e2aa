"""The files for Prometheus and Grafana as they are shipped, and the names that their queries use."""

import functools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pricestreamd.telemetry.metrics import CATALOGUE, PREFIX

ROOT = Path(__file__).parents[2]
SCRAPE = ROOT / "deploy" / "prometheus" / "prometheus.yml"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
RULES_TEST = ROOT / "deploy" / "prometheus" / "rules_test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "price-stream.json"
OPERATIONS = ROOT / "docs" / "operations.md"

PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")

# What a scrape has beside the catalogue: from the target itself, and from Prometheus.
FOREIGN: dict[str, tuple[str, ...]] = {
    "process_resident_memory_bytes": (),
    "process_cpu_seconds_total": (),
    "process_start_time_seconds": (),
    "up": (),
}
# Prometheus adds these to every series.
TARGET = {"job", "instance"}

_NAME = re.compile(rf"(?<![\w\"/])(?:{PREFIX}\w+|process_\w+|up)\b(?!\()")
_SELECTOR = re.compile(rf"({PREFIX}\w+|process_\w+|up)\{{([^}}]*)\}}")
_GROUPING = re.compile(r"\b(?:by|without|on)\s*\(([^)]*)\)")


def exposed() -> dict[str, tuple[str, ...]]:
    """Every name of a series that a query may use, and its labels."""
    found = dict(FOREIGN)
    for metric in CATALOGUE:
        if metric.read is None:
            continue
        name = PREFIX + metric.name
        if metric.kind == "histogram":
            found |= {f"{name}_bucket": (*metric.labels, "le"), f"{name}_sum": metric.labels}
            found[f"{name}_count"] = metric.labels
        else:
            found[name] = metric.labels
    return found


def names_in(query: str) -> set[str]:
    """The metrics that a query names."""
    return set(_NAME.findall(query))


def wrong_labels(query: str) -> set[str]:
    """Labels that a query uses and that its metrics do not have."""
    known = exposed()
    wrong = set()
    for name, inside in _SELECTOR.findall(query):
        used = set(re.findall(r"(\w+)\s*[=!]~?\s*\"", inside))
        wrong |= {f"{name}{{{label}}}" for label in used - TARGET - set(known.get(name, ()))}
    of_all = TARGET.union(*(known.get(name, ()) for name in names_in(query)))
    for inside in _GROUPING.findall(query):
        wrong |= {label.strip() for label in inside.split(",")} - of_all
    return wrong


@functools.cache
def rules() -> list[dict[str, Any]]:
    """Every alerting rule."""
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


@functools.cache
def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """Its panels, without the rows that only group them."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """(where, query) of everything that the dashboard asks."""
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']}/{target['refId']}", target["expr"]
    for note in dashboard()["annotations"]["list"]:
        yield f"annotation {note['name']}", note["expr"]
