"""`systemctl reload` waits, and tells what came of it."""

from pathlib import Path

import pytest
import trustme

from tests.support.booted import Machine
from tests.systemd.service import PROGRAM, Service, feed


def symbols(service: Service) -> set[str]:
    return {row["symbol"] for row in service.told("symbols", "list")["symbols"]}


def test_a_good_reload_returns_0_when_the_new_configuration_is_in_force(service: Service) -> None:
    pid = service.started(feed())
    service.configure(feed(symbols="[AAPL, NVDA]"))

    assert service.ask("reload") == 0

    assert symbols(service) == {"AAPL", "NVDA"}
    assert service.show("MainPID", "ActiveState", "NRestarts") == {
        "MainPID": str(pid),
        "ActiveState": "active",
        "NRestarts": "0",
    }


def test_a_bad_reload_fails_with_78_tells_every_error_and_changes_nothing(service: Service) -> None:
    pid = service.started(feed())
    service.configure(feed(symbols="[NVDA]") + "stream: {min_change_percent: much}\nalert: []\n")

    assert service.ask("reload", check=False) != 0

    assert "status=78" in service.show("ExecReload")["ExecReload"]
    told = "\n".join(service.messages())
    assert f"{service.config}:9:30" in told
    assert f"{service.config}:10:1" in told
    assert service.show("MainPID", "ActiveState") == {"MainPID": str(pid), "ActiveState": "active"}
    # And the daemon answers as before, by the configuration that is in force.
    service.configure(feed())
    assert symbols(service) == {"AAPL", "MSFT"}


def test_a_file_that_is_no_yaml_fails_and_the_next_good_one_is_taken(service: Service) -> None:
    pid = service.started(feed())
    service.configure("feeds: [\n")
    assert service.ask("reload", check=False) != 0
    assert "status=78" in service.show("ExecReload")["ExecReload"]

    service.configure(feed(symbols="[TSLA]"))

    assert service.ask("reload") == 0
    assert symbols(service) == {"TSLA"}
    assert service.live() == pid


# --- over HTTPS


@pytest.mark.parametrize("client", [False, True])
def test_a_reload_over_https_trusts_the_configured_certificate(service: Service, client: bool) -> None:
    machine, authority = service.machine, trustme.CA()
    certificate = authority.issue_cert("prices.example.org")
    put(machine, "cert.pem", certificate.cert_chain_pems[0].bytes())
    put(machine, "key.pem", certificate.private_key_pem.bytes())
    put(machine, "ca.pem", authority.cert_pem.bytes())
    mine = authority.issue_cert("me.example.org")
    put(machine, "me.pem", mine.private_key_and_cert_chain_pem.bytes())
    tls = "cert_file: /etc/price-stream/tls/cert.pem, key_file: /etc/price-stream/tls/key.pem"
    wanted = ", client_ca_file: /etc/price-stream/tls/ca.pem" if client else ""
    http = f"http: {{tls: {{{tls}{wanted}}}}}\n"
    pid = service.started(feed() + http)
    service.configure(feed(symbols="[AAPL, NVDA]") + http)

    assert service.ask("reload") == 0

    shown = ("--cert", "/etc/price-stream/tls/me.pem") if client else ()

    def asked() -> set[str]:
        return {row["symbol"] for row in service.told("symbols", "list", *shown)["symbols"]}

    machine.until(lambda: asked() == {"AAPL", "NVDA"})
    assert service.live() == pid
    # Of another place nothing is known.
    url = (PROGRAM, "status", "--url", "https://localhost:9777", *shown)
    stranger = machine.run(*url, check=False)
    assert stranger.returncode == 69
    assert "its certificate is not trusted" in stranger.stderr or "another name" in stranger.stderr
    if client:
        assert "--cert FILE --key FILE" in machine.run(PROGRAM, "status", check=False).stderr


def put(machine: Machine, name: str, content: bytes) -> None:
    """A file that the service may read."""
    folder = machine.root / "etc/price-stream/tls"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    machine.run("chgrp", "-R", "price-stream", Path("/etc/price-stream/tls"))
    machine.run("chmod", "-R", "u=rwX,g=rX,o=", Path("/etc/price-stream/tls"))
