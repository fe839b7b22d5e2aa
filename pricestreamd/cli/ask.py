"""Asking a running daemon over HTTP: where it is, what it answers, and what to say when it does not."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pricestreamd.model.errors import ConfigError, PriceStreamError
from pricestreamd.model.secret import Secret

if TYPE_CHECKING:
    from pricestreamd.http.settings import HttpSettings


class UnreachableError(PriceStreamError):
    """Nobody answers, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a daemon answers: an `http(s)://` or `unix:/path` address, and the token for reads, if one is needed."""

    address: str
    token: Secret | None = None


def target(args: argparse.Namespace) -> Target:
    """`--url`, else `$PRICESTREAM_URL`, else what `http` of the configuration says, else where a daemon is by default.

    An address without a scheme is `http://`.

    Raises:
        ConfigError: the configuration that is named or found cannot be read, or its `http` is wrong.
    """
    given = args.url or os.environ.get("PRICESTREAM_URL")
    if given:
        scheme = "" if "://" in given or given.startswith("unix:") else "http://"
        return Target(f"{scheme}{given.rstrip('/')}")
    http = _http(args.config)
    if http.listen.startswith("unix:"):
        return Target(http.listen, http.auth_token)
    host, _, port = http.listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - asked, not bound
    return Target(f"{'https' if http.tls else 'http'}://{host}:{port}", http.auth_token)


def _http(config: str | None) -> HttpSettings:
    """Those of the configuration named or found; without one the defaults."""
    from pricestreamd.config.load import find_config, load
    from pricestreamd.http.settings import HttpSettings

    try:
        found = find_config(config, os.environ)
    except ConfigError:
        return HttpSettings()
    return load(found, environ=os.environ, feeds_required=False, sections=("http",)).settings.http


async def ask(daemon: Target, path: str, *, accept_status: Collection[int] = (200,), timeout: float = 5.0) -> Any:
    """The JSON answer to `GET path`. `timeout` in seconds.

    Raises:
        UnreachableError: no answer, another status, or no JSON.
    """
    import aiohttp

    headers = {"Authorization": f"Bearer {daemon.token.reveal()}"} if daemon.token else {}
    connector = aiohttp.UnixConnector(daemon.address[5:]) if daemon.address.startswith("unix:") else None
    url = f"http://localhost{path}" if connector else f"{daemon.address}{path}"
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(timeout)) as session,
            session.get(url, headers=headers) as response,
        ):
            if response.status not in accept_status:
                raise UnreachableError(f"{daemon.address} answered {response.status} {response.reason} to {path}")
            return await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        raise UnreachableError(f"no daemon answers at {daemon.address}: is it running? ({type(exc).__name__})") from exc
