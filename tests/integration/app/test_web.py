"""Whose address a request has: reverse proxies are believed only where the settings list them."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request

from ioc.app.settings.sections import HttpSettings
from ioc.app.web import WebServer


async def address_seen(trusted: tuple[str, ...]) -> str:
    app = FastAPI()

    @app.get("/")
    async def address(request: Request) -> str:
        assert request.client is not None
        return request.client.host

    server = WebServer(app, HttpSettings(port=0, trusted_proxies=trusted))
    port = server._socket.getsockname()[1]
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run_service())
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/", headers={"X-Forwarded-For": "203.0.113.9"})
        server.stop()
    return str(answer.json())


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [((), "127.0.0.1"), (("10.0.0.0/8",), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9")],
)
async def test_a_forwarded_address_counts_only_from_a_listed_proxy(
    trusted: tuple[str, ...], seen: str
) -> None:
    assert await address_seen(trusted) == seen
