"""Is the process alive, is it ready, and its figures."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final

import msgspec
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from ioc.api.answers import documented, json_answer
from ioc.api.ports import Check, ReadinessCheck

CHECK_TIMEOUT_S: Final = 3.0
MAX_LAG_S: Final = 2.0
_TURNS: Final = 5
_log = logging.getLogger(__name__)


class Alive(msgspec.Struct, frozen=True):
    """Whether the event loop turns, and how long it takes to."""

    ok: bool
    lag_ms: float


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests may be sent here, and what stands in the way."""

    ready: bool
    checks: dict[str, Check]


async def loop_lag_s() -> float:
    """Return how late the event loop is: the longest of a few turns.

    A loop that does not turn at all answers nothing, which is the strongest sign.
    """
    longest = 0.0
    for _ in range(_TURNS):
        began = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - began)
    return longest


async def _run_check(check: ReadinessCheck) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return Check(False, f"no answer within {CHECK_TIMEOUT_S:g} s")
    except Exception as error:  # a check that fails in its own way is a failed check
        _log.warning("readiness check failed", exc_info=error)
        return Check(False, type(error).__name__)


def health_router(checks: Mapping[str, ReadinessCheck], registry: CollectorRegistry) -> APIRouter:
    """Return the routes that supervisors and Prometheus ask; they need no session."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", **documented(Alive, text="The process is alive."))
    async def healthz() -> Response:
        """Return 200 while the event loop turns in time."""
        lag_s = await loop_lag_s()
        ok = lag_s <= MAX_LAG_S
        return json_answer(Alive(ok, round(lag_s * 1000, 3)), 200 if ok else 503)

    @router.get("/readyz", **documented(Readiness, text="Ready."))
    async def readyz() -> Response:
        """Return 200 when every part can do its work, 503 with the reasons otherwise."""
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(_run_check(check)) for name, check in checks.items()}
        results = {name: task.result() for name, task in tasks.items()}
        ready = all(result.ok for result in results.values())
        return json_answer(Readiness(ready, results), 200 if ready else 503)

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return the figures in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
