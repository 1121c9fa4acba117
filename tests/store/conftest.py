"""Each test of this folder takes `store` and runs once on every engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetroll.core.model import Organization
from fleetroll.store.port import Records, Store
from tests.support.stores import ENGINES, organization


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def store(engine: str, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await ENGINES[engine](tmp_path / "registry")
    yield opened
    await opened.close()


@pytest.fixture
async def root(store: Store) -> Organization:
    async def work(records: Records) -> Organization:
        stored = await records.organizations.insert(organization(None, "default"))
        assert stored is not None
        return stored

    return await store.write(work)


@pytest.fixture
def org(root: Organization) -> int:
    return root.id


@pytest.fixture
async def elsewhere(store: Store, root: Organization) -> int:
    """Another tenant: whatever happens in `org` must not touch it."""

    async def work(records: Records) -> int:
        stored = await records.organizations.insert(organization(root, "elsewhere"))
        assert stored is not None
        return stored.id

    return await store.write(work)
