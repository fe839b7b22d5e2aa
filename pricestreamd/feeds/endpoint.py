"""Where a feed may connect to, and whom it trusts there."""

from __future__ import annotations

import ipaddress
import ssl
import urllib.request
from contextlib import suppress
from pathlib import Path

from yarl import URL

from pricestreamd.model.errors import TransportError


def endpoint_fault(url: str, *, allow_plaintext: bool = False) -> str | None:
    """Why `url` cannot be an endpoint; None if it can. Plaintext stays on this machine unless it is allowed."""
    try:
        parts = URL(url)
        host = parts.host
    except ValueError:
        return "not an address"
    if parts.scheme not in ("ws", "wss") or not host:
        return "an endpoint is ws://... or wss://..."
    if parts.scheme == "ws" and not allow_plaintext and not _is_loopback(host):
        return f"ws:// to {host} would send the key in the clear; use wss://, or allow_plaintext"
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


def proxy_for(proxy: str | None, url: URL) -> str | None:
    """The proxy to use for `url`. `proxy`: `env` for what the environment says, an address, or None."""
    if proxy != "env":
        return proxy
    if url.host is not None and urllib.request.proxy_bypass(url.host):
        return None
    return urllib.request.getproxies().get("https" if url.scheme == "wss" else "http")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
