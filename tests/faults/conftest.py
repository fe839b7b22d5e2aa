"""What many fault tests begin with: a provider that does as it is told, a proxy before it, and an authority for TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.feeds import Authority
from tests.support.faultproxy import FaultProxy
from tests.support.provider import ScriptedProvider


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as made:
        yield made


@pytest.fixture
async def proxy(provider: ScriptedProvider) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(provider.port) as made:
        yield made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))
