"""What the documents show is run: the code of the library page, the YAML of the README, the names of both."""

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.config.load import load
from pricestreamd.simulator.server import Simulator
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def test_the_first_alert_of_the_readme_is_a_good_configuration(tmp_path: Path) -> None:
    (text,) = blocks("README.md", "yaml")
    assert len(text.splitlines()) <= 10  # the first alert takes no more
    path = tmp_path / "first.yaml"
    path.write_text(text)
    loaded = load(path, environ={"WEBSOCKET_API_KEY": "k" * 32})
    assert loaded.warnings == ()
    assert len(loaded.settings.alerts) == 2


async def test_the_code_of_the_library_page_runs_from_top_to_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    async with Simulator("twelvedata", rate=100) as simulator:
        names: dict[str, Any] = {"api_key": "any", "endpoint": simulator.url}
        for text in blocks("docs/library.md", "python"):
            quick = text.replace("listen(5)", "listen(1.5)")
            code = compile(quick, "docs/library.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if (running := eval(code, names)) is not None:
                await running
        await eventually(lambda: not simulator.connections)
    assert names["left"] == 0
    assert names["stats"]["updates_received"] > 20
    assert set(names["cache"]) == set(names["prices"]) | {"MSFT"}
    assert [entry["price"] for entry in names["history"]][-1] == names["price"]
    assert len(names["history"]) == 10
    # What was printed: a tick, the state of the connection, the event of one's own, the alerts.
    printed = capsys.readouterr().out
    assert re.search(r"^AAPL \d+\.\d+ \d+\.\d+ \d+\.\d+$", printed, re.MULTILINE)
    assert "connected 127.0.0.1 " in printed
    assert "True ['AAPL', 'MSFT']" in printed
    assert "\n42\n" in printed
    assert "is above 200.00" in printed
    assert "price_above_1.00" in printed
    assert "not stored" not in printed


def test_every_example_is_named_where_readers_look() -> None:
    shown = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".yaml")}
    for document in ("README.md", "docs/library.md"):
        named = set(re.findall(r"examples/(\w+\.(?:py|yaml))", (ROOT / document).read_text()))
        assert named <= shown, document
        assert document != "docs/library.md" or named == shown


def test_the_commands_of_the_readme_exist() -> None:
    shown = set(
        re.findall(
            r"pricestreamd (\w+)", "\n".join([*blocks("README.md", "console"), *blocks("docs/commands.md", "console")])
        )
    )
    help_text = subprocess.run(
        [sys.executable, "-m", "pricestreamd", "--help"], capture_output=True, text=True, check=True
    )
    assert shown
    assert shown <= set(re.findall(r"^ {4}(\w+)", help_text.stdout, re.MULTILINE))
    verbs = set(re.findall(r"make ([\w-]+)", "\n".join(blocks("README.md", "console"))))
    listed = subprocess.run(["make"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert verbs <= set(re.findall(r"make ([\w-]+)", listed.stdout))


def anchors(document: Path) -> set[str]:
    """What a link may name behind its #: each heading, in lower case, with dashes, and without other signs."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        same = itertools.chain([slug], (f"{slug}-{number}" for number in itertools.count(1)))
        found.add(next(name for name in same if name not in found))
    return found


def test_links_between_documents_lead_somewhere() -> None:
    looked_at = 0
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = (document.parent / path) if path else document
            assert target.exists(), f"{document.name} -> {link}"
            if anchor:
                looked_at += 1
                assert target.suffix == ".md", f"{document.name} -> {link}"
                assert anchor in anchors(target), f"{document.name} -> {link}"
    assert looked_at > 10
