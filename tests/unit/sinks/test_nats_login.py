"""Who the sink `nats` is to a server, and how it speaks TLS, against real servers."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.nats.login import Credentials
from pricestreamd.sinks.nats.sink import NatsSink
from pricestreamd.sinks.settings import NatsSinkSettings, NatsTlsSettings
from tests.support.nats_keys import Key, Operator
from tests.support.nats_server import NatsServer
from tests.unit.sinks.samples import update


def sink_of(url: str, **more: Any) -> NatsSink:
    return NatsSink("bus", NatsSinkSettings(url=Secret(url), prefix="p", **more))


async def delivered(sink: NatsSink, number: int = 1) -> None:
    try:
        await sink.deliver([update(number)])
    finally:
        await sink.close()


def file_of(folder: Path, text: str, name: str = "user.creds") -> Path:
    path = folder / name
    path.write_text(text)
    return path


async def test_a_file_of_credentials_gets_in_and_a_renewed_one_counts_from_the_next_connection(tmp_path: Path) -> None:
    operator = Operator()
    stranger = Operator().creds()
    with NatsServer(operator.config, client=operator.login()) as server:
        server.add_stream("p")
        path = file_of(tmp_path, stranger)
        sink = sink_of(server.url, credentials=path)
        with pytest.raises(SinkError, match=f"renew {path}, and reload") as caught:
            await delivered(sink)
        assert caught.value.transient
        assert caught.value.retry_after == 60
        assert stranger.splitlines()[1] not in str(caught.value)
        path.write_text(operator.creds())
        await delivered(sink)
        path.unlink()
        with pytest.raises(SinkError, match=f"credentials {path} cannot be used: no such file") as caught:
            await delivered(sink)
        assert caught.value.transient
        path.write_text(operator.creds().replace("\n", "\r\n"))
        await delivered(sink, 2)
        with pytest.raises(SinkError, match="or credentials"):
            await delivered(sink_of(server.url))
        assert len(server.messages("p")) == 2


async def test_a_bare_key_gets_in(tmp_path: Path) -> None:
    key = Key("user")
    config = f"authorization {{users: [{{nkey: {key.public}}}, {{user: u, password: p}}]}}"
    with NatsServer(config, client={"user": "u", "password": "p"}) as server:
        server.add_stream("p")
        await delivered(sink_of(server.url, credentials=file_of(tmp_path, f"{key.seed}\n")))
        with pytest.raises(SinkError, match="renew"):
            await delivered(sink_of(server.url, credentials=file_of(tmp_path, Key("user").seed)))
        assert len(server.messages("p")) == 1


async def test_with_a_key_nothing_is_said_in_clear_where_tls_was_asked_for(tmp_path: Path) -> None:
    key = Key("user")
    with NatsServer(f"authorization {{users: [{{nkey: {key.public}}}]}}") as server:
        path = file_of(tmp_path, key.seed)
        for sink in (
            sink_of(server.url, credentials=path, tls=NatsTlsSettings()),
            sink_of(server.url.replace("nats://", "tls://"), credentials=path),
        ):
            with pytest.raises(SinkError, match="does not speak TLS"):
                await delivered(sink)
        assert key.public not in (server.folder / "log").read_text()


SEED = Key("user").seed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        SEED[:-1],
        SEED[:-1] + ("A" if SEED[-1] != "A" else "Q"),
        Key("account").seed,
        Key("user").public,
        "-----BEGIN NATS USER JWT-----\neyJ\n------END NATS USER JWT------\n",
    ],
    ids=["empty", "nonsense", "short", "damaged", "of-an-account", "public", "no-seed"],
)
def test_a_file_without_the_key_of_a_user_is_told_of_when_the_sink_is_made(tmp_path: Path, text: str) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(SinkError, match=r"sink bus: credentials .*user.creds cannot be used: holds no seed") as caught:
        sink_of("nats://127.0.0.1", credentials=path)
    assert not caught.value.transient
    assert not text or text not in str(caught.value)


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_a_key_or_told_of_without_what_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.creds"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds no seed of a user"):
        Credentials(path)


def test_what_contradicts_itself_is_told_of_when_the_sink_is_made(tmp_path: Path) -> None:
    path = file_of(tmp_path, SEED)
    with pytest.raises(SinkError, match="keep one of the two"):
        sink_of("nats://user:word@127.0.0.1", credentials=path)
    with pytest.raises(SinkError, match="belong together"):
        sink_of("nats://127.0.0.1", tls=NatsTlsSettings(cert_file=path))
    with pytest.raises(SinkError, match=r"tls\.ca_file .*user.creds cannot be used"):
        sink_of("nats://127.0.0.1", tls=NatsTlsSettings(ca_file=path))
    with pytest.raises(SinkError, match=r"tls\.cert_file .*missing.pem .*no such file"):
        sink_of("nats://127.0.0.1", tls=NatsTlsSettings(cert_file=tmp_path / "missing.pem", key_file=path))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def guarded(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server that speaks TLS, and asks for a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    places = {f"{name}_file": str(folder / f"{name}.pem") for name in ("cert", "key", "ca")}
    config = "\n".join(f"  {name}: {json.dumps(place)}" for name, place in places.items())
    client = {"tls": _context(authority)}
    with NatsServer(f"tls {{\n{config}\n  verify: true\n}}", client=client) as server:
        server.add_stream("p")
        yield server


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    authority.issue_cert("me@example.org").configure_cert(context)
    return context


@pytest.fixture
def own(authority: trustme.CA, tmp_path: Path) -> Callable[..., NatsTlsSettings]:
    """Files of ours, those that are asked for."""
    certificate = authority.issue_cert("me@example.org")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert_file.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key_file.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca_file.pem")
    return lambda *names: NatsTlsSettings(**{name: tmp_path / f"{name}.pem" for name in names})


async def test_tls_has_an_authority_and_a_certificate_of_ones_own(
    guarded: NatsServer, own: Callable[..., NatsTlsSettings]
) -> None:
    tls = own("ca_file", "cert_file", "key_file")
    await delivered(sink_of(guarded.url, tls=tls))
    await delivered(sink_of(guarded.url.replace("nats://127.0.0.1", "tls://localhost"), tls=tls), 2)
    assert len(guarded.messages("p")) == 2


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_a_certificate_of_somebody_elses_authority_is_refused(guarded: NatsServer, scheme: str) -> None:
    with pytest.raises(SinkError, match="its certificate is refused") as caught:
        await delivered(sink_of(guarded.url.replace("nats", scheme)))
    assert caught.value.transient


async def test_without_a_certificate_of_ones_own_the_server_says_no(
    guarded: NatsServer, own: Callable[..., NatsTlsSettings]
) -> None:
    with pytest.raises(SinkError, match=r"a certificate of ours: set tls\.cert_file and tls\.key_file") as caught:
        await delivered(sink_of(guarded.url, tls=own("ca_file")))
    assert caught.value.transient
    assert caught.value.retry_after == 60


def test_without_the_library_for_keys_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["cryptography"] = None  # as if it were not installed
from pathlib import Path
from pricestreamd.model.secret import Secret
from pricestreamd.sinks import catalogue, settings

catalogue.create("bus", settings.NatsSinkSettings(url=Secret("nats://h")))
try:
    catalogue.create("bus", settings.NatsSinkSettings(url=Secret("nats://h"), credentials=Path(sys.argv[1])))
except Exception as exc:
    print(exc)
"""
    command = [sys.executable, "-c", program, str(file_of(tmp_path, SEED))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "sink bus: credentials need the library cryptography: pip install cryptography\n"
