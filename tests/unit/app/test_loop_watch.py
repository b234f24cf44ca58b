"""A loop that was held up is seen as held up."""

import asyncio
import time

from prometheus_client import REGISTRY

from ioc.app.loop_watch import INTERVAL_S, watch_loop

HELD_S = INTERVAL_S + 0.3


def observed(bound: str) -> float:
    return REGISTRY.get_sample_value("ioc_loop_lag_seconds_bucket", {"le": bound}) or 0.0


def late() -> float:
    return observed("+Inf") - observed("0.25")


async def test_work_that_holds_the_loop_is_observed_as_lag() -> None:
    before = late()
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(watch_loop())
        await asyncio.sleep(0)
        time.sleep(HELD_S)  # noqa: ASYNC251 the very fault that is to be seen
        async with asyncio.timeout(30):
            while late() == before:  # noqa: ASYNC110 nothing tells of an observation
                await asyncio.sleep(0.01)
        watch.cancel()
