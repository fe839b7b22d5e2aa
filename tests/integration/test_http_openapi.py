"""The OpenAPI document says what the daemon does, no more and no less, and a fuzzer that reads it finds nothing."""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from pricestreamd.http.app import create_app
from pricestreamd.http.openapi.document import document
from pricestreamd.http.openapi.shapes import ALERT_KEYS
from pricestreamd.simulator.server import Simulator
from tests.support.controlled import bearer, controlled, world
from tests.support.daemon import DaemonProcess

ROOT = Path(__file__).parents[2]
# What the command is told to find out, without whether all that could be meant is taken: an alert has more rules than
# a schema can say.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "unsupported_method", "ignored_auth", "missing_required_header"),
    *("negative_data_rejection", "use_after_free", "allow_header_conformance"),
)
FUZZING_SECONDS = 20
# A body can be too long before it is anything else.
FUZZER = """
[checks]
negative_data_rejection.expected-statuses = [400, 404, 409, 413, 415, 422, 429]
"""


def routes_of(app: web.Application) -> set[tuple[str, str]]:
    """Method and address of every route; HEAD goes with GET."""
    found = set()
    for route in app.router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            found.add((route.method.lower(), route.resource.canonical))
    return found


async def test_every_route_is_in_the_document_and_every_address_of_the_document_is_there(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        app = create_app(made.view, made.settings.http, made.control)
        described = {(method, path) for path, item in document("1")["paths"].items() for method in item}
        assert routes_of(app) == described


def test_every_operation_has_a_name_of_its_own_and_every_schema_is_used() -> None:
    made = document("1")
    operations = [operation for item in made["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(made)))
    assert used == set(made["components"]["schemas"])


def test_the_keys_of_an_alert_are_those_of_the_configuration() -> None:
    definitions = json.loads((ROOT / "config" / "schema.json").read_text())["$defs"]
    assert {key: plain(schema) for key, schema in ALERT_KEYS.items()} == {
        key: plain(configured(schema, definitions)) for key, schema in definitions["Alert"]["properties"].items()
    }


def configured(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema of the configuration with what it refers to in its place, and without the environment."""
    if isinstance(schema, list):
        return [configured(each, definitions) for each in schema if each != {"$ref": "#/$defs/environment"}]
    if not isinstance(schema, dict):
        return schema
    own = {key: configured(value, definitions) for key, value in schema.items() if key != "$ref"}
    if "$ref" in schema:
        own = configured(definitions[schema["$ref"].rpartition("/")[2]], definitions) | own
    if isinstance(own.get("pattern"), str):
        own["pattern"] = own["pattern"].removesuffix(r"|\$\{")
    return own


def plain(schema: Any) -> Any:
    """A schema without its words, in one of the ways in which the same can be said."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    own = {key: plain(value) for key, value in schema.items() if key not in ("description", "default")}
    if isinstance(kinds := own.get("type"), list):
        first = own | {"type": next(kind for kind in kinds if kind != "null")}
        return {"anyOf": [first, {"type": "null"}]}
    if isinstance(choices := own.get("anyOf"), list):
        flat: list[Any] = []
        for choice in choices:
            rest = {key: value for key, value in own.items() if key != "anyOf"}
            flat.extend(choice["anyOf"] if set(choice) == {"anyOf"} and not rest else [choice])
        if len(flat) == 1:
            return {key: value for key, value in own.items() if key != "anyOf"} | flat[0]
        own["anyOf"] = sorted(flat, key=json.dumps)
    return own


async def test_it_is_served_and_needs_the_token_where_reading_does(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (_, client):
        async with client.get("/api/v1/openapi.json") as response:
            assert response.status == 200
            assert response.content_type == "application/json"
            assert (await response.json())["openapi"] == "3.1.0"
        async with client.get("/api/v1/openapi.json?pretty") as response:
            assert response.status == 400


async def test_another_method_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (_, client):
        for path, item in document("1")["paths"].items():
            address = re.sub(r"{\w+}", "from-yaml", path)
            async with client.put(address, headers=bearer(tmp_path)) as response:
                assert response.status == 405, path
                allowed = {method.strip().lower() for method in response.headers["Allow"].split(",")}
                assert allowed - {"head"} == set(item)


@contextlib.asynccontextmanager
async def real_daemon(folder: Path) -> AsyncIterator[tuple[DaemonProcess, str]]:
    """A daemon as users run it, with prices, an alert and a sink; and its token."""
    async with Simulator("twelvedata", rate=100) as simulator:
        config = f"""
feeds:
  us: {{provider: twelvedata, api_key: any-key, endpoint: "{simulator.url}", symbols: [AAPL, MSFT, BTC/USD], market_hours: always}}
alerts:
  - {{name: from-yaml, symbol: AAPL, above: 1}}
sinks:
  phone: {{type: file, path: events.jsonl}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""
        async with DaemonProcess(folder, config, RUNTIME_DIRECTORY=str(folder)) as daemon:
            await daemon.until("/api/v1/prices", lambda prices: len(prices) == 3)
            yield daemon, (folder / "http-token").read_text().strip()


async def test_a_fuzzer_that_reads_the_document_finds_no_bug_and_no_answer_that_is_not_in_it(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(FUZZER)
    async with real_daemon(tmp_path) as (daemon, token):
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{daemon.url}/api/v1/openapi.json"),
            *("-H", f"Authorization: Bearer {token}", "--exclude-path", "/api/v1/events"),
            *(
                "--checks",
                ",".join(CHECKS),
                "--phases",
                "examples,coverage,fuzzing",
                "--max-time",
                str(FUZZING_SECONDS),
            ),
            *("--seed", "5", "--generation-database", "none", "--request-timeout", "10", "--no-color", "--no-shrink"),
            *("--warnings", "off"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path)},
        )
        out, _ = await asyncio.wait_for(process.communicate(), 90)
        text = "\n".join(line[:300] for line in out.decode().splitlines())
        found = re.search(r"(\d+) generated", text)
        assert process.returncode == 0, text
        assert found is not None, text
        assert int(found[1]) > 500
        assert await daemon.get("/readyz") == "ok\n"
        assert not [line for line in daemon.log if '"log.level": "error"' in line or "Traceback" in line]
