"""Which errors a role outlives."""

import asyncio

import pytest
from psycopg import OperationalError
from psycopg.errors import ProgramLimitExceeded

from ioc.app import retry
from ioc.app.retry import with_retry
from ioc.eventlog.port import LogUnavailable


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)


async def outlives(error: Exception, *, in_task: bool) -> bool:
    failures = [error]

    async def fail() -> None:
        if failures:
            raise failures.pop()

    async def work() -> None:
        if in_task:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        else:
            await fail()

    try:
        await with_retry("test", work)
    except (ExceptionGroup, type(error)):
        return False
    return True


@pytest.mark.parametrize("in_task", [False, True])
@pytest.mark.parametrize(
    ("error", "outlived"),
    [
        (OperationalError("gone"), True),
        (LogUnavailable("gone"), True),
        (ProgramLimitExceeded("too large"), False),
        (ValueError("a defect"), False),
    ],
)
async def test_a_role_outlives_a_lost_database_or_log_and_nothing_else(
    error: Exception, outlived: bool, in_task: bool
) -> None:
    assert await outlives(error, in_task=in_task) is outlived
