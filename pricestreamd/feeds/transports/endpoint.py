"""Where a feed may connect to, and whom it trusts there."""

from __future__ import annotations

import ipaddress
import ssl
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Literal

from yarl import URL

from pricestreamd.model.errors import TransportError


def endpoint_fault(
    url: str, *, transport: Literal["websocket", "sse", "poll"] = "websocket", allow_plaintext: bool = False
) -> str | None:
    """Why `url` cannot be an endpoint; None if it can. Plaintext stays on this machine unless it is allowed."""
    plain, secure = ("ws", "wss") if transport == "websocket" else ("http", "https")
    try:
        parts = URL(url)
        host = parts.host
    except ValueError:
        return "not an address"
    if parts.scheme not in (plain, secure) or not host:
        return f"an endpoint is {plain}://... or {secure}://..."
    if parts.scheme == plain and not allow_plaintext and not _is_loopback(host):
        return f"{plain}:// to {host} would send the key in the clear; use {secure}://, or allow_plaintext"
    return None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies certificates and names, by the system's authorities or by those in `ca_file` alone.

    Raises:
        TransportError: the file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        what = exc.strerror or type(exc).__name__
        raise TransportError(f"cannot use the certificates in {ca_file}: {what}", reason="tls") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def proxy_for(proxy: str | None, url: URL) -> URL | None:
    """The proxy to use for `url`. `proxy`: `env` for what the environment says, an address, or None.

    Of the environment count `https_proxy`, `http_proxy` and `no_proxy`, in small letters or capitals; `no_proxy` lists
    names, each with the names below it, and may say for which port.

    Raises:
        TransportError: what is set is no address of a proxy.
    """
    if proxy == "env":
        host = url.host or ""
        if urllib.request.proxy_bypass(host) or urllib.request.proxy_bypass(f"{host}:{url.port}"):
            return None
        proxy = urllib.request.getproxies().get("https" if url.scheme in ("wss", "https") else "http")
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    with suppress(ValueError):
        address = URL(proxy)
        if address.scheme in ("http", "https") and address.host:
            return address
    raise TransportError("the address of the proxy is not http://host:port", reason="proxy")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
