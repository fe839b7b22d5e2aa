"""docs/http.md: each example that changes something does what it says."""

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import get_args

import pytest

from pricestreamd.http.access import MAX_BODY_BYTES, REQUESTS, REQUESTS_A_SECOND, WRONG_TOKENS
from pricestreamd.http.body import BODY_SECONDS
from pricestreamd.http.broadcast import STALL_SECONDS
from pricestreamd.http.certificates import LOOK_SECONDS
from pricestreamd.http.connection import (
    ANSWER_SECONDS,
    KEEPALIVE_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
)
from pricestreamd.http.door import HANDSHAKE_SECONDS
from pricestreamd.http.openapi.document import document
from pricestreamd.http.sse import MAX_READERS
from pricestreamd.stream.alerts.alert import State
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
    for state in get_args(State):
        assert f"| `{state}` |" in text
    operations = [operation for item in document("1")["paths"].values() for operation in item.values()]
    statuses = {int(status) for operation in operations for status in operation["responses"] if int(status) >= 400}
    assert statuses
    told = text.partition("\n## Errors and limits\n")[2].partition("\n\n|")[0]
    # 405 is what no address of the document answers to a method of the document.
    assert set(map(int, re.findall(r"\b[45]\d\d\b", told))) == statuses | {405}


def test_every_address_and_every_limit_is_in_the_document() -> None:
    text = DOCUMENT.read_text()
    for path in document("1")["paths"]:
        named = path.replace("{alert_id}", "{id}")
        assert named in text or path in ("/page/{name}", "/api/v1/alerts/{alert_id}/rearm"), path
    for limit in (
        f"| connections | {MAX_CONNECTIONS} |",
        f"| readers of the live stream | {MAX_READERS} of these |",
        f"| a header line; headers | {MAX_HEADER_BYTES // 1024} KiB; {MAX_HEADERS} |",
        f"| a body | {MAX_BODY_BYTES // 1024} KiB, within {BODY_SECONDS:g} s |",
        f"| a request, or the pause before the next | {KEEPALIVE_SECONDS:g} s |",
        f"| a TLS handshake | {HANDSHAKE_SECONDS:g} s |",
        f"| reading an answer | {ANSWER_SECONDS:g} s | closed; a live stream that takes nothing: {STALL_SECONDS:g} s |",
        f"| requests from one address | {REQUESTS:,} at once, then {REQUESTS_A_SECOND:g} a second |",
        f"After {WRONG_TOKENS} wrong tokens from one address",
        f"The files are looked at every {LOOK_SECONDS:g} s",
    ):
        assert limit in text, limit
