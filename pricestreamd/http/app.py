"""The HTTP server in the daemon's own loop: the application, and the socket it is served on."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import os
import socket
import ssl
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from pricestreamd.http import api, static, writes
from pricestreamd.http.access import MAX_BODY_BYTES, Access, answer_problems, host_name, secure_response
from pricestreamd.http.broadcast import EventHub
from pricestreamd.http.connection import MAX_CONNECTIONS, connection_for
from pricestreamd.http.control import CONTROL, Control
from pricestreamd.http.health import LOOK_SECONDS, FeedWatch
from pricestreamd.http.port_holder import listen_refusal
from pricestreamd.http.request_log import log_request
from pricestreamd.http.settings import HttpSettings, HttpTlsSettings
from pricestreamd.http.sse import HUB
from pricestreamd.http.view import DaemonView
from pricestreamd.http.write_token import make_token, remove_token
from pricestreamd.model.secret import Secret
from pricestreamd.state.thread import OneThread

_T = TypeVar("_T")

_log = logging.getLogger(__name__)

ACCESS = web.AppKey("access", Access)


class ListenError(OSError):
    """The address cannot be listened on; the text names it and says why, `errno` is the system's own."""

    def __str__(self) -> str:
        return str(self.strerror)


def create_app(view: DaemonView, settings: HttpSettings, control: Control | None = None) -> web.Application:
    """The application: every request passes the access check, every answer carries the security headers.

    Without `control` there is nothing that changes anything: such methods are answered 405.
    """
    access = Access(settings, writes=control is not None)
    app = web.Application(middlewares=[log_request, answer_problems, access.check], client_max_size=MAX_BODY_BYTES)
    app[api.VIEW] = view
    app[static.PAGE] = static.load_page()
    app[api.WATCH] = FeedWatch()
    app[HUB] = EventHub(view.dispatcher)
    app[ACCESS] = access
    if control is not None:
        app[CONTROL] = control
        app[writes.TURN] = writes.Turn()
        app.add_routes(writes.routes())
        app.on_cleanup.append(_end_writes)
    app.add_routes([web.get("/api/v1/firings", writes.get_last_firings), *api.routes(), *static.routes()])
    app.on_response_prepare.append(secure_response)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_watch_feeds)
    return app


async def _end_streams(app: web.Application) -> None:
    app[HUB].close()


async def _end_writes(app: web.Application) -> None:
    await app[writes.TURN].end()


async def _watch_feeds(app: web.Application) -> AsyncIterator[None]:
    """Look at the feeds now and then, whether anybody asks for their health or not."""
    loop = asyncio.get_running_loop()
    timer: asyncio.Handle

    def look() -> None:
        nonlocal timer
        timer = loop.call_later(LOOK_SECONDS, look)
        app[api.WATCH].look(app[api.VIEW].feeds(), time.monotonic())

    timer = loop.call_soon(look)
    yield
    timer.cancel()


class HttpServer:
    """Serves a `DaemonView` at the configured address until it is stopped, and lets `control` be used, if it is given.

    `token_file`: where the token for writes is put while the server runs, unless one is configured.
    """

    def __init__(
        self,
        view: DaemonView,
        settings: HttpSettings,
        *,
        control: Control | None = None,
        token_file: Path | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.app = create_app(view, settings, control)
        self._settings = settings
        needed = control is not None and not settings.auth_token
        self._token_file = token_file if needed else None
        self._token: Secret | None = None
        self._max_connections = max_connections
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenError: the address is in use, is not ours, or may not be used.
        """
        # A reader that leaves is noticed at once: its handler is cancelled.
        runner = web.AppRunner(self.app, handler_cancellation=True)
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - setup() makes it
        factory = functools.partial(connection_for, runner.server, self._max_connections)
        loop = asyncio.get_running_loop()
        context = _tls(self._settings.tls) if self._settings.tls else None
        try:
            if path := self._socket_path:
                _remove_stale_socket(path)
                self._listener = await loop.create_unix_server(factory, path, ssl=context)
                # Whoever may enter the directory and is of the group may ask.
                path.chmod(0o660)
            else:
                host, port = _host_and_port(self._settings.listen)
                self._listener = await loop.create_server(factory, host, port, ssl=context)
        except OSError as exc:
            await runner.cleanup()
            raise ListenError(exc.errno, listen_refusal(self._settings.listen, exc)) from exc
        self._runner = runner
        if self._token_file is not None:
            await self._make_token(self._token_file)

    async def _make_token(self, path: Path) -> None:
        """Only now: had another daemon the address, the token there would be that one's."""
        try:
            self._token = await _apart(make_token, path)
        except OSError as exc:
            _log.error("nothing can be changed over HTTP: %s cannot be written (%s)", path, exc.strerror)
        else:
            self.app[ACCESS].let_write(self._token)

    @property
    def hub(self) -> EventHub:
        """The readers of the live stream."""
        return self.app[HUB]

    @property
    def address(self) -> str:
        """Where it listens: `127.0.0.1:9777` (the port it really has) or `unix:/path`."""
        if self._listener is None or self._socket_path or not self._listener.sockets:
            return self._settings.listen
        host, port = self._listener.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str | None:
        """The address of the page for a browser on this machine; None on a unix socket."""
        if self._socket_path:
            return None
        name = host_name(self.address)
        port = self.address.rpartition(":")[2]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(name, f"[{name}]" if ":" in name else name)  # noqa: S104
        return f"{'https' if self._settings.tls else 'http'}://{host}:{port}/"

    async def stop(self, timeout: float = 5.0) -> None:
        """Take no more connections, end the live streams at once, let other answers end within `timeout` seconds."""
        listener, runner = self._listener, self._runner
        self._listener = self._runner = None
        if listener is None or runner is None:
            return
        listener.close()
        server = runner.server
        if server is not None:
            # Connections accepted in this turn of the loop have their first step before they are closed.
            await asyncio.sleep(0)
            server.pre_shutdown()
            await self.app.shutdown()
            await server.shutdown(timeout)
        await runner.cleanup()
        await listener.wait_closed()
        if path := self._socket_path:
            path.unlink(missing_ok=True)
        if self._token_file is not None and self._token is not None:
            await _apart(remove_token, self._token_file, self._token)
            self._token = None

    @property
    def _socket_path(self) -> Path | None:
        kind, _, path = self._settings.listen.partition(":")
        return Path(path) if kind == "unix" else None


async def _apart(function: Callable[..., _T], *args: Any) -> _T:
    """Call it in a thread of its own: functions of the user's may keep all threads of the loop busy."""
    thread = OneThread("token file")
    try:
        return await thread.call(function, *args)
    finally:
        thread.stop()


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _tls(settings: HttpTlsSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.client_ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.cert_file, settings.key_file)
    if settings.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _remove_stale_socket(path: Path) -> None:
    """Remove what a daemon that was killed left behind. A socket that somebody answers on is in use."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(errno.EEXIST, "something else than a socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
