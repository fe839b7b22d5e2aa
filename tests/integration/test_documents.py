"""What the documents show is run: the README's Python and YAML, and the example."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pricestreamd
from pricestreamd.config.load import load
from pricestreamd.simulator.server import Simulator

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


@pytest.mark.parametrize("document", ["README.md", "docs/library.md"])
async def test_the_library_programs_run_against_the_simulator(document: str) -> None:
    (text,) = blocks(document, "python")
    assert "listen(5)" in text
    namespace: dict[str, object] = {"__name__": "document"}
    exec(compile(text.replace("listen(5)", "listen(1)"), document, "exec"), namespace)
    async with Simulator("twelvedata", rate=100) as simulator:
        await namespace["main"](simulator.url)  # type: ignore[operator]
        assert simulator.sent.total() > 10


def test_every_public_name_is_there_and_listed() -> None:
    for name in pricestreamd.__all__:
        assert getattr(pricestreamd, name).__name__ == name
    assert sorted(pricestreamd.__all__) == pricestreamd.__all__
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        pricestreamd.nosuch  # noqa: B018 - the look-up is the test


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


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} -> {target}"


async def test_the_quick_start_example_prints_prices_in_both_forms() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "WEBSOCKET_API_KEY"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "examples" / "websocket_streaming.py",
        "--seconds",
        "1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environ,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors.decode()
    assert b"Price update: AAPL @ " in out
    assert re.search(rb"AAPL: \$\d+\.\d+ \([+-]\d", out)
    received, updates = map(int, re.findall(rb"received (\d+) prices, then (\d+) updates", out)[0])
    assert received > 5
    assert updates > 5
