"""Signatures by Standard Webhooks 1.0.0, so that a receiver knows who sent a message, and when.

    webhook-id         the same at every attempt: by it a receiver knows what it has already
    webhook-timestamp  epoch seconds of this attempt: an old request sent again by somebody else is recognised
    webhook-signature  `v1,` and base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`; one for each secret, with a space
                       between

A secret is `whsec_` and base64 of 24 to 64 bytes. While one secret is replaced by another, both sign.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64


def signing_keys(secret: str) -> tuple[bytes, ...]:
    """The keys in `secret`, which may hold several with spaces between.

    Raises:
        ValueError: one is malformed; the message says how, without anything of the secret.
    """
    keys = tuple(map(_key, secret.split()))
    if not keys:
        raise ValueError(f"expected {PREFIX} and base64 of {LEAST_BYTES} to {MOST_BYTES} bytes, got nothing")
    return keys


def _key(text: str) -> bytes:
    wanted = f"expected {PREFIX} and base64 of {LEAST_BYTES} to {MOST_BYTES} bytes"
    if not text.startswith(PREFIX):
        raise ValueError(f"{wanted}, got a text that begins otherwise")
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{wanted}, got what is no base64 after {PREFIX}") from None
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise ValueError(f"{wanted}, got {len(key)} bytes")
    return key


def signed_headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of an attempt at `timestamp` (epoch seconds); without keys there is no signature."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if keys:
        text = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
        marks = (hmac.digest(key, text, hashlib.sha256) for key in keys)
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(mark).decode()}" for mark in marks)
    return headers
