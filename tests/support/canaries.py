"""A canary for every secret that a configuration can hold, servers that sing each of them back, and the search.

    async with Aviary(folder) as aviary:
        aviary.config            # the text of a configuration in which every secret setting is a canary
        aviary.environ           # where the canaries come from
    sung(output)                 # the canaries in an output, in whatever spelling

`COVERED` names every setting that may hold a secret; a new one has to be added to it, and to the configuration.
"""

from __future__ import annotations

import asyncio
import base64
import html
import re
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote_plus

import trustme
from aiohttp import web

from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import arms, is_class, is_list, is_mapping, item, settings_of
from tests.support.connect_proxy import ConnectProxy
from tests.support.distribution import install
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.receiver import Received, Receiver

# In every canary, and nowhere else: whatever is cut off of one, this or a neighbour of it is found.
MARK = "sp4rr0w"

# Owner and key of each setting that may hold a secret: the canaries that stand for it. `*_file`: its file holds one.
COVERED: dict[tuple[str, str], tuple[str, ...]] = {
    ("FeedSettings", "api_key"): ("API_KEY", "REFUSED_KEY", "INBAND_KEY", "CRASH_KEY", "GENERIC_KEY"),
    ("FeedSettings", "api_key_file"): ("FILE_KEY",),
    ("FeedSettings", "api_secret"): ("API_SECRET",),
    ("FeedSettings", "api_secret_file"): ("FILE_KEY",),
    ("FeedSettings", "endpoint"): ("ENDPOINT_QUERY", "ENDPOINT_OTHER", "ENDPOINT_PASSWORD", "ENDPOINT_PATH"),
    ("FeedSettings", "proxy"): ("PROXY_PASSWORD",),
    ("WatchlistSqlSettings", "url"): ("WATCHLIST_PASSWORD",),
    ("GenericFeedSettings", "headers"): ("HEADER",),
    ("GenericFeedSettings", "on_open"): ("ON_OPEN",),
    ("GenericFeedSettings", "subscribe"): ("SUBSCRIBE",),
    ("GenericFeedSettings", "unsubscribe"): ("UNSUBSCRIBE",),
    ("GenericHeartbeatSettings", "send"): ("HEARTBEAT",),
    ("PostgresSinkSettings", "url"): ("POSTGRES_PASSWORD",),
    ("RedisSinkSettings", "url"): ("REDIS_PASSWORD",),
    ("NatsSinkSettings", "url"): ("NATS_TOKEN",),
    ("WebhookSinkSettings", "url"): ("HOOK_PATH", "HOOK_PASSWORD", "HOOK_QUERY"),
    ("WebhookSinkSettings", "secret"): ("HOOK_SECRET",),
    ("WebhookSinkSettings", "secret_file"): ("FILE_KEY",),
    ("NotifySinkSettings", "urls"): ("NOTIFY_PASSWORD", "NOTIFY_PATH"),
    ("HttpSettings", "auth_token"): ("AUTH_TOKEN",),
    ("HttpSettings", "auth_token_file"): ("FILE_KEY",),
    ("DeadmanSettings", "url"): ("DEADMAN_PATH",),
}
"""A class of its own that inherits a setting is covered by the setting's owner."""

NAMES = tuple(dict.fromkeys(name for names in COVERED.values() for name in names))
# Letters and digits, because many stand in addresses; the one in a file has all that escapes change.
CANARIES = {name: f"{MARK}{number:02d}x7Qz9KmB" for number, name in enumerate(NAMES)}
CANARIES["FILE_KEY"] = f"{MARK}/f1le+k3y=&<'\"\\%z"
CANARIES["HOOK_SECRET"] = f"whsec_{base64.b64encode(f'{MARK}-signs-whatever-goes-out'.encode()).decode()}"


def secret_settings(cls: type = Settings) -> set[tuple[str, str]]:
    """Owner and key of every setting below `cls` whose metadata says that it may be or hold a secret."""
    found: set[tuple[str, str]] = set()
    _search(cls, found, set())
    return found


def _search(cls: type, found: set[tuple[str, str]], seen: set[type]) -> None:
    if cls in seen:
        return
    seen.add(cls)
    for key, setting in settings_of(cls).items():
        if "secret" in setting.metadata:
            owner = next(base for base in reversed(cls.__mro__) if setting.name in getattr(base, "__annotations__", {}))
            found.add((owner.__name__, key))
        for inner in _classes(setting.hint):
            _search(inner, found, seen)


