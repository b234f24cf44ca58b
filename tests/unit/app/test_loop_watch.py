"""A loop that was held up is seen as held up."""

import asyncio
import subprocess
import sys
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


_MEASURE = """
import gc, time, warnings
warnings.simplefilter("ignore")
from ioc.app import loop_watch
from ioc.app import run
from ioc.app import web
def collection_s():
    began_s = time.process_time()
    gc.collect()
    return time.process_time() - began_s
gc.collect()
before_s = min(collection_s() for _ in range(3))
loop_watch.keep_what_is_loaded()
print(before_s / max(collection_s() for _ in range(3)))
"""


def test_what_is_loaded_at_the_start_costs_no_later_garbage_collection() -> None:
    # In a process of its own, as it cannot be taken back without touching what others froze.
    done = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 20
