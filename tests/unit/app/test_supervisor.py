"""A service that ends without having been asked to is noticed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ioc.app.supervisor import Plan, Service, supervise


async def test_a_service_cancelled_from_within_ends_the_process_instead_of_vanishing() -> None:
    async def vanish() -> None:
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    core: Any = SimpleNamespace()
    with pytest.raises(ExceptionGroup) as caught:
        await supervise(Plan(work=[Service("rules", vanish)]), core, asyncio.Event(), lambda: None)
    assert caught.group_contains(RuntimeError, match="service rules was cancelled from within", depth=None)