def _classes(hint: Any) -> Iterator[type]:
    for arm in arms(hint):
        if is_class(arm):
            yield arm
        elif is_list(arm) or is_mapping(arm):
            yield from _classes(item(arm))


# --- the search


def _spelled(canary: str) -> list[str]:
    """The core of a canary in base64, at each of three places, in both alphabets; made without the code under test."""
    raw = canary.removeprefix("whsec_").encode()
    # Two whole groups in from both ends: what a neighbour can change is left out.
    return [
        encode(b"\0" * shift + raw).decode().rstrip("=")[4:-4]
        for shift in range(3)
        for encode in (base64.b64encode, base64.urlsafe_b64encode)
    ]


_CORES = {core: name for name, canary in CANARIES.items() for core in _spelled(canary)}
_HEX = {canary.encode().hex(): name for name, canary in CANARIES.items()}
_SIGNING = {CANARIES["HOOK_SECRET"].removeprefix("whsec_"): "HOOK_SECRET"}


def sung(output: str | bytes) -> list[str]:
    """What of any canary is in `output`, each with what is around it."""
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    readings = {text, unquote_plus(text), html.unescape(text), text.replace("\\", ""), _unescaped(text)}
    found = []
    for reading in readings:
        for needle in (MARK, *_CORES, *_HEX, *_SIGNING):
            found += [
                reading[max(0, at.start() - 200) : at.end() + 60]
                for at in re.finditer(re.escape(needle), reading, re.IGNORECASE)
            ]
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)


# --- the servers, and the configuration

_HOOKS = """
import asyncio, os, threading, warnings

def _secret():
    return os.environ["API_KEY"]

def listen(event):
    raise RuntimeError(f"listener: {_secret()} at wss://me:{_secret()}@x.test/?apikey={_secret()}")

async def listen_async(event):
    asyncio.get_running_loop().create_task(_lost())
    raise RuntimeError(f"coroutine listener: {_secret()}")

async def _lost():
    threading.Thread(target=_thread).start()
    _Finalised()
    warnings.warn("warned: " + _secret())
    raise RuntimeError("lost task: " + _secret())

def _thread():
    raise RuntimeError("thread: " + _secret())

class _Finalised:
    def __del__(self):
        raise RuntimeError("finaliser: " + _secret())

def deliver(event):
    raise RuntimeError("delivery: " + _secret())
"""

_CRASHING = """
from dataclasses import replace
from pricestreamd.providers.twelvedata import TwelveData

class Crashing(TwelveData):
    profile = replace(TwelveData.profile, name="crashing")

    def decode(self, data, received_at):
        key = self.terms.api_key.reveal()
        raise RuntimeError(f"adapter: {key} in {data!r}")
"""


