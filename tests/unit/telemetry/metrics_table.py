"""The tables of docs/metrics.md, made from the catalogue. `python -m tests.unit.telemetry.metrics_table` writes them."""

from collections.abc import Iterable
from pathlib import Path

from pricestreamd.telemetry.metrics import CATALOGUE, PREFIX, Metric

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
BEGIN, END = "<!-- {}: made from the catalogue -->", "<!-- /{} -->"


def table(metrics: Iterable[Metric]) -> str:
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in metrics:
        labels = ", ".join(f"`{name}`" for name in metric.labels)
        rows.append(f"| `{PREFIX}{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows)


def filled(page: str) -> str:
    """`page` with the tables as they are now between their marks."""
    for name, metrics in (
        ("exposed", [metric for metric in CATALOGUE if metric.read]),
        ("reserved", [metric for metric in CATALOGUE if not metric.read]),
    ):
        begin, end = BEGIN.format(name), END.format(name)
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = f"{head}{begin}\n{table(metrics)}\n{end}{tail}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
