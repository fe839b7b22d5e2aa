"""Why a delivery failed, in a form that may be kept."""

from __future__ import annotations

from pricestreamd.model.secret import redact_bounded

# What an error says beyond that is of no use to anybody.
ERROR_CHARACTERS = 500


def kept_error(error: str | None) -> str | None:
    """An error as it may be kept: short, without secrets, and of characters that can be written."""
    if error is None:
        return None
    return redact_bounded(error, ERROR_CHARACTERS).encode("utf-8", "replace").decode()
