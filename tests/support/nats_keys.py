"""Keys and accounts of NATS: what its operators make with `nsc`, made by a test.

operator = Operator()
NatsServer(operator.config, client=operator.login())     a server that takes users of its account only
operator.creds()                                         the text of a .creds file for it
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_LETTERS = {"operator": 14, "account": 0, "user": 20}
_NO_LIMIT = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT_LIMITS = {"imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
_STORAGE = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


class Key:
    """One key; `kind` is operator, account or user."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._private = Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        return _armoured(bytes([_LETTERS[self.kind] << 3]) + self._private.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        letter = _LETTERS[self.kind] << 3
        return _armoured(bytes([18 << 3 | letter >> 5, (letter & 31) << 3]) + self._private.private_bytes_raw())

    def sign(self, content: bytes) -> bytes:
        return self._private.sign(content)

    def token(self, subject: Key, **claims: Any) -> str:
        """A JWT about `subject`, signed by this key."""
        about = {"type": subject.kind, "version": 2, **claims}
        body = {"jti": "1", "iat": 1_700_000_000, "iss": self.public, "sub": subject.public, "name": "x", "nats": about}
        parts = [_url_safe(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body)]
        return ".".join([*parts, _url_safe(self.sign(".".join(parts).encode()))])


class Operator:
    """An operator with one account, that has JetStream, and users of it."""

    def __init__(self) -> None:
        self._own, self._system, self._account = Key("operator"), Key("account"), Key("account")

    @property
    def config(self) -> str:
        """Lines of a server's configuration."""
        system = self._own.token(self._system, limits={**_NO_LIMIT, **_ACCOUNT_LIMITS})
        account = self._own.token(self._account, limits={**_NO_LIMIT, **_ACCOUNT_LIMITS, **_STORAGE})
        known = f"{{{self._system.public}: {system}, {self._account.public}: {account}}}"
        own = f"operator: {self._own.token(self._own)}\nsystem_account: {self._system.public}"
        return f"{own}\nresolver: MEMORY\nresolver_preload: {known}"

    def user(self) -> tuple[Key, str]:
        """A new user, and its JWT."""
        key = Key("user")
        return key, self._account.token(key, pub={}, sub={}, **_NO_LIMIT)

    def creds(self) -> str:
        """A file for a new user, as `nsc` writes it."""
        key, token = self.user()
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "NKEY Seed printed below can be used to sign and prove identity.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{key.seed}\n------END USER NKEY SEED------\n"
        )

    def login(self) -> dict[str, Any]:
        """How the library itself gets in, as a new user."""
        key, token = self.user()
        return {
            "user_jwt_cb": token.encode,
            "signature_cb": lambda nonce: base64.b64encode(key.sign(nonce.encode())),
        }


def _armoured(key: bytes) -> str:
    checked = key + binascii.crc_hqx(key, 0).to_bytes(2, "little")
    return base64.b32encode(checked).rstrip(b"=").decode()


def _url_safe(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
