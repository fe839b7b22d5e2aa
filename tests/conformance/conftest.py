"""Servers of the suite end with it."""

from collections.abc import Iterator

import pytest

from tests.support.stores import end_all


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    yield
    end_all()
