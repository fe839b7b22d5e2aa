"""One machine for the whole session, with the program installed in it by its own means."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.booted import Machine, require
from tests.systemd import checkout
from tests.systemd.service import SIMULATOR_PORT, Service, simulator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a systemd."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.systemd)
            # The first one installs.
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Machine]:
    """A booted one, with a checkout, that of another version, and the wheels in it; nothing is installed yet."""
    require()
    wheels = checkout.wheels(pytestconfig)
    with Machine.booted(tmp_path_factory.mktemp("machine")) as machine:
        # Both now, so that they differ in their version and nothing else.
        checkout.put(machine, checkout.SOURCE)
        checkout.put(machine, checkout.NEXT, version=checkout.NEXT_VERSION)
        # Not by a link: what is outside is not there.
        place = machine.root / checkout.WHEELS.relative_to("/")
        place.mkdir()
        for wheel in wheels.iterdir():
            (place / wheel.name).write_bytes(wheel.read_bytes())
        yield machine


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """The machine with the program installed."""
    if checkout.uninstalled(machine):
        checkout.make(machine, "install")
    return machine


@pytest.fixture
def service(installed: Machine) -> Iterator[Service]:
    """`price-stream.service`, not started, and a simulator that it can connect to."""
    unit = f"simulator-{SIMULATOR_PORT}.service"
    if installed.show(unit, "ActiveState")["ActiveState"] != "active":
        simulator(installed)
    service = Service(installed)
    try:
        yield service
    finally:
        service.close()


@pytest.fixture
def instance(service: Service) -> Iterator[Callable[[str], Service]]:
    """Makes instances of the template."""
    with ExitStack() as stack:

        def make(name: str) -> Service:
            made = Service(service.machine, name)
            stack.callback(made.close)
            return made

        yield make