class Aviary:
    """The servers, in `async with`. `folder` gets the configuration and all that it names.

    `crashing`: one feed's adapter raises at each message, with the key in its error.
    """

    def __init__(self, folder: Path, *, log_format: str = "auto", crashing: bool = False) -> None:
        self.folder = folder
        self.state = folder / "state"
        self._format = log_format
        self._crashing = crashing
        self._stack = AsyncExitStack()
        self.environ = {
            **{name: canary for name, canary in CANARIES.items() if name != "FILE_KEY"},
            "STATE_DIRECTORY": str(self.state),
            "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
            "PYTHONPATH": str(folder / "site"),
        }

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        self.good = await enter(ScriptedProvider(_tell_tale))
        self.refusing = await enter(ScriptedProvider())
        self.refusing.answer = Answer(
            401,
            {"X-Echo": CANARIES["REFUSED_KEY"]},
            f"invalid key: ?apikey={CANARIES['REFUSED_KEY']} {_encodings('REFUSED_KEY')}",
        )
        self.inband = await enter(ScriptedProvider(_refuse_inband))
        self.untrusted = await enter(ScriptedProvider(tls=_server_tls()))
        self.generic = await enter(ScriptedProvider(_echo))
        self.crashing = await enter(ScriptedProvider(_tell_tale))
        self.receiver = await enter(Receiver())
        self.receiver.answer = _refuse_hook
        self.proxy = await enter(ConnectProxy(credentials="me:something else"))
        self._write()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def _write(self) -> None:
        for name in ("credentials", "site", "state", "hooks"):
            (self.folder / name).mkdir(mode=0o755, exist_ok=True)
        self.key_file = self.folder / "credentials" / "twelvedata"
        self.key_file.write_text(CANARIES["FILE_KEY"] + "\n")
        self.key_file.chmod(0o600)
        (self.folder / "hooks" / "canary_hooks.py").write_text(_HOOKS)
        install(self.folder / "site", "crashing", "canary_crashing:Crashing", canary_crashing=_CRASHING)
        self.path = self.folder / "config.yaml"
        self.path.write_text(self.config)

    @property
    def config(self) -> str:
        """The text of the configuration."""
        crashing = "crashing" if self._crashing else "twelvedata"
        return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{API_KEY}}
    api_secret: ${{API_SECRET}}
    endpoint: "ws://127.0.0.1:{self.good.port}/${{ENDPOINT_PATH}}/p?apikey=${{ENDPOINT_QUERY}}&x=${{ENDPOINT_OTHER}}"
    symbols: [AAPL]
    market_hours: always
    reconnect: {{initial_delay: 100ms, max_delay: 300ms}}
    watchlist: {{sql: {{url: "postgresql://me:${{WATCHLIST_PASSWORD}}@127.0.0.1:1/lists", query: SELECT 1}}, refresh: 1s}}
  from-file:
    provider: twelvedata
    api_key_file: ${{CREDENTIALS_DIRECTORY}}/twelvedata
    api_secret_file: ${{CREDENTIALS_DIRECTORY}}/twelvedata
    endpoint: "ws://me:${{ENDPOINT_PASSWORD}}@127.0.0.1:{self.good.port}/v1"
    symbols: [MSFT]
    market_hours: always
  refused: {{provider: twelvedata, api_key: "${{REFUSED_KEY}}", symbols: [A1], endpoint: "{self.refusing.url}?k=1"}}
  inband: {{provider: twelvedata, api_key: "${{INBAND_KEY}}", symbols: [A2], endpoint: "{self.inband.url}"}}
  tls: {{provider: twelvedata, api_key: "${{API_KEY}}", symbols: [A3], endpoint: "{self.untrusted.url}?apikey=${{API_KEY}}"}}
  dns: {{provider: twelvedata, api_key: "${{API_KEY}}", symbols: [A4], endpoint: "wss://no.such.host.invalid/?apikey=${{API_KEY}}"}}
  proxied:
    provider: twelvedata
    api_key: ${{API_KEY}}
    symbols: [A5]
    endpoint: "{self.good.url}"
    proxy: "http://me:${{PROXY_PASSWORD}}@127.0.0.1:{self.proxy.port}"
  crashing: {{provider: {crashing}, api_key: "${{CRASH_KEY}}", symbols: [A6], endpoint: "{self.crashing.url}"}}
  own:
    provider: generic
    api_key: ${{GENERIC_KEY}}
    endpoint: "{self.generic.url}"
    symbols: [OWN]
    market_hours: always
    headers: {{Authorization: "Bearer ${{HEADER}}", X-Plan: "plan ${{HEADER}}"}}
    on_open: ['{{"op": "hello", "token": "${{ON_OPEN}}"}}']
    subscribe: '{{"op": "subscribe", "symbols": "{{symbols}}", "as": "${{SUBSCRIBE}}"}}'
    unsubscribe: '{{"op": "unsubscribe", "symbols": "{{symbols}}", "as": "${{UNSUBSCRIBE}}"}}'
    heartbeat: {{send: '{{"op": "beat", "as": "${{HEARTBEAT}}"}}', every: 300ms}}
stream: {{suspect: null}}
alerts:
  - {{name: first, symbol: AAPL, above: 1, trigger: every_update}}
plugin_paths: [hooks]
listeners:
  - {{event: price.update, call: "canary_hooks:listen"}}
  - {{event: price.update, call: "canary_hooks:listen_async"}}
