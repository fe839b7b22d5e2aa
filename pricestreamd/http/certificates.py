"""The server's certificate and the authority of its clients: read again when a file changes, without a restart.

A set of files that cannot be used is told of, and what was read before stays in use. It is told of at the second look
only: between a new certificate and the new key beside it there is a moment in which the two do not fit.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

from pricestreamd.http.settings import HttpTlsSettings
from pricestreamd.model.errors import ConfigError, Problem
from pricestreamd.state.thread import OneThread

_log = logging.getLogger(__name__)

# How soon a new certificate counts. It is there for weeks before the old one ends.
LOOK_SECONDS = 5.0

# Which file it is and what is in it, as far as that shows without reading it; None where it is not there.
_Stamp = tuple[tuple[int, int, int, int] | None, ...]


class Certificates:
    """TLS as the files of `settings` have it. `tell` gets a sentence when they cannot be used any more."""

    def __init__(
        self,
        settings: HttpTlsSettings,
        tell: Callable[[str], object] | None = None,
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._look_seconds = look_seconds
        self._thread = OneThread("certificates")
        self._context: ssl.SSLContext | None = None
        # What is in use, and what was seen to be unusable at the last look.
        self._stamp: _Stamp = ()
        self._unusable: _Stamp = ()
        self._task: asyncio.Task[None] | None = None

    def context(self) -> ssl.SSLContext:
        """What the next connection is to use."""
        assert self._context is not None  # noqa: S101 - nobody asks before `start`
        return self._context

    async def start(self) -> None:
        """Read the files, and watch them from now on.

        Raises:
            ConfigError: they cannot be used; the text names the file and says why.
        """
        try:
            self._stamp, self._context = await self._thread.call(_read, self._settings)
        except ConfigError:
            self._thread.stop()
            raise
        self._task = asyncio.create_task(self._watch(), name="certificates")

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self._thread.stop()

    async def look(self) -> None:
        """Read the files again if they differ from what is in use."""
        stamp = await self._thread.call(_stamp, self._settings)
        if stamp == self._stamp:
            return
        try:
            self._stamp, self._context = await self._thread.call(_read, self._settings)
        except ConfigError as exc:
            if stamp != self._unusable:
                self._unusable = stamp
                return
            # Told once; what is there now is not looked at again until it changes.
            self._stamp = stamp
            text = f"the certificate read before stays in use: {exc}"
            _log.error("%s", text, extra={"action": "certificates"})
            if self._tell is not None:
                self._tell(text)
        else:
            _log.info("new certificate: %s", self._settings.cert_file, extra={"action": "certificates"})

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            await self.look()


def _files(settings: HttpTlsSettings) -> list[Path]:
    return [path for path in (settings.cert_file, settings.key_file, settings.client_ca_file) if path is not None]


def _stamp(settings: HttpTlsSettings) -> _Stamp:
    return tuple(map(_stamp_of, _files(settings)))


def _stamp_of(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(settings: HttpTlsSettings) -> tuple[_Stamp, ssl.SSLContext]:
    """The files' stamp, taken before they were read, and what they say. Blocks."""
    stamp = _stamp(settings)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Without a password OpenSSL would ask for one at the terminal, and wait.
        context.load_cert_chain(settings.cert_file, settings.key_file, password=lambda: b"")
    except (OSError, ValueError) as exc:
        raise _unusable(settings.cert_file, f"with {settings.key_file.name}", exc) from exc
    if settings.client_ca_file is not None:
        try:
            context.load_verify_locations(settings.client_ca_file)
        except (OSError, ValueError) as exc:
            raise _unusable(settings.client_ca_file, "as client_ca_file", exc) from exc
        context.verify_mode = ssl.CERT_REQUIRED
    return stamp, context


def _unusable(path: Path, role: str, exc: Exception) -> ConfigError:
    if isinstance(exc, ssl.SSLError):
        why = (exc.reason or "no PEM").lower().replace("_", " ")
    else:
        why = getattr(exc, "strerror", None) or type(exc).__name__
    return ConfigError(Problem(str(path), 0, 0, "http.tls", f"cannot be used {role}: {why}"))
