"""The socket that the server listens on: TCP or unix, with TLS or without."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from pathlib import Path

from aiohttp import web

from pricestreamd.http.certificates import Certificates
from pricestreamd.http.door import Door
from pricestreamd.http.port_holder import listen_refusal
from pricestreamd.http.room import Room

# So many may be accepted in one turn of the loop, which prices have to wait for; the others wait in the system's queue.
ACCEPTS_A_TURN = 16
QUEUE = 1024
# Whoever may enter the directory and is of the group may ask.
SOCKET_MODE = 0o660


class ListenError(OSError):
    """The address cannot be listened on; the text names it and says why, `errno` is the system's own."""

    def __str__(self) -> str:
        return str(self.strerror)


class Listening:
    """Takes connections at `listen`, which is `host:port` or `unix:/path`, and gives each a place in `room`."""

    def __init__(self, listen: str, room: Room, certificates: Certificates | None = None) -> None:
        self.room = room
        self._listen = listen
        self._certificates = certificates
        self._server: asyncio.Server | None = None
        self._door: Door | None = None

    @property
    def socket_path(self) -> Path | None:
        """The path of a unix socket; None where it is a port."""
        kind, _, path = self._listen.partition(":")
        return Path(path) if kind == "unix" else None

    @property
    def address(self) -> str:
        """Where it listens: `127.0.0.1:9777` (the port it really has) or `unix:/path`."""
        if self._server is None or self.socket_path or not self._server.sockets:
            return self._listen
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self, server: web.Server) -> None:
        """Listen, and let `server` answer.

        Raises:
            ListenError: the address is in use, is not ours, or may not be used.
            ConfigError: the certificate cannot be used.
        """
        loop = asyncio.get_running_loop()
        if self._certificates is not None:
            await self._certificates.start()
        door = Door(server, self.room, self._certificates.context if self._certificates else None)
        try:
            if path := self.socket_path:
                _remove_stale_socket(path)
                self._server = await loop.create_unix_server(door, path, backlog=ACCEPTS_A_TURN)
                path.chmod(SOCKET_MODE)
            else:
                host, port = _host_and_port(self._listen)
                self._server = await loop.create_server(door, host, port, backlog=ACCEPTS_A_TURN)
        except OSError as exc:
            if self._certificates is not None:
                await self._certificates.stop()
            raise ListenError(exc.errno, listen_refusal(self._listen, exc)) from exc
        self._door = door
        for listening in self._server.sockets:
            # asyncio has one number for both: a short turn of the loop, and a queue in which nobody is lost.
            with socket.fromfd(listening.fileno(), listening.family, listening.type) as same:
                same.listen(QUEUE)

    def close(self) -> None:
        """Take no more connections, and break off handshakes. What is being answered goes on."""
        if self._server is not None and self._door is not None:
            self._server.close()
            self._door.close()

    async def end(self) -> None:
        """Return when the last connection is gone; what it was about is tidied up."""
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
            if path := self.socket_path:
                path.unlink(missing_ok=True)
        if self._certificates is not None:
            await self._certificates.stop()


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


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