sinks:
  all: {{type: file, path: events.jsonl}}
  hook:
    type: webhook
    url: "http://me:${{HOOK_PASSWORD}}@127.0.0.1:{self.receiver.port}/services/${{HOOK_PATH}}/x?token=${{HOOK_QUERY}}"
    secret: ${{HOOK_SECRET}}
    events: [price.alert, price.error]
    allow_private: true
    retry: {{delays: [100ms, 100ms, 5m]}}
  dead-hook: {{type: webhook, url: "http://me:${{HOOK_PASSWORD}}@127.0.0.1:1/services/${{HOOK_PATH}}", allow_private: true}}
  lost-hook: {{type: webhook, url: "https://no.such.host.invalid/services/${{HOOK_PATH}}"}}
  table: {{type: postgres, url: "postgresql://me:${{POSTGRES_PASSWORD}}@127.0.0.1:1/prices"}}
  cache: {{type: redis, url: "redis://:${{REDIS_PASSWORD}}@127.0.0.1:1/0"}}
  bus: {{type: nats, url: "nats://${{NATS_TOKEN}}@127.0.0.1:1"}}
  phone:
    type: notify
    urls: ["json://me:${{NOTIFY_PASSWORD}}@127.0.0.1:{self.receiver.port}/notify/${{NOTIFY_PATH}}"]
    min_severity: info
  mine: {{type: call, call: "canary_hooks:deliver"}}
http: {{listen: "127.0.0.1:0", auth_token: "${{AUTH_TOKEN}}"}}
logging: {{format: {self._format}, stats_interval: 1s}}
deadman: {{url: "http://127.0.0.1:{self.receiver.port}/ping/${{DEADMAN_PATH}}", interval: 1s}}
shutdown_timeout: 3s
"""


def _encodings(name: str) -> str:
    """A canary as a server may write it that has taken it apart: percent-encoded whole, escaped, in base64."""
    canary = CANARIES[name]
    whole = "".join(f"%{byte:02x}" for byte in canary.encode())
    return (
        f"{whole} {quote(canary, safe='')} {base64.b64encode(f'me:{canary}'.encode()).decode()} "
        f"{''.join(f'&#{ord(letter)};' for letter in canary)}"
    )


async def _tell_tale(conversation: Conversation) -> None:
    """Prices, and the keys in every other message."""
    keys = [CANARIES[name] for name in ("API_KEY", "FILE_KEY", "ENDPOINT_QUERY", "ENDPOINT_OTHER", "ENDPOINT_PATH")]

    async def tell() -> None:
        for number in range(1_000_000):
            for symbol in sorted(conversation.subscribed):
                await conversation.price(symbol, 100 + number % 3)
            for key in keys:
                await conversation.send({"status": "error", "code": 500, "message": f"trouble with {key}"})
                await conversation.send({"event": "subscribe-status", "status": "error", "fails": [{"symbol": key}]})
                await conversation.send(f"no JSON but {key}".encode() + b"\xff\xfe")
                await conversation.send({"event": "price", "symbol": key, "price": 1, "timestamp": 1_700_000_000})
                await conversation.send({"event": "price", "symbol": "AAPL", "price": key, "timestamp": 1_700_000_000})
            await asyncio.sleep(0.2)

    telling = asyncio.create_task(tell())
    try:
        await conversation.serve()
    finally:
        telling.cancel()
        await asyncio.wait({telling})


async def _refuse_inband(conversation: Conversation) -> None:
    async for _ in conversation.messages():
        key = CANARIES["INBAND_KEY"]
        text = f"**apikey** parameter is incorrect: invalid key {key}, {_encodings('INBAND_KEY')}"
        await conversation.send({"status": "error", "code": 401, "message": text})
        await conversation.ws.close(code=1008, message=f"invalid key {key}".encode())


async def _echo(conversation: Conversation) -> None:
    """Every text comes back, as JSON and as no JSON; so do the headers."""
    await conversation.send(f"your headers: {dict(conversation.headers)}")
    async for message in conversation.messages():
        await conversation.send({"error": f"what is {message}?"})
        await conversation.send(f"what is {message}?".encode() + b"\xff")
        await conversation.send({"symbol": str(message), "price": str(message)})


async def _refuse_hook(request: web.Request, received: Received) -> web.StreamResponse:
    body = f"500 for {request.url} with {dict(request.headers)} {received['raw'].decode()}"
    return web.Response(status=500, reason=f"no {CANARIES['HOOK_PATH']}", text=body)


def _server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context
