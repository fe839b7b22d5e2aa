"""Whom a command trusts that asks a daemon over HTTPS, and what it shows of itself."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from pricestreamd.http.settings import HttpTlsSettings

_END = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Trust:
    """How TLS is done with one daemon.

    `pinned`: the file of its own certificate: exactly that one is trusted, whatever name it has. `authority`: a file of
    authorities instead of this machine's. `certificate` with `key` is what we show; `shown`: the daemon wants one.
    """

    pinned: Path | None = None
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    shown: bool = False

    def context(self) -> ssl.SSLContext:
        """For one connection. Blocks. Raises `OSError` (`ssl.SSLError` is one) naming the file that cannot be used."""
        import ssl

        file = self.authority or self.pinned
        try:
            if self.pinned is not None and self.authority is None:
                context = _trusting(self.pinned)
            else:
                context = ssl.create_default_context(cafile=self.authority)
            if self.certificate is not None:
                file = self.certificate
                context.load_cert_chain(file, self.key)
        except (OSError, ValueError) as exc:
            raise OSError(f"{file} cannot be used: {getattr(exc, 'strerror', None) or exc}") from exc
        return context


def _trusting(file: Path) -> ssl.SSLContext:
    """Trusts the first certificate in `file`, and nothing else: no authority, and no name, is asked for."""
    import ssl

    text = file.read_text(encoding="ascii", errors="replace")
    own, end, _ = text.partition(_END)
    context = ssl.create_default_context(cadata=f"{own[own.find('-----BEGIN') :]}{end}\n")
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # What a certificate of one's own may lack.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def trust_arguments(parser: argparse.ArgumentParser) -> None:
    """`--ca`, `--cert` and `--key`, for a command that asks a daemon."""
    parser.add_argument("--ca", metavar="FILE", help="the authority of its certificate; else $PRICESTREAM_CA")
    parser.add_argument("--cert", metavar="FILE", help="the certificate to show it; else $PRICESTREAM_CERT")
    parser.add_argument("--key", metavar="FILE", help="the key of --cert; else $PRICESTREAM_KEY")


def trust_of(
    args: argparse.Namespace, environ: Mapping[str, str] = os.environ, tls: HttpTlsSettings | None = None
) -> Trust:
    """What the command line, else the environment, says. `tls`: what the daemon serves with, where that is known."""

    def given(name: str) -> Path | None:
        text = getattr(args, name, None) or environ.get(f"PRICESTREAM_{name.upper()}")
        return Path(text) if text else None

    return Trust(
        pinned=None if tls is None else tls.cert_file,
        authority=given("ca"),
        certificate=given("cert"),
        key=given("key"),
        shown=tls is not None and tls.client_ca_file is not None,
    )


def words_of(trust: Trust, exc: BaseException, address: str) -> str | None:
    """Why a connection to `address` ended with `exc`, where it is a matter of certificates or rights."""
    import ssl

    cause = _cause(exc)
    if isinstance(cause, PermissionError):
        return f"{address} may not be entered: sudo, or as a member of the group price-stream"
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = cause.verify_message.rstrip(".")
        if "ostname mismatch" in said or "IP address mismatch" in said:
            return f"{address}: its certificate is for another name ({said}): ask by a name that is in it"
        if "expired" in said or "not yet valid" in said:
            return f"{address}: its certificate is not valid now ({said}): renew it, or see to this machine's clock"
        if trust.pinned is not None and trust.authority is None:
            return (
                f"{address}: its certificate is not the one in {trust.pinned} ({said}): does another daemon run there?"
            )
        return f"{address}: its certificate is not trusted ({said}): name its authority with --ca FILE"
    return None


def certificate_missing(trust: Trust, exc: BaseException) -> bool:
    """Whether a connection ended with `exc` since the daemon wants a certificate of ours, and was shown none."""
    if trust.certificate is not None:
        return False
    if "CERTIFICATE_REQUIRED" in str(exc).upper().replace(" ", "_"):
        return True
    # Whom nothing was shown to may hang up without a word; who does not listen is another matter.
    hung_up = isinstance(exc, ConnectionError) or type(exc).__name__ in {"ServerDisconnectedError", "ClientOSError"}
    return trust.shown and hung_up and not isinstance(_cause(exc), ConnectionRefusedError)


def _cause(exc: BaseException) -> BaseException:
    """What the system said: aiohttp keeps it in attributes, and as the cause."""
    for name in ("certificate_error", "os_error"):
        inner = getattr(exc, name, None)
        if isinstance(inner, BaseException):
            return inner
    return exc.__cause__ or exc
