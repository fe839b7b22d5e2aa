"""docs/http.md: each example that changes something does what it says."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.controlled import TOKEN_FILE, controlled, world

DOCUMENT = Path(__file__).parents[2] / "docs" / "http.md"


def examples() -> list[str]:
    """The commands of the section on changes, one text each."""
    section = DOCUMENT.read_text().partition("## Changing alerts and symbols\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    commands = re.sub(r"^#.*\n", "", block, flags=re.MULTILINE).split("\n\n")
    return [command.strip() for command in commands]


async def test_every_curl_that_changes_something_works(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    answers = []
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, _):
        token = (tmp_path / TOKEN_FILE).read_text().strip()
        for command in examples():
            assert command.startswith("curl ")
            asked = command.replace("http://127.0.0.1:9777", f"http://{server.address}")
            process = await asyncio.create_subprocess_exec(
                *("bash", "-c", asked.replace("curl ", "curl -sS -w '%{http_code}' ", 1)),
                stdout=asyncio.subprocess.PIPE,
                env={"PATH": os.environ["PATH"], "TOKEN": token},
            )
            out, _ = await asyncio.wait_for(process.communicate(), 30)
            answers.append(out.decode())
            if len(answers) == 2:
                assert dict(made.service.board.rule("apple").written) == {"above": 210.0}  # type: ignore[union-attr]  # it is there
    assert [answer[-3:] for answer in answers] == ["201", "200", "200", "204", "200", "201", "204"]
    assert '"kept":["from-yaml"]' in answers[4]
    assert made.sources()["TSLA"] == "api"
    assert "ETH/USD" not in made.sources()


def test_every_status_and_state_is_in_the_document() -> None:
    text = DOCUMENT.read_text()
    for state in ("armed", "firing", "cooling", "done", "waiting", "blind", "expired"):
        assert f"| `{state}` |" in text
    for status in (400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 500, 503):
        assert re.search(rf"\b{status}\b", text)
