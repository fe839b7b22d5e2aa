"""Records feeds: connects them as the daemon would, and writes down every frame. No stream, no sinks, no HTTP.

A feed that is lost is dialled again, and a refused key parks it, as in the daemon: a recording is as patient as what
it stands in for. It ends when it is stopped, when its time is over, when the disk takes no more, or when no feed can
go on: each has given up, or was refused with a key that never worked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.transports.gate import DialGate
from pricestreamd.feeds.watchlists.watchlist import Watchlist
from pricestreamd.model.errors import FeedError
from pricestreamd.model.events import Run
from pricestreamd.replay.recorder import Recorder
from pricestreamd.replay.recording import Described, Header

FINISH_SECONDS = 10.0
"""What waits is written within this time at the end; a disk that does not answer keeps nobody for longer."""

# How often it is looked whether any feed can still go on.
_LOOK_SECONDS = 0.25

Teller = Callable[[str], object]
"""Told in plain words what happens to a feed; the text may hold what a provider said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`connected`: whether any feed ever was. `given_up`: no feed could go on."""

    connected: bool
    given_up: bool


async def record(
    feeds: Mapping[str, FeedSettings],
    recorder: Recorder,
    *,
    version: str,
    stop: asyncio.Event,
    duration: float | None = None,
    tell: Teller,
) -> Outcome:
    """Record `feeds` until `stop` is set, or for `duration` seconds. `version` is the program's, for the headers.

    Raises:
        OSError: the file cannot be written.
    """
    gate, run = DialGate(), Run("record")
    clients = {
        name: WebSocketClient.from_settings(name, feed, run, gate=gate, on_frame=recorder.listener(name, feed.provider))
        for name, feed in feeds.items()
    }
    connected: set[str] = set()
    for client in clients.values():
        _tell_of(client, tell, connected)
    lives: list[asyncio.Task[None]] = []
    given_up = False
    try:
        await asyncio.gather(*(_read_watchlist(client, tell) for client in clients.values()))
        writing = await recorder.begin([_header(client, version) for client in clients.values()])
        lives += [asyncio.create_task(_live(client, tell), name=f"feed {name}") for name, client in clients.items()]
        given_up = await _until_over(clients, lives, writing, stop, duration)
    finally:
        await _part(clients, lives)
        await recorder.finish(FINISH_SECONDS)
    for life in lives:
        if not life.cancelled():
            life.result()
    return Outcome(connected=bool(connected), given_up=given_up)


async def _until_over(
    clients: Mapping[str, WebSocketClient],
    lives: list[asyncio.Task[None]],
    writing: asyncio.Task[None],
    stop: asyncio.Event,
    duration: float | None,
) -> bool:
    """Wait for the end; whether it has come because no feed can go on."""
    asked = asyncio.ensure_future(stop.wait())
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(duration):
                while not asked.done() and not writing.done():
                    if all(map(_is_over, clients.values(), lives)):
                        return True
                    await asyncio.wait({asked, writing}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    return False


def _is_over(client: WebSocketClient, life: asyncio.Task[None]) -> bool:
    return life.done() or (client.state == "parked" and not client.was_live)


async def _part(clients: Mapping[str, WebSocketClient], lives: list[asyncio.Task[None]]) -> None:
    """Say goodbye on every connection; each is given up after two seconds and a bit."""
    await asyncio.gather(*(client.disconnect() for client in clients.values()))
    if lives:
        await asyncio.wait(lives)


async def _live(client: WebSocketClient, tell: Teller) -> None:
    try:
        await client.run()
    except FeedError as exc:
        tell(f"feed {client.name} gave up: {exc}")


async def _read_watchlist(client: WebSocketClient, tell: Teller) -> None:
    """The watchlist as it is now; it is not read again."""
    settings = client.settings.watchlist
    if settings is None:
        return
    try:
        client.set_watchlist(await Watchlist(client.name, settings).read())
    except FeedError as exc:
        tell(f"feed {client.name}: no symbols of its watchlist: {exc}")


def _header(client: WebSocketClient, version: str) -> Header:
    settings = client.settings
    description = settings.description
    return Header(
        feed=client.name,
        provider=client.provider,
        channel=settings.channel or client.profile.channel,
        endpoint=settings.endpoint or client.profile.endpoint,
        symbols=tuple(client.get_subscriptions()),
        description=Described.of(description) if description is not None else None,
        version=version,
    )


def _tell_of(client: WebSocketClient, tell: Teller, connected: set[str]) -> None:
    """Tell what happens to the connections of `client`, and note it in `connected` once it has had one."""

    def connection(change: str, data: Mapping[str, Any]) -> None:
        match change:
            case "connected":
                connected.add(client.name)
                tell(f"feed {client.name}: connected to {data['host']}:{data['port']}")
            case "disconnected" if data["reason"] != "stopped":
                tell(f"feed {client.name}: disconnected ({data['reason']})")
            case "reconnecting":
                tell(f"feed {client.name}: dials again in {data['delay']:.1f} s")

    client.on_connection(connection)
    client.on_error(lambda word, error: tell(f"feed {client.name}: {word}: {error}"))
