"""Another version beside the one in force: upgrade, roll-back, and an upgrade that does not come up."""

from collections.abc import Iterator

import pytest

from tests.systemd import checkout
from tests.systemd.checkout import NEXT, NEXT_VERSION, make
from tests.systemd.service import Service, feed
from tests.systemd.test_install import VERSION


@pytest.fixture
def upgraded(service: Service) -> Iterator[Service]:
    """The service, running, after an upgrade to another version; the first one is in force again at the end."""
    machine = service.machine
    before = service.started(feed())
    make(machine, "upgrade", source=NEXT)
    assert service.live(other_than=before)
    yield service
    if checkout.release(machine) != VERSION:
        make(machine, "rollback", TO=VERSION)


def test_upgrade_and_roll_back_switch_the_release_and_restart_what_runs(upgraded: Service) -> None:
    machine, pid = upgraded.machine, upgraded.live()
    assert checkout.release(machine) == NEXT_VERSION
    assert running_release(upgraded) == NEXT_VERSION
    assert machine.run("pricestreamd", "--version").stdout == f"pricestreamd {NEXT_VERSION}\n"

    back = make(machine, "rollback")

    assert f"release {VERSION} is in force" in back.stdout
    assert upgraded.live(other_than=pid)
    assert checkout.release(machine) == VERSION
    assert running_release(upgraded) == VERSION
    # The one that was left is the one before now.
    make(machine, "rollback")
    assert checkout.release(machine) == NEXT_VERSION


def running_release(service: Service) -> str:
    pid = service.live()
    return service.machine.run("cat", f"/proc/{pid}/cmdline").stdout.split("\0")[0].split("/")[4]


def test_a_release_that_does_not_come_up_gives_way_to_the_one_before(upgraded: Service) -> None:
    machine = upgraded.machine
    make(machine, "rollback", TO=VERSION)
    releases = "/opt/price-stream/releases"
    machine.run("cp", "-a", f"{releases}/{NEXT_VERSION}", f"{releases}/broken")
    machine.run("sh", "-c", f"printf '#!/bin/sh\\nexit 78\\n' >{releases}/broken/bin/pricestreamd")
    pid = upgraded.live()

    done = make(machine, "rollback", TO="broken", check=False)

    machine.run("rm", "-r", f"{releases}/broken")
    assert done.returncode != 0
    assert f"release {VERSION} is in force again, and runs" in done.stderr
    assert checkout.release(machine) == VERSION
    assert upgraded.live(other_than=pid)


def test_an_upgrade_with_a_mistake_in_the_file_leaves_the_old_release_running(upgraded: Service) -> None:
    machine = upgraded.machine
    make(machine, "rollback", TO=VERSION)
    pid = upgraded.live()
    upgraded.configure(feed() + "strem: {}\n")

    done = make(machine, "upgrade", source=NEXT, check=False)

    assert done.returncode != 0
    assert f"{upgraded.config}:9:1" in done.stderr
    assert f"{VERSION} stays in force, and runs" in done.stderr
    assert checkout.release(machine) == VERSION
    assert upgraded.live() == pid


def test_an_upgrade_knows_what_a_drop_in_sets(upgraded: Service) -> None:
    machine = upgraded.machine
    make(machine, "rollback", TO=VERSION)
    upgraded.drop_in("key", "[Service]\nEnvironment=KEY_OF_DROP_IN=k\n")
    upgraded.configure(feed(key="api_key: ${KEY_OF_DROP_IN}"))
    upgraded.ask("restart")
    pid = upgraded.live()

    make(machine, "upgrade", source=NEXT)

    assert checkout.release(machine) == NEXT_VERSION
    assert upgraded.live(other_than=pid)


def test_a_release_that_was_put_there_by_hand_can_be_gone_back_to(upgraded: Service) -> None:
    machine, releases = upgraded.machine, "/opt/price-stream/releases"
    machine.run("cp", "-a", f"{releases}/{VERSION}", f"{releases}/by-hand")
    machine.run("rm", "-r", f"{releases}/by-hand/share")
    pid = upgraded.live()

    done = make(machine, "rollback", TO="by-hand")

    assert "was put there by hand: the units stay as they are" in done.stdout
    assert checkout.release(machine) == "by-hand"
    assert upgraded.live(other_than=pid)
    make(machine, "rollback", TO=VERSION)
    machine.run("rm", "-r", f"{releases}/by-hand")


def test_what_does_not_run_is_not_started(upgraded: Service) -> None:
    upgraded.ask("stop")

    done = make(upgraded.machine, "upgrade", source=NEXT)

    assert "nothing restarted" in done.stdout
    assert upgraded.show("ActiveState") == {"ActiveState": "inactive"}


def test_a_release_that_is_not_there_is_refused(upgraded: Service) -> None:
    done = make(upgraded.machine, "rollback", check=False, TO="1.2.3")

    assert done.returncode != 0
    assert "release 1.2.3 is not in" in done.stderr
    assert checkout.release(upgraded.machine) == NEXT_VERSION
