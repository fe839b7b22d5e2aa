"""What holds for every test: hypothesis is derandomised, secrets are forgotten, and skips are counted.

With PRICESTREAM_NO_SKIPS=1 a skip is a failure.
"""

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from pricestreamd.model import secret
from tests.support.data import ABSENT

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")


@pytest.fixture(autouse=True)
def _own_secrets() -> Iterator[None]:
    """What one test calls a secret must not be hidden from the others."""
    before = list(secret._known)
    yield
    secret._known[:] = before


def pytest_make_parametrize_id(val: object) -> str | None:
    """Half a pair of surrogates is a good value for a test, and no name for one."""
    return ascii(val) if isinstance(val, str) and not val.isascii() and _torn(val) else None


def _torn(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of its own verb must be where the Makefile looks for it, or it would never run."""
    for item in items:
        for mark in ("alone", "browser"):
            if item.get_closest_marker(mark) and f"mark.{mark}" not in item.path.read_text():
                raise pytest.UsageError(f"{item.nodeid}: its file has to name mark.{mark}")
        if item.get_closest_marker("systemd") and "tests/systemd/" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: belongs into tests/systemd")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has printed can be sent to the process that gathers the reports, whatever it is."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


# Tests of recorded market data, which is not part of the repository, may be skipped everywhere.
_forbidden: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note skips for want of a tool, where everything that is needed has been installed."""
    if report.skipped and os.environ.get("PRICESTREAM_NO_SKIPS") == "1" and ABSENT not in str(report.longrepr):
        _forbidden.append(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for skips that should not be."""
    if _forbidden:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name them."""
    for line in _forbidden:
        terminalreporter.write_line(f"SKIP NOT ALLOWED {line}", red=True)
