"""No secret gets out: a daemon full of canaries is taken through every trouble, and none is heard anywhere.

Every setting that may hold a secret holds a canary, and the servers of the test sing each of them back, in errors,
echoes and refusals. All that the program writes, answers, sends to the service manager or leaves on the disk is
searched for each canary, in every spelling.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import functools
import gzip
import json
import os
import pprint
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from pricestreamd.config.load import load
from pricestreamd.daemon.answers.config import masked
from pricestreamd.http.openapi.operations import OPERATIONS
from pricestreamd.model.errors import ConfigError
from tests.support.canaries import CANARIES, COVERED, Aviary, secret_settings, sung
from tests.support.command import run
from tests.support.waiting import eventually

READY = re.compile(r"page and API on (http://\S+?)/?[\s\"]")
BEARER = {"Authorization": f"Bearer {CANARIES['AUTH_TOKEN']}"}


def test_every_secret_of_the_configuration_has_a_canary() -> None:
    assert secret_settings() == COVERED.keys()


async def test_every_canary_is_in_the_configuration_and_the_search_finds_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Or the rest would prove nothing."""
    async with Aviary(tmp_path_factory.mktemp("birds")) as aviary:
        for name, canary in CANARIES.items():
            assert f"${{{name}}}" in aviary.config or canary in aviary.key_file.read_text()
            for spelling in (
                canary,
                quote(canary, safe=""),
                json.dumps(canary),
                base64.b64encode(canary.encode()).decode(),
            ):
                assert sung(f"before {spelling} after"), spelling
    assert not sung("AAPL at 101.00 in feed us-stocks, wss://***@example.org/?apikey=***")


# --- the daemon


class Watched:
    """A daemon process: its log in a file that it takes for the journal, its talk to the service manager, its events."""

    def __init__(self, aviary: Aviary) -> None:
        self.process: asyncio.subprocess.Process
        self.log_file = aviary.folder / "log.txt"
        self.status: list[str] = []
        self.outputs: dict[str, str | bytes] = {}
        self.url = ""

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    async def ask(self, method: str, path: str, *, token: dict[str, str] = BEARER, **more: Any) -> int:
        """Ask, and keep the whole answer; its status."""
        async with (
            aiohttp.ClientSession(headers=token) as session,
            session.request(method, f"{self.url}{path}", **more) as response,
        ):
            answer = await response.read()
            what = f"{method} {path} #{len(self.outputs)}"
            self.outputs[what] = repr(dict(response.headers)).encode() + answer
            return response.status

    def children(self) -> list[str]:
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return task.read_text().split()


@asynccontextmanager
async def watched(aviary: Aviary, *, journal: bool) -> AsyncIterator[Watched]:
    """The daemon, once it is ready."""
    made = Watched(aviary)
    notify = aviary.folder / "n"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(notify))
    manager.setblocking(False)
    environ = {**os.environ, **aviary.environ, "NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "30000000"}
    with made.log_file.open("wb") as log:
        status = os.fstat(log.fileno())
        if journal:
            environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        arguments = ("-X", "faulthandler", "-m", "pricestreamd", "run", "--config", str(aviary.path))
        made.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environ,
        )
    loop = asyncio.get_running_loop()
    loop.add_reader(manager, lambda: made.status.append(manager.recv(65536).decode()))
    try:
        await eventually(lambda: READY.search(made.log) or made.process.returncode is not None, 20, "never ready")
        found = READY.search(made.log)
        assert found, made.log
        made.url = found[1]
        yield made
    finally:
        if made.process.returncode is None:
            made.process.kill()
        await made.process.wait()
        loop.remove_reader(manager)
        manager.close()


def paths() -> list[str]:
    """Every address that can be read, with something for each of its parts."""
    known = {operation.path for some in OPERATIONS.values() for operation in some if not operation.writes}
    return sorted(path.format(symbol="AAPL", alert_id="first", name="page.js") for path in known - {"/api/v1/events"})


