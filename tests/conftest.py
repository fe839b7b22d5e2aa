"""What holds for every test: hypothesis is derandomised, and with PRICESTREAM_NO_SKIPS=1 a skip is a failure."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.data import ABSENT

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

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
