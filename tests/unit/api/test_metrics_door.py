"""Who may read `/metrics`."""

from ipaddress import ip_network

import httpx
import pytest
from prometheus_client import CollectorRegistry

from ioc.api.health import MetricsDoor, health_app

OURS = MetricsDoor(networks=(ip_network("127.0.0.0/8"), ip_network("fd00::/8")), token="s3cret")


async def answer(door: MetricsDoor, address: str, **headers: str) -> int:
    app = health_app({}, CollectorRegistry(), door)
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://ioc.test") as client:
        return (await client.get("/metrics", headers=headers)).status_code


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("fd00::5", 200), ("10.0.0.1", 403), ("::1", 403), ("testclient", 403)],
)
async def test_only_listed_networks_read_without_a_token(address: str, status: int) -> None:
    assert await answer(OURS, address) == status


@pytest.mark.parametrize(
    ("header", "status"),
    [("Bearer s3cret", 200), ("bearer  s3cret", 200), ("Bearer wrong", 403), ("Basic s3cret", 403)],
)
async def test_the_token_opens_from_anywhere_and_nothing_else_does(header: str, status: int) -> None:
    assert await answer(OURS, "203.0.113.9", authorization=header) == status


async def test_an_empty_token_opens_nothing() -> None:
    assert await answer(MetricsDoor(), "203.0.113.9", authorization="Bearer ") == 403


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
async def test_a_proxy_at_our_own_address_opens_for_nobody_behind_it(header: str) -> None:
    assert await answer(OURS, "127.0.0.1", **{header: "203.0.113.9"}) == 403


async def test_a_wrong_token_from_our_own_network_is_refused() -> None:
    assert await answer(OURS, "127.0.0.1", authorization="Bearer wrong") == 403


async def test_health_is_for_everybody() -> None:
    app = health_app({}, CollectorRegistry(), MetricsDoor())
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://ioc.test") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"ready": True, "checks": {}}
