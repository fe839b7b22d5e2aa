"""Removing it, and installing it by hand, as the document says. (The name of this file puts it last.)"""

import re

from tests.support.booted import Machine
from tests.systemd import checkout
from tests.systemd.checkout import DOCUMENT, SOURCE, WHEELS, make
from tests.systemd.service import Service, feed

LEFT = ("usr/local/bin", "usr/local/lib", "usr/local/share", "opt", "etc/systemd", "etc/sysusers.d")


def found(machine: Machine) -> list[str]:
    """What has our name, wherever an installation puts something."""
    places = [machine.root / place for place in LEFT]
    return [str(path) for place in places for path in place.glob("**/*price*stream*") if "__pycache__" not in str(path)]


def test_uninstall_stops_and_removes_it_and_keeps_configuration_and_state(service: Service) -> None:
    machine = service.machine
    service.started(feed())
    service.ask("enable")

    done = make(machine, "uninstall")

    assert "kept: /etc/price-stream (configuration), /var/lib/price-stream (state)" in done.stdout
    assert service.show("ActiveState") == {"ActiveState": "inactive"}
    assert [path for path in found(machine) if ".service.d" not in path] == []
    assert (machine.root / "etc/price-stream/config.yaml").exists()
    assert (machine.root / "var/lib/price-stream/state.db").exists()
    # Once more is no error.
    make(machine, "uninstall")


def test_purge_removes_everything(machine: Machine) -> None:
    drop_ins = "/etc/systemd/system/price-stream@east.service.d"
    machine.run("mkdir", "-p", "/var/lib/price-stream-east", drop_ins)

    done = make(machine, "uninstall", PURGE="1")

    assert "with configuration, state and user" in done.stdout
    assert found(machine) == []
    assert not (machine.root / "etc/price-stream").exists()
    assert not list((machine.root / "var/lib").glob("price-stream*"))
    assert machine.run("getent", "passwd", "price-stream", check=False).returncode != 0


def test_installing_by_hand_works_as_the_document_says(machine: Machine) -> None:
    make(machine, "uninstall", PURGE="1")
    section = DOCUMENT.read_text().partition("## By hand")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    # The sample has keys that a person puts in.
    block = block.replace("config/minimal.yaml", "/srv/by-hand.yaml")
    (machine.root / "srv/by-hand.yaml").write_text(feed())

    machine.run(*("sh", "-euc", f"cd {SOURCE}\n{block}"), timeout=120, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(WHEELS))

    checkout_release = checkout.release(machine)
    service = Service(machine)
    try:
        assert checkout_release
        assert service.show("ActiveState") == {"ActiveState": "inactive"}
        service.ask("start")
        machine.until(lambda: service.show("ActiveState")["ActiveState"] == "active")
        # Once more: what a person has written is not overwritten.
        again = feed(symbols="[NVDA]")
        service.configure(again)
        machine.run(*("sh", "-euc", f"cd {SOURCE}\n{block}"), timeout=120, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(WHEELS))
        assert (machine.root / "etc/price-stream/config.yaml").read_text() == again
    finally:
        service.close()
