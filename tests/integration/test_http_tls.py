"""HTTPS: who may come in, certificates that are replaced while the daemon runs, and handshakes that never end."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme

from pricestreamd.http.app import HttpServer
from pricestreamd.http.certificates import Certificates
from pricestreamd.http.door import HANDSHAKE_SECONDS
from pricestreamd.http.settings import HttpSettings, HttpTlsSettings
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.events import PriceError
from tests.support.http_serving import parse_frame
from tests.support.small_daemon import SmallDaemon
from tests.support.waiting import eventually


class Papers:
    """A folder with a server's certificate, its key, and the authority of the clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.clients = trustme.CA()
        self.cert, self.key, self.ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
        self.issue()
        self.clients.cert_pem.write_to_path(self.ca)

    def issue(self) -> None:
        """A new certificate with its key, put in the place of the old ones as certificate programs do it."""
        issued = self.authority.issue_cert("localhost")
        for path, data in (
            (self.cert, b"".join(blob.bytes() for blob in issued.cert_chain_pems)),
            (self.key, issued.private_key_pem.bytes()),
        ):
            draft = path.with_suffix(".new")
            draft.write_bytes(data)
            draft.replace(path)

    def settings(self, *, clients: bool = False) -> HttpTlsSettings:
        return HttpTlsSettings(cert_file=self.cert, key_file=self.key, client_ca_file=self.ca if clients else None)

    def context(self, client: trustme.CA | None = None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
        """Of a client that trusts the server's authority, and has a certificate of `client`."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if client is not None:
            client.issue_cert("somebody").configure_cert(context)
        for name, version in versions.items():
            setattr(context, name, version)
        return context


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


@contextlib.asynccontextmanager
async def https(
    settings: HttpTlsSettings, *, max_connections: int = 512
) -> AsyncIterator[tuple[HttpServer, SmallDaemon]]:
    daemon = SmallDaemon()
    server = HttpServer(daemon, HttpSettings(listen="127.0.0.1:0", tls=settings), max_connections=max_connections)
    await server.start()
    try:
        yield server, daemon
    finally:
        await server.stop(1.0)


def port_of(server: HttpServer) -> int:
    return int(server.address.rpartition(":")[2])


async def ask(server: HttpServer, context: ssl.SSLContext, path: str = "/livez") -> tuple[int, bytes]:
    """The status, and the server's certificate."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port_of(server), ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return int(answer.split()[1]), shown
    finally:
        writer.transport.abort()


async def test_only_who_shows_a_certificate_of_the_right_authority_comes_in(papers: Papers) -> None:
    async with https(papers.settings(clients=True)) as (server, _):
        assert (await ask(server, papers.context(papers.clients)))[0] == 200
        for stranger in (None, trustme.CA(), papers.authority):
            # With TLS 1.3 a client learns that it was refused only when it reads.
            with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
                await ask(server, papers.context(stranger))
        assert (await ask(server, papers.context(papers.clients)))[0] == 200


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
async def test_older_than_tls_1_2_is_not_spoken(papers: Papers, version: ssl.TLSVersion, spoken: bool) -> None:
    async with https(papers.settings()) as (server, _):
        with pytest.warns(DeprecationWarning, match="TLSv1_1") if not spoken else contextlib.nullcontext():
            context = papers.context(minimum_version=version, maximum_version=version)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        if spoken:
            assert (await ask(server, context))[0] == 200
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await ask(server, context)


async def test_a_new_certificate_counts_without_a_restart_and_streams_go_on(papers: Papers) -> None:
    look = Certificates(papers.settings(), look_seconds=0.05)
    await look.start()
    first = look.context()
    papers.issue()
    await eventually(lambda: look.context() is not first)
    await look.stop()

    async with https(papers.settings(clients=True)) as (server, daemon):
        context = papers.context(papers.clients)
        _, before = await ask(server, context)
        connector = aiohttp.TCPConnector(ssl=context, family=socket.AF_INET)
        async with (
            aiohttp.ClientSession(f"https://localhost:{port_of(server)}", connector=connector) as client,
            client.get("/api/v1/events?event=price.update") as stream,
        ):
            papers.issue()
            # Another authority of the clients, too.
            others = trustme.CA()
            others.cert_pem.write_to_path(papers.ca)
            await server.certificates_changed()
            status, after = await ask(server, papers.context(others))
            assert status == 200
            assert after != before
            with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
                await ask(server, papers.context(papers.clients))
            daemon.publish("AAPL", 123.0)
            while True:
                frame = parse_frame((await stream.content.readuntil(b"\n\n"))[:-2].decode())
                if frame.event:
                    break
            assert frame.data["price"] == 123.0


@pytest.mark.parametrize("broken", ["garbage", "gone", "key of another", "locked key", "authority"])
async def test_a_broken_new_certificate_keeps_the_old_and_tells_once(
    papers: Papers, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[PriceError] = []
    async with https(papers.settings(clients=True)) as (server, daemon):
        daemon.dispatcher.on("price.error", heard.append)
        _, before = await ask(server, papers.context(papers.clients))
        if broken == "garbage":
            papers.cert.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        elif broken == "gone":
            papers.key.unlink()
        elif broken == "key of another":
            papers.key.write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())
        elif broken == "locked key":
            papers.key.write_bytes(await locked(papers.key))
        else:
            papers.ca.write_text("")
        await server.certificates_changed()
        assert heard == []
        await server.certificates_changed()
        await server.certificates_changed()
        [told] = heard
        assert (told.error, told.severity) == ("certificate_refused", "critical")
        assert "stays in use" in told.message
        assert str(papers.folder) in told.message
        assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
        status, after = await ask(server, papers.context(papers.clients))
        assert (status, after) == (200, before)
        # Put right, it counts.
        papers.issue()
        papers.clients.cert_pem.write_to_path(papers.ca)
        await server.certificates_changed()
        _, right = await ask(server, papers.context(papers.clients))
        assert right != before
        assert len(heard) == 1


async def locked(key: Path) -> bytes:
    """The same key behind a password."""
    from cryptography.hazmat.primitives import serialization

    found = serialization.load_pem_private_key(key.read_bytes(), None)
    return found.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )


