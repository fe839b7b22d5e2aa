"""Commands beside an installed service find by themselves what the service manager tells the daemon."""

import json

from tests.systemd.service import Service, feed

KEYED = feed(key="api_key: ${STOCKS_KEY}") + "http: {auth_token: '${PAGE_TOKEN}'}\n"
SINK = "sinks: {ticks: {type: sqlite, path: prices.db}}\n"


def write_env(service: Service) -> None:
    """The environment file, for root only."""
    path = service.machine.root / "etc/price-stream/env"
    path.write_text("# keys\nSTOCKS_KEY='no key needed'\nPAGE_TOKEN=the-token-of-the-page\n")
    path.chmod(0o600)


def test_the_state_is_copied_as_the_document_says(service: Service) -> None:
    service.started(feed())
    service.machine.run("mkdir", "-p", "/var/backups")

    done = service.machine.run("pricestreamd", "state", "backup", "/var/backups/price-stream.db")

    assert "a copy of /var/lib/price-stream/state.db" in done.stdout
    assert (service.machine.root / "var/backups/price-stream.db").stat().st_size


def test_check_status_and_changes_know_the_keys_of_the_environment_file(service: Service) -> None:
    write_env(service)
    service.started(KEYED + SINK)
    machine = service.machine

    assert "good, 0 warnings" in machine.run("pricestreamd", "check").stdout
    told = machine.run("pricestreamd", "status", check=False)
    assert told.stdout.startswith("healthy"), (told, service.messages()[-5:])
    machine.run("pricestreamd", "alerts", "add", "AAPL", "--above", "1000")
    # The group may ask, and may not read the environment file: it is told so.
    done = machine.run(
        *("setpriv", "--reuid=nobody", "--regid=price-stream", "--clear-groups"), "pricestreamd", "status", check=False
    )
    assert done.returncode == 78
    assert "/etc/price-stream/env: cannot be read (Permission denied)" in done.stderr
    assert "sudo, or as the user price-stream" in done.stderr
    done = machine.run(
        *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"), "pricestreamd", "status", check=False
    )
    assert "sudo, or as a member of the group price-stream" in done.stderr
    (machine.root / "etc/price-stream/env").unlink()


def test_check_connect_tries_the_folder_of_the_service_and_leaves_nothing(service: Service) -> None:
    service.started(feed())
    service.configure(feed() + SINK)
    machine = service.machine
    homes = (machine.root / "var/lib/price-stream", machine.root / "root/.local/state/price-stream")
    before = [sorted(path.name for path in home.glob("**/*")) for home in homes]

    done = machine.run("pricestreamd", "check", "--connect")

    assert "sink ticks: sqlite can be written in /var/lib/price-stream/prices.db" in done.stdout
    assert "tried as root; /var/lib/price-stream belongs to price-stream" in done.stdout
    assert [sorted(path.name for path in home.glob("**/*")) for home in homes] == before


def test_a_credential_is_read_while_the_service_runs(service: Service) -> None:
    key = service.machine.root / "srv/credential"
    key.write_text("the-key")
    service.drop_in("credential", "[Service]\nLoadCredential=stocks:/srv/credential\n")
    service.started(feed(key="api_key_file: ${CREDENTIALS_DIRECTORY}/stocks"))

    plan = json.loads(service.machine.run("pricestreamd", "check", "--json").stdout)

    assert plan["relative_paths"]["written"] == "/var/lib/price-stream"


def test_what_ends_the_start_is_an_error_in_the_journal(service: Service) -> None:
    service.configure("feeds: {}\nstrem: {}\n")
    service.ask("start", check=False)
    service.ended()

    assert any("strem" in str(entry["MESSAGE"]) and entry["PRIORITY"] == "3" for entry in service.journal())
