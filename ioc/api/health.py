"""Is the process alive, is it ready, and its figures."""

import asyncio
import hmac
import logging
import time
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from ioc.api.answers import documented, json_answer
from ioc.api.ports import Check, ReadinessCheck
from ioc.api.problems import Problem, install

CHECK_TIMEOUT_S: Final = 3.0
MAX_LAG_S: Final = 2.0
_TURNS: Final = 5
_log = logging.getLogger(__name__)


class MetricsDoor(msgspec.Struct, frozen=True, kw_only=True):
    """Who may read `/metrics`: figures tell of rules, load and faults, which is nobody else's business."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    token: str = ""
    """Empty: none opens it."""

    def admits(self, request: Request) -> bool:
        """Return whether `request` comes from one of our networks or carries the token."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if self.token and scheme.lower() == "bearer":
            return hmac.compare_digest(given.strip().encode(), self.token.encode())
        # A reverse proxy, often at our own address, asks for everybody behind it.
        forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
        if request.client is None or forwarded:
            return False
        try:
            address = ip_address(request.client.host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


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


NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own would write whole addresses and the input of refused requests, which hold citizens' codes and
words; `ioc/app/tracing.py` writes what may be written.
"""


def health_app(
    checks: Mapping[str, ReadinessCheck], registry: CollectorRegistry, door: MetricsDoor
) -> FastAPI:
    """Return these routes alone, for roles that serve nothing else."""
    app = FastAPI(telemetry=NO_TELEMETRY, title="IOC", openapi_url=None, docs_url=None, redoc_url=None)
    install(app)
    app.include_router(health_router(checks, registry, door))
    return app


def health_router(
    checks: Mapping[str, ReadinessCheck], registry: CollectorRegistry, door: MetricsDoor
) -> APIRouter:
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
    async def metrics(request: Request) -> Response:
        """Return the figures in Prometheus' text format, to our own networks or for the token."""
        if not door.admits(request):
            raise Problem(
                403, "Figures are for our own networks; others need the token of http.metrics_token."
            )
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