async def listen(daemon: Watched, heard: bytearray) -> None:
    """The live stream, for as long as it lasts."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(headers=BEARER, timeout=timeout) as session,
        session.get(f"{daemon.url}/api/v1/events") as response,
    ):
        async for chunk in response.content.iter_any():
            heard += chunk


BROKEN = (
    # The fault is at a secret: of the wrong kind, in the wrong place, not to be read at all.
    ('auth_token: "${AUTH_TOKEN}"', "auth_token: {CANARY: 1}"),
    ("api_secret: ${API_SECRET}", "api_secret: [CANARY]"),
    ("api_secret: ${API_SECRET}", "api_sekret: CANARY"),
    ('"${REFUSED_KEY}"', '"CANARY" "CANARY"'),
    ("secret: ${HOOK_SECRET}", "secret: whsec_CANARY"),
    ("api_secret: ${API_SECRET}", "api_secret: *CANARY"),
    ("https://no.such.host.invalid/services/${HOOK_PATH}", "ftp://me:CANARY@no.such.host.invalid:99999/CANARY"),
    ("api_key_file: ${CREDENTIALS_DIRECTORY}/twelvedata", "api_key_file: CANARY"),
)


@pytest.mark.parametrize("form", ["auto", "console"])
async def test_no_secret_gets_out_of_the_daemon(tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    folder = tmp_path_factory.mktemp("birds")
    heard_live = bytearray()
    async with (
        Aviary(folder, log_format=form, crashing=True) as aviary,
        watched(aviary, journal=form == "auto") as daemon,
    ):
        listening = asyncio.create_task(listen(daemon, heard_live))
        daemon.process.send_signal(signal.SIGUSR1)
        await said(daemon, "debug log on")
        await troubled(daemon)
        await eventually(lambda: b"price.alert" in heard_live, 20, "no alert")
        for path in paths():
            status = await daemon.ask("GET", path)
            # The secret that came along with a reading request is in no answer, either.
            await daemon.ask("GET", f"{path}?apikey={CANARIES['API_KEY']}", token={"Authorization": "Bearer no"})
            assert status in (200, 404, 503), path
        await daemon.ask("GET", "/api/v1/config")
        await daemon.ask("GET", f"/nowhere/{CANARIES['API_KEY']}x")
        await daemon.ask(
            "POST", "/api/v1/alerts", json={"symbol": "AAPL", "above": "x", "notify": [CANARIES["API_KEY"]]}
        )
        await daemon.ask("POST", "/api/v1/symbols", json={"symbols": [], "feed": CANARIES["API_KEY"]})
        await daemon.ask("POST", "/api/v1/alerts", data=f'{{"symbol": "{CANARIES["API_KEY"]}')
        await reloaded(aviary, daemon)
        daemon.outputs["children"] = " ".join(daemon.children())
        assert daemon.outputs["children"] == ""
        daemon.process.send_signal(signal.SIGABRT)
        await asyncio.wait_for(daemon.process.wait(), 20)
        with pytest.raises(aiohttp.ClientError):
            await listening
    assert "Current thread" in daemon.log or "most recent call first" in daemon.log
    daemon.outputs |= {"log": daemon.log, "stream": bytes(heard_live), "service manager": "\n".join(daemon.status)}
    for file in aviary.state.rglob("*"):
        if file.is_file() and file.name != "http-token":
            daemon.outputs[f"file {file.name}"] = file.read_bytes()
    heard = {what: sung(output) for what, output in daemon.outputs.items()}
    assert not {what: found[:3] for what, found in heard.items() if found}
    # The search has looked at something.
    assert b"price.alert" in heard_live
    assert b"price.error" in heard_live
    assert {f"file {name}" for name in ("state.db", "events.jsonl")} <= daemon.outputs.keys()
    assert daemon.status


async def troubled(daemon: Watched) -> None:
    """Wait until everything has gone wrong that was set up to."""
    for feed in ("refused", "inband", "tls", "dns", "proxied", "crashing"):
        await said(daemon, f"feed {feed}")
    for what in ("hook", "lost task", "coroutine listener", "thread", "finaliser", "warned", "watchlist"):
        await said(daemon, what)
    await eventually(lambda: "STATUS=" in "".join(daemon.status), 20, "no status")


async def said(daemon: Watched, text: str) -> None:
    await eventually(lambda: text in daemon.log, 20, f"never said: {text}")


async def reloaded(aviary: Aviary, daemon: Watched) -> None:
    """Reload badly, in every way, by signal and over HTTP; then well, with another key in the file."""
    good = aviary.config
    for old, new in BROKEN:
        assert old in good
        aviary.path.write_text(good.replace(old, new.replace("CANARY", CANARIES["API_SECRET"])))
        assert await daemon.ask("POST", "/-/reload", json=None) == 422
        refused = daemon.log.count("reload refused")
        daemon.process.send_signal(signal.SIGHUP)
        await eventually(functools.partial(_more_refusals, daemon, refused))
    aviary.path.write_text(good.replace("symbols: [OWN]", "symbols: [ELSE]"))
    aviary.key_file.write_text(f"{CANARIES['FILE_KEY']}-two")
    assert await daemon.ask("POST", "/-/reload", json=None) == 200
    await daemon.ask("GET", "/api/v1/config")
    await daemon.ask("GET", "/metrics")
    # Unsubscribed with a canary, and told of it by the provider.
    await eventually(lambda: any("unsubscribe" in str(asked) for asked in aviary.generic.last.received))


def _more_refusals(daemon: Watched, before: int) -> bool:
    return daemon.log.count("reload refused") > before


# --- the commands


async def test_no_secret_gets_out_of_a_command(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("birds")
    (folder / "ticks.csv").write_text("ts_ms,symbol,price\n1700000000000,AAPL,10\n1700000001000,AAPL,300\n")
    async with Aviary(folder) as aviary:
        environ = {**aviary.environ, "PRICESTREAM_DEBUG": "1"}
        config = ("--config", str(aviary.path))
        nobody = ("--url", f"http://me:{CANARIES['HOOK_PASSWORD']}@127.0.0.1:1/?key={CANARIES['HOOK_QUERY']}")
        commands: list[tuple[str, ...]] = [
            ("check", *config, "--connect"),
            ("check", *config, "--json"),
            ("schema",),
            ("status", *config, *nobody),
            ("alerts", "list", *config, *nobody),
            ("replay", "ticks.csv", *config, "--events", "events.jsonl"),
            ("replay", "ticks.csv", *config, "--with-sinks", "--json"),
            ("record", *config, "--output", "raw.jsonl.gz", "--duration", "1s", "--json"),
            *[("check", "--config", str(path)) for path in broken_files(aviary)],
        ]
        places = asyncio.Semaphore(3)

        async def say(command: tuple[str, ...]) -> str:
            async with places:
                return (await run(folder, *command, environ=environ, timeout=60)).said

        outputs = dict(zip(map(" ".join, commands), await asyncio.gather(*map(say, commands)), strict=True))
        assert all(outputs.values())
    events = (folder / "events.jsonl").read_bytes()
    frames = gzip.decompress((folder / "raw.jsonl.gz").read_bytes())
    everything: dict[str, str | bytes] = {**outputs, "events": events, "frames": frames}
    heard = {what: sung(output) for what, output in everything.items()}
    assert not {what: found[:3] for what, found in heard.items() if found}
    assert b"price.alert" in events
    assert frames.count(b"\n") > 10


def broken_files(aviary: Aviary) -> list[Path]:
    paths = []
    for number, (old, new) in enumerate(BROKEN):
        path = aviary.folder / f"broken-{number}.yaml"
        path.write_text(aviary.config.replace(old, new.replace("CANARY", CANARIES["API_SECRET"])))
        paths.append(path)
    # The command shows what `load` says, of which there is a test of its own: two will do.
    return paths[:2]


# --- inside


# What libraries of sinks have to say of other libraries is not the point here.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_no_text_form_of_the_settings_shows_a_secret(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Aviary(tmp_path_factory.mktemp("birds")) as aviary:
        monkeypatch.syspath_prepend(str(aviary.folder / "site"))
        loaded = load(aviary.path, environ=aviary.environ)
        settings = loaded.settings
        told: list[str] = [json.dumps(masked(settings), allow_nan=False), *map(str, loaded.warnings)]
        # What is no secret by its type may have one within; then `redact` is needed, and there.
        for feed in settings.feeds.values():
            object.__setattr__(feed, "endpoint", None)
        for text in ("subscribe", "unsubscribe"):
            object.__setattr__(settings.feeds["own"], text, None)
        object.__setattr__(settings.feeds["own"].heartbeat, "send", None)
        told += [repr(settings), str(settings), f"{settings}", pprint.pformat(settings), repr(loaded)]
        told += [repr(dataclasses.asdict(settings)), repr(loaded.document)]
        for form in told:
            assert not sung(form)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_no_error_of_a_broken_file_repeats_the_secret_that_is_wrong(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `redact`, which knows no secret that was never read."""
    async with Aviary(tmp_path_factory.mktemp("birds")) as aviary:
        monkeypatch.syspath_prepend(str(aviary.folder / "site"))
        for old, new in BROKEN:
            aviary.path.write_text(aviary.config.replace(old, new.replace("CANARY", CANARIES["API_SECRET"])))
            with pytest.raises(ConfigError) as raised:
                load(aviary.path, environ=aviary.environ)
            assert not sung("\n".join(map(str, [*raised.value.problems, *raised.value.warnings]))), new
