"""The clock endpoint through ASGI: who may tell the time, and what is no time."""

import httpx
import pytest
from fastapi import FastAPI

from ioc.ingest.http_clock import MAX_BODY_BYTES, clock_router
from ioc.ingest.ports import BodyRefused, Unavailable
from ioc.model.times import parse_us
from tests.unit.ingest.fakes import KEYS, City

URL = "/api/v1/ingest/clock"
NOW = '{"now": "2026-11-23T07:00:00+07:00"}'


class Told:
    def __init__(self, error: Exception | None = None) -> None:
        self.times: list[int] = []
        self.error = error

    async def tell(self, now_us: int) -> int:
        if self.error:
            raise self.error
        self.times.append(now_us)
        return 3


async def tell(told: Told, body: str, key: str | None = KEYS["gw-1"]) -> httpx.Response:
    app = FastAPI()
    app.include_router(clock_router(City().service, told))
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ioc", headers=headers) as client:
        return await client.post(URL, content=body)


async def test_a_device_tells_the_time_and_hears_how_many_ticks_it_made() -> None:
    told = Told()
    answer = await tell(told, NOW)
    assert (answer.status_code, answer.json()) == (200, {"now": "2026-11-23T00:00:00.000Z", "ticks": 3})
    assert told.times == [parse_us("2026-11-23T00:00:00Z")]


@pytest.mark.parametrize("key", [None, "unknown"])
async def test_nobody_else_tells_the_time(key: str | None) -> None:
    told = Told()
    assert (await tell(told, NOW, key)).status_code == 401
    assert told.times == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"now": 5}',
        '{"now": "yesterday"}',
        '{"now": "2026-11-23T07:00:00"}',
        NOW[:-1] + ', "x": 1}',
    ],
)
async def test_what_is_no_time_is_refused_with_the_form_expected(body: str) -> None:
    answer = await tell(Told(), body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "now"
    assert 'expected {"now": "2026-11-23T07:00:00Z"}' in answer.json()["detail"]


async def test_the_body_is_bounded_and_errors_of_the_clock_are_told() -> None:
    assert (await tell(Told(), NOW + " " * MAX_BODY_BYTES)).status_code == 413
    refused = await tell(Told(BodyRefused(400, "forward", "it is 08:00 already", "now")), NOW)
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (400, "forward")
    later = await tell(Told(Unavailable("log")), NOW)
    assert (later.status_code, later.headers["retry-after"]) == (503, "1")