async def test_a_certificate_and_a_key_that_are_replaced_one_after_the_other_are_no_error(
    papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[PriceError] = []
    async with https(papers.settings()) as (server, daemon):
        daemon.dispatcher.on("price.error", heard.append)
        old_key = papers.key.read_bytes()
        papers.issue()
        new_key = papers.key.read_bytes()
        papers.key.write_bytes(old_key)
        await server.certificates_changed()
        papers.key.write_bytes(new_key)
        await server.certificates_changed()
        assert heard == []
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert (await ask(server, papers.context()))[0] == 200


async def test_a_certificate_that_cannot_be_used_at_the_start_is_an_error_of_the_configuration(papers: Papers) -> None:
    papers.key.write_text("nonsense")
    server = HttpServer(SmallDaemon(), HttpSettings(listen="127.0.0.1:0", tls=papers.settings()))
    with pytest.raises(ConfigError, match=r"cert\.pem: http\.tls: cannot be used with key\.pem: "):
        await server.start()


async def test_a_handshake_that_never_ends_is_cut_and_holds_no_place_that_others_need(papers: Papers) -> None:
    async with https(papers.settings(), max_connections=4) as (server, _):
        begun = time.monotonic()
        streams = [await asyncio.open_connection("127.0.0.1", port_of(server)) for _ in range(20)]
        assert len(server.room) <= 4
        assert (await ask(server, papers.context()))[0] == 200
        for reader, _ in streams:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), HANDSHAKE_SECONDS + 5) == b""
        assert time.monotonic() - begun < HANDSHAKE_SECONDS + 3
        await eventually(lambda: len(server.room) == 0)
        for _, writer in streams:
            writer.transport.abort()


async def test_plain_http_to_the_tls_port_is_closed_without_a_word_in_the_log(
    papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    async with https(papers.settings()) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert not (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP")
        writer.transport.abort()
        assert (await ask(server, papers.context()))[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.INFO and record.name != "asyncio"]
