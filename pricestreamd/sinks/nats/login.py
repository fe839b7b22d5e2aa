"""Which servers the sink `nats` asks, who it is to them, and how it speaks TLS with them.

    nats://user:password@host   nats://token@host   tls://host     the address
    JWT and SU...               SU...                              the file of credentials: of an account, or a bare key

What a server asks to be signed is signed with the key whose seed is `SU...`; the seed goes nowhere. Files are read anew
for each connection, so what somebody has renewed counts from the next one.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.said import said_by
from pricestreamd.sinks.settings import NatsSinkSettings, NatsTlsSettings

# What a person must mend is not asked for every second.
MENDED_SECONDS = 60.0
MOST_BYTES = 64 * 1024

_SECTION = re.compile(r"-{3,} *BEGIN ([A-Z ]+?) *-{3,}\s+([A-Za-z0-9_.=-]+)")
_JWT, _SEED = "NATS USER JWT", "USER NKEY SEED"
_NO_KEY = "holds no seed of a user (SU...): name a .creds file, or a file with the seed alone"

# https://github.com/nats-io/nkeys: five bits say that it is a seed, eight say whose; then 32 bytes, then a CRC.
_OF_SEED, _OF_USER = 18 << 3, 20 << 3
_SEED_BYTES = 36


class NatsLogin:
    """What `settings` say of servers, user and TLS. `sink` is the name that errors carry.

    Raises:
        SinkError: the address or a file cannot be used.
    """

    def __init__(self, settings: NatsSinkSettings, sink: str) -> None:
        self.servers: list[str] = []
        self._sink = sink
        self._words: dict[str, str] = {}
        self._tls_settings = settings.tls
        self._tls = settings.tls is not None
        for text in settings.url.reveal().split(","):
            self._add_server(text.strip())
        self.place = self.servers[0].partition("://")[2]
        self._file = settings.credentials
        if self._file is not None and self._words:
            raise self._wrong("there are credentials and a user in its url: keep one of the two")
        if self._file is not None and find_spec("cryptography") is None:
            raise self._wrong("credentials need the library cryptography: pip install cryptography")
        if (tls := settings.tls) is not None and (tls.cert_file is None) != (tls.key_file is None):
            raise self._wrong("tls.cert_file and tls.key_file belong together")
        if self._file is not None or settings.tls is not None:
            try:
                self._files()
            except ValueError as exc:
                raise self._wrong(str(exc)) from exc

    @property
    def remedy(self) -> str:
        """What a person does where the server does not know us."""
        if self._file is not None:
            return f"renew {self._file}"
        return "set user and password, or a token, in its url (nats://user:password@host:port), or credentials"

    @property
    def needs_files(self) -> bool:
        """Whether `read` has anything to do."""
        return self._tls or self._file is not None

    def read(self) -> tuple[Credentials | None, ssl.SSLContext | None]:
        """What the files say now. Blocks.

        Raises:
            SinkError: one of them cannot be used; transient, as somebody may set it right.
        """
        try:
            return self._files()
        except ValueError as exc:
            raise SinkError(f"{self.place}: {exc}", sink=self._sink, retry_after=MENDED_SECONDS) from exc

    def options(
        self, client: Client, credentials: Credentials | None, context: ssl.SSLContext | None
    ) -> dict[str, Any]:
        """What `client.connect` is told. Of users and keys it asks when the server has said whether it speaks TLS."""

        def told(value: Any) -> Callable[[], Any]:
            def tell() -> Any:
                self.demand_tls(client)
                return value

            return tell

        options: dict[str, Any] = {part: told(word) for part, word in self._words.items()}
        if context is not None:
            options["tls"] = context
        if credentials is not None:

            def sign(nonce: str) -> bytes:
                self.demand_tls(client)
                return base64.b64encode(credentials.sign(nonce.encode()))

            options["signature_cb"] = sign
            if credentials.jwt:
                options["user_jwt_cb"] = told(credentials.jwt.encode())
            else:
                # The library has no other way to be told of a key that somebody else signs with.
                client._public_nkey = credentials.public  # noqa: SLF001 - as said
        return options

    def demand_tls(self, client: Client) -> None:
        """Say nothing in clear where TLS was asked for.

        The library upgrades where the server demands it, and else goes on in clear without a word.
        """
        if self._tls and not _said(client).get("tls_required"):
            text = f"{self.place}: does not speak TLS: name it nats:// without tls, or have it demand TLS"
            raise SinkError(text, sink=self._sink, retry_after=MENDED_SECONDS)

    def lacks_certificate(self, client: Client) -> bool:
        """Whether the server asks for a certificate, and we have none. It may close without saying so."""
        return bool(_said(client).get("tls_verify")) and not (self._tls_settings and self._tls_settings.cert_file)

    def _files(self) -> tuple[Credentials | None, ssl.SSLContext | None]:
        """As `read`; of a file that cannot be used, a ValueError with its name."""
        what = f"credentials {self._file}"
        tls = self._tls_settings or NatsTlsSettings()
        try:
            credentials = None if self._file is None else Credentials(self._file)
            if not self._tls:
                return credentials, None
            what = f"tls.ca_file {tls.ca_file}"
            context = ssl.create_default_context(cafile=tls.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            what = f"tls.cert_file {tls.cert_file} with tls.key_file {tls.key_file}"
            if tls.cert_file is not None and tls.key_file is not None:
                # Without a password OpenSSL would ask for one at the terminal, and wait.
                context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: b"")
        except (OSError, ValueError) as exc:
            raise ValueError(f"{what} cannot be used: {said_by(exc)}") from exc
        return credentials, context

    def _add_server(self, text: str) -> None:
        wrong = "its address cannot be used: expected nats://user:password@host:port, or tls://"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port or 4222
        except ValueError:
            raise self._wrong(wrong) from None
        if not host or parts.scheme not in ("nats", "tls"):
            raise self._wrong(wrong)
        self._tls = self._tls or parts.scheme == "tls"
        if parts.username and not self._words:
            user = unquote(parts.username)
            password = parts.password
            self._words = {"token": user} if password is None else {"user": user, "password": unquote(password)}
        self.servers.append(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}")

    def _wrong(self, text: str) -> SinkError:
        return SinkError(f"sink {self._sink}: {text}", sink=self._sink, transient=False)


class Credentials:
    """What a file of credentials holds: `jwt`, empty for a bare key, and a key, of which `public` may be told.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no key of a user.
    """

    __slots__ = ("_private", "jwt", "public")

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
        sections = dict(_SECTION.findall(text))
        self.jwt: str = sections.get(_JWT, "")
        seed = _seed_of(sections[_SEED] if _SEED in sections else text.strip())
        signing = import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
        self._private = signing.Ed25519PrivateKey.from_private_bytes(seed)
        key = bytes([_OF_USER]) + self._private.public_key().public_bytes_raw()
        self.public: str = base64.b32encode(key + _sum_of(key)).rstrip(b"=").decode()

    def sign(self, content: bytes) -> bytes:
        """The signature of the key under `content`."""
        signature: bytes = self._private.sign(content)
        return signature


def _said(client: Client) -> dict[str, Any]:
    """What the server has said of itself; the library keeps it to itself."""
    found: dict[str, Any] = getattr(client, "_server_info", {})
    return found


def _seed_of(text: str) -> bytes:
    try:
        found = base64.b32decode(text + "=" * (-len(text) % 8))
    except (ValueError, binascii.Error):
        raise ValueError(_NO_KEY) from None
    kind = found[:2] == bytes([_OF_SEED | _OF_USER >> 5, (_OF_USER & 31) << 3])
    if len(found) != _SEED_BYTES or not kind or _sum_of(found[:-2]) != found[-2:]:
        raise ValueError(_NO_KEY)
    return found[2:-2]


def _sum_of(content: bytes) -> bytes:
    return binascii.crc_hqx(content, 0).to_bytes(2, "little")
