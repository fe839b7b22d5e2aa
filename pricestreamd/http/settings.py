"""What can be set about the HTTP server.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pricestreamd.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTlsSettings:
    """The certificate of the server, and whose clients it trusts. PEM files."""

    cert_file: Path = field(metadata={"path": "read"})
    """Certificate chain."""
    key_file: Path = field(metadata={"path": "read"})
    """Private key."""
    client_ca_file: Path | None = field(default=None, metadata={"path": "read"})
    """With it a client must show a certificate of this authority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where the server listens and who may ask. After loading, `auth_token` holds what `auth_token_file` held."""

    listen: str = field(default="127.0.0.1:9777", metadata={"form": "listen"})
    """host:port, or unix:/path/of/socket."""
    auth_token: Secret | None = field(default=None, metadata={"secret": "value"})
    """Bearer token; with it reads need it too."""
    auth_token_file: Path | None = field(default=None, metadata={"path": "read", "secret": "file"})
    """A file that holds the token."""
    tls: HttpTlsSettings | None = None
    """Serve HTTPS."""
    allowed_hosts: tuple[str, ...] = field(default=(), metadata={"form": "host"})
    """Further names in the Host header that are answered."""
