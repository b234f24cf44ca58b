"""What tests of the counter and of pictures stand on."""

from collections.abc import AsyncIterator

import pytest

from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.row_scope import NOBODY, ScopedPool


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[ScopedPool]:
    """The pool of the API: nobody's unless a test serves somebody."""
    async with open_pool(database.app, name="people", max_size=4, scope=NOBODY) as opened:
        yield ScopedPool(opened)
