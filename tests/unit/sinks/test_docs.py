"""What docs/sinks.md says is tested is tested, and the other way round."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTS = [*(ROOT / "tests/unit/sinks").glob("test_*.py"), ROOT / "tests/faults/test_sinks.py"]
SUITE = ROOT / "tests/conformance/test_sinks.py"


def names_in(*paths: Path) -> set[str]:
    return {name for path in paths for name in re.findall(r"def (test_\w+)", path.read_text())}


def test_every_test_that_the_documentation_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/sinks.md").read_text()))
    assert named
    assert named <= names_in(SUITE, *TESTS)


def test_every_test_of_the_conformance_suite_is_a_must_of_the_documentation() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/sinks.md").read_text()))
    assert names_in(SUITE) - named == {"test_every_built_sink_is_in_this_suite"}
