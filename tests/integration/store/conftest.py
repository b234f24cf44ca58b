"""A pool and a connection of the unprivileged role on a fresh database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test", max_size=4) as opened:
        yield opened


@pytest.fixture
async def connection(pool: Pool) -> AsyncIterator[AsyncConnection[Any]]:
    async with pool.connection() as opened:
        yield opened
