"""How late the event loop is: a loop that is held up answers nobody, and Kafka takes its partitions away."""

import asyncio
import gc
from typing import Final

from prometheus_client import Histogram

INTERVAL_S: Final = 0.5
_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_lag = Histogram(
    "ioc_loop_lag_seconds",
    "How much later than asked for the event loop woke a sleeper, measured twice a second",
    buckets=_BUCKETS_S,
)


async def watch_loop() -> None:
    """Measure until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        _lag.observe(max(0.0, loop.time() - due_s))


def keep_what_is_loaded() -> None:
    """Leave everything loaded so far, which stays until the end, out of every later garbage collection.

    Called once, when a process has loaded what it needs: a full collection of that holds the loop for 70 ms.
    """
    gc.collect()
    gc.freeze()
