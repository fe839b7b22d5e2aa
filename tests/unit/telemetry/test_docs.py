"""The pages about metrics and logs say what the code does."""

from pathlib import Path

from pricestreamd.telemetry.log_format import LINE_LIMIT
from pricestreamd.telemetry.log_writer import QUEUE_LINES
from tests.unit.telemetry.metrics_table import PAGE, filled

LOGGING = Path(__file__).parents[3] / "docs" / "logging.md"


def test_the_table_of_metrics_is_that_of_the_catalogue() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == filled(page), "python -m tests.unit.telemetry.metrics_table writes it anew"


def test_the_bounds_of_the_log_are_told_as_they_are() -> None:
    page = LOGGING.read_text(encoding="utf-8")

    assert f"{LINE_LIMIT:,} bytes" in page
    assert f"{QUEUE_LINES:,} lines" in page
