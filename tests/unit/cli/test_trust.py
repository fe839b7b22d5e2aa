"""Whom a command trusts that asks a daemon over HTTPS."""

import argparse
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from pricestreamd.cli.ask import CertificateWantedError, UnreachableError, ask
from pricestreamd.cli.target import Target, target
from pricestreamd.cli.trust import Trust


class Server:
    """Answers `{}` to everything, over TLS."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate = folder / "cert.pem"
        self.other = folder / "other.pem"
        self.root = folder / "ca.pem"
        self.mine = folder / "me.pem"
        own = self.authority.issue_cert("prices.example.org")
        own.cert_chain_pems[0].write_to_path(self.certificate)
        # Of the same authority, and of the same name.
        self.authority.issue_cert("prices.example.org").cert_chain_pems[0].write_to_path(self.other)
        self.authority.cert_pem.write_to_path(self.root)
        self.authority.issue_cert("me.example.org").private_key_and_cert_chain_pem.write_to_path(self.mine)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.configure_cert(self.context)
        self.port = 0

    async def start(self, stack: AsyncExitStack) -> None:
        """Listen until `stack` ends."""

        async def answer(request: web.Request) -> web.Response:
            del request
            return web.json_response({})

        application = web.Application()
        application.router.add_get("/", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.context)
        await site.start()
        self.port = runner.addresses[0][1]

    async def ask(self, trust: Trust) -> object:
        """What a command gets."""
        return await ask(Target(f"https://127.0.0.1:{self.port}", trust=trust), "/")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        made = Server(tmp_path)
        await made.start(stack)
        yield made


async def test_exactly_the_configured_certificate_is_trusted_whatever_its_name(server: Server) -> None:
    assert await server.ask(Trust(pinned=server.certificate)) == {}
    with pytest.raises(UnreachableError, match=r"its certificate is not the one in .*other\.pem"):
        await server.ask(Trust(pinned=server.other))


async def test_of_another_place_the_authority_has_to_be_named_and_the_name_must_fit(server: Server) -> None:
    with pytest.raises(UnreachableError, match=r"is not trusted .*: name its authority with --ca FILE"):
        await server.ask(Trust())
    with pytest.raises(UnreachableError, match="is for another name"):
        await server.ask(Trust(authority=server.root))


async def test_a_daemon_that_wants_a_certificate_is_shown_it_or_that_is_said(server: Server) -> None:
    server.context.verify_mode = ssl.CERT_REQUIRED
    server.authority.configure_trust(server.context)
    trust = Trust(pinned=server.certificate, shown=True)
    with pytest.raises(CertificateWantedError, match="--cert FILE --key FILE"):
        await server.ask(trust)
    assert await server.ask(replace(trust, certificate=server.mine)) == {}


async def test_who_does_not_listen_is_told_as_ever(server: Server) -> None:
    daemon = Target("https://127.0.0.1:1", trust=Trust(pinned=server.certificate, shown=True))
    with pytest.raises(UnreachableError, match="is it running") as caught:
        await ask(daemon, "/")
    assert not isinstance(caught.value, CertificateWantedError)


async def test_a_certificate_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"gone\.pem cannot be used: No such file"):
        await server.ask(Trust(pinned=tmp_path / "gone.pem"))


def test_options_count_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRICESTREAM_URL", raising=False)
    monkeypatch.setenv("PRICESTREAM_CA", "ca-of-environment")
    monkeypatch.setenv("PRICESTREAM_KEY", "key-of-environment")
    path = tmp_path / "c.yaml"
    path.write_text("http: {tls: {cert_file: c.pem, key_file: k.pem, client_ca_file: ca.pem}}\n")
    given = argparse.Namespace(url=None, config=str(path), ca="ca", cert="cert", key=None)

    found = target(given)

    expected = Trust(tmp_path / "c.pem", Path("ca"), Path("cert"), Path("key-of-environment"), shown=True)
    assert found.trust == expected
    assert target(argparse.Namespace(**{**vars(given), "url": "https://x"})).trust == replace(
        expected, pinned=None, shown=False
    )


def test_a_path_is_that_of_a_socket() -> None:
    assert target(argparse.Namespace(url="/run/x.sock", config=None)).address == "unix:/run/x.sock"
