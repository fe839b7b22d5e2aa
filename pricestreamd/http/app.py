"""The HTTP server in the daemon's own loop: the application, and its life."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from pricestreamd.http import api, delivery, firings, reload, static, writes
from pricestreamd.http.access import MAX_BODY_BYTES, Access, answer_problems, host_name, secure_response
from pricestreamd.http.allowance import Allowance
from pricestreamd.http.broadcast import EventHub
from pricestreamd.http.certificates import Certificates
from pricestreamd.http.connection import MAX_CONNECTIONS, keep_place
from pricestreamd.http.control import CONTROL, Control
from pricestreamd.http.listening import Listening
from pricestreamd.http.openapi import document
from pricestreamd.http.request_log import log_request
from pricestreamd.http.room import Room
from pricestreamd.http.settings import HttpSettings
from pricestreamd.http.sse import HUB
from pricestreamd.http.view import DaemonView
from pricestreamd.http.write_token import make_token, remove_token
from pricestreamd.model.secret import Secret
from pricestreamd.state.thread import OneThread

_T = TypeVar("_T")

_log = logging.getLogger(__name__)

ACCESS = web.AppKey("access", Access)


def create_app(
    view: DaemonView, settings: HttpSettings, control: Control | None = None, *, requests: Allowance | None = None
) -> web.Application:
    """The application: every request passes the access check, every answer carries the security headers.

    Without `control` there is nothing that changes anything: such methods are answered 405.
    """
    access = Access(settings, writes=control is not None, requests=requests)
    middlewares = [keep_place, log_request, answer_problems, access.check]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app[api.VIEW] = view
    app[static.PAGE] = static.load_page()
    app[api.LAST_HEALTH] = []
    app[HUB] = EventHub(view.dispatcher)
    app[ACCESS] = access
    app[document.DOCUMENT] = document.encoded(version("pricestreamd"))
    if control is not None:
        app[CONTROL] = control
        app[writes.TURN] = writes.Turn()
        app.add_routes([*writes.routes(), *firings.routes(), *delivery.routes(), *reload.routes()])
        app.on_cleanup.append(_end_writes)
    app.add_routes(
        [web.get("/api/v1/firings", firings.get_last_firings), *api.routes(), *document.routes(), *static.routes()]
    )
    app.on_response_prepare.append(secure_response)
    app.on_shutdown.append(_end_streams)
    return app


async def _end_streams(app: web.Application) -> None:
    app[HUB].close()


async def _end_writes(app: web.Application) -> None:
    await app[writes.TURN].end()


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
        requests: Allowance | None = None,
    ) -> None:
        self.app = create_app(view, settings, control, requests=requests)
        self._settings = settings
        self._token_file = token_file if control is not None else None
        self._token: Secret | None = None
        self._certificates = Certificates(settings.tls, self._tell_of_certificate) if settings.tls else None
        self._listening = Listening(settings.listen, Room(max_connections), self._certificates)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenError: the address is in use, is not ours, or may not be used.
            ConfigError: the certificate cannot be used.
        """
        # A reader that leaves is noticed at once: its handler is cancelled.
        runner = web.AppRunner(self.app, handler_cancellation=True)
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - setup() makes it
        try:
            await self._listening.start(runner.server)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        await self._make_token()

    async def apply(self, settings: HttpSettings) -> None:
        """Answer to the names, want the token and show the certificates that hold now; the address stays."""
        self._settings = settings
        self.app[ACCESS].apply(settings)
        await self._make_token()
        await self.certificates_changed()

    async def certificates_changed(self) -> None:
        """Look at the certificate's files now, not at the next of the regular looks."""
        if self._certificates is not None:
            await self._certificates.look()

    def _tell_of_certificate(self, text: str) -> None:
        self.app[api.VIEW].dispatcher.error("certificate_refused", text, severity="critical")

    async def _make_token(self) -> None:
        """Where none is configured. Not before we listen: had another daemon the address, the token would be its."""
        path = self._token_file
        if path is None or self._settings.auth_token or self._token is not None:
            return
        try:
            self._token = await _apart(make_token, path)
        except OSError as exc:
            _log.error("nothing can be changed over HTTP: %s cannot be written (%s)", path, exc.strerror)
        else:
            self.app[ACCESS].let_write(self._token, path)

    @property
    def hub(self) -> EventHub:
        """The readers of the live stream."""
        return self.app[HUB]

    @property
    def room(self) -> Room:
        """The connections that are open."""
        return self._listening.room

    @property
    def address(self) -> str:
        """Where it listens: `127.0.0.1:9777` (the port it really has) or `unix:/path`."""
        return self._listening.address

    @property
    def url(self) -> str | None:
        """The address of the page for a browser on this machine; None on a unix socket."""
        if self._listening.socket_path:
            return None
        name = host_name(self.address)
        port = self.address.rpartition(":")[2]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(name, f"[{name}]" if ":" in name else name)  # noqa: S104
        return f"{'https' if self._settings.tls else 'http'}://{host}:{port}/"

    async def stop(self, timeout: float = 5.0) -> None:
        """Take no more connections, end the live streams at once, let other answers end within `timeout` seconds."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._listening.close()
        server = runner.server
        if server is not None:
            # Connections accepted in this turn of the loop have their first step before they are closed.
            await asyncio.sleep(0)
            server.pre_shutdown()
            await self.app.shutdown()
            await server.shutdown(timeout)
        await runner.cleanup()
        await self._listening.end()
        if self._token_file is not None and self._token is not None:
            await _apart(remove_token, self._token_file, self._token)
            self._token = None


async def _apart(function: Callable[..., _T], *args: Any) -> _T:
    """Call it in a thread of its own: functions of the user's may keep all threads of the loop busy."""
    thread = OneThread("token file")
    try:
        return await thread.call(function, *args)
    finally:
        thread.stop()
