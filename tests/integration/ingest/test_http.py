"""The ingest endpoint through ASGI: statuses, problems, limits."""

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.decoders.cloudevents import CloudEvents
from ioc.ingest.http import ingest_router
from ioc.ingest.limits import IngestLimits
from ioc.model.times import MINUTE_US, format_us
from tests.unit.ingest.fakes import KEYS, NOW_US, City, body, cloud_event, snapshot

URL = "/api/v1/ingest/events"
NDJSON = "application/x-ndjson"


def connect(city: City, device: str | None = "cam-1") -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(ingest_router(city.service))
    headers = {} if device is None else {"Authorization": f"Bearer {KEYS[device]}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ioc", headers=headers)


async def post(city: City, content: Any, content_type: str | None = NDJSON, **headers: str) -> httpx.Response:
    if content_type is not None:
        headers["Content-Type"] = content_type
    async with connect(city) as client:
        return await client.post(
            URL, content=content, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["title"] and problem["detail"]
    return problem


async def test_999_of_1000_survive_a_broken_line() -> None:
    city = City()
    lines = body(*[cloud_event(number) for number in range(1000)]).split(b"\n")
    lines[499] = lines[499][:40]
    response = await post(city, b"\n".join(lines))
    assert response.status_code == 202
    answer = response.json()
    assert (answer["accepted"], answer["duplicate"]) == (999, 0)
    [rejected] = answer["rejected"]
    assert (rejected["line"], rejected["rule"]) == (500, "json")
    assert len(city.log.records) == 999
    assert [row.raw for row in city.quarantine.rows] == [lines[499]]


async def test_a_repeat_is_reported_not_stored() -> None:
    city = City()
    first = await post(city, json.dumps(cloud_event()), "application/json")
    again = await post(city, json.dumps([cloud_event(), cloud_event(2)]), "application/json")
    assert first.json() == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert again.json() == {"accepted": 1, "duplicate": 1, "rejected": []}
    assert city.log.ids == ["e-1", "e-2"]


async def test_a_future_event_is_rejected_with_its_reason_and_quarantined() -> None:
    city = City()
    event = cloud_event(time=format_us(NOW_US + 6 * MINUTE_US))
    response = await post(city, json.dumps(event), "application/json")
    assert response.status_code == 202
    [rejected] = response.json()["rejected"]
    assert {"line": 1, "id": "e-1", "field": "time", "rule": "not_in_future"}.items() <= rejected.items()
    assert rejected["detail"]
    assert city.log.records == []
    assert [row.reason for row in city.quarantine.rows] == ["not_in_future"]


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", "Bearer ", "Basic a2V5", f"Bearer {'x' * 5000}"]
)
async def test_401_without_a_known_key(authorization: str | None) -> None:
    city = City()
    async with connect(city, None) as client:
        headers = {} if authorization is None else {"Authorization": authorization}
        response = await client.post(URL, content=body(cloud_event()), headers=headers)
    assert_problem(response, 401)
    assert response.headers["www-authenticate"] == 'Bearer, Basic realm="ingest"'
    assert city.log.records == []


@pytest.mark.parametrize("content", [b"", b"  \r\n", b"nonsense", b"[1", b"[]", b'"text"', b"\xff\xfe"])
@pytest.mark.parametrize("content_type", ["application/json", NDJSON, None])
async def test_400_when_nothing_is_readable(content: bytes, content_type: str | None) -> None:
    problem = assert_problem(await post(City(), content, content_type), 400)
    assert problem["errors"][0]["rule"] in ("json", "object", "empty", "utf8")
    assert problem["errors"][0]["field"] == "body"


async def test_413_for_a_declared_length() -> None:
    city = City(IngestLimits(max_body_bytes=1000))
    problem = assert_problem(await post(city, b"x" * 1001), 413)
    assert problem["errors"][0]["rule"] == "max_body_bytes"
    assert city.metric("ioc_ingest_refused_total", transport="http", reason="body_bytes") == 1


class SlowDecoder:
    """One that ends once the loop has done something else."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._done = loop, threading.Event()
        self._decoder = CloudEvents()
        self.content_types = self._decoder.content_types

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        self._loop.call_soon_threadsafe(self._done.set)
        assert self._done.wait(20), "the loop stands still"
        return self._decoder.decode(body, context)


async def test_a_large_body_is_decoded_while_the_loop_goes_on() -> None:
    slow = SlowDecoder(asyncio.get_running_loop())
    city = City(IngestLimits(decode_at_once_bytes=100), {"cloudevents": slow})
    assert (await post(city, body(cloud_event(), cloud_event(2)))).json()["accepted"] == 2


async def call_raw(
    city: City, chunks: AsyncIterator[bytes], on_send: Callable[[dict[str, Any]], None]
) -> None:
    """Run one request whose body comes from `chunks`, without a client in between."""
    application = FastAPI()
    application.include_router(ingest_router(city.service))

    async def receive() -> dict[str, Any]:
        try:
            return {"type": "http.request", "body": await anext(chunks), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        on_send(message)

    headers = [(b"authorization", f"Bearer {KEYS['cam-1']}".encode())]
    scope = {"type": "http", "method": "POST", "path": URL, "query_string": b"", "headers": headers}
    await application(scope, receive, send)


@pytest.mark.parametrize("linger_bytes", [0, 500_000])
async def test_413_as_soon_as_a_chunked_body_exceeds_and_then_only_so_much_is_read(linger_bytes: int) -> None:
    sent = 0
    answers: list[tuple[int, dict[str, Any]]] = []

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    city = City(IngestLimits(linger_bytes=linger_bytes))
    await call_raw(city, endless(), lambda message: answers.append((sent, message)))
    sent_before, start = answers[0]
    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]
    assert sent_before <= (1 << 20) + 65_536
    assert sent <= sent_before + linger_bytes + 2 * 65_536
    assert json.loads(answers[1][1]["body"])["errors"][0]["rule"] == "max_body_bytes"
    assert answers[-1][1]["more_body"] is False


async def test_a_sender_that_stalls_after_the_answer_is_not_waited_for_long() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"x" * 2_000
        await asyncio.Event().wait()

    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        await call_raw(City(IngestLimits(max_body_bytes=1_000, linger_s=0.02)), stalled(), messages.append)
    assert messages[0]["status"] == 413


async def test_a_sender_that_leaves_while_sending_is_no_fault() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield b"{"

    messages: list[dict[str, Any]] = []
    await call_raw(City(), leaving(), messages.append)
    assert messages[0]["status"] == 499


async def test_a_real_server_delivers_the_refusal_to_a_client_that_first_sends_everything() -> None:
    app = FastAPI()
    app.include_router(ingest_router(City().service))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(80):
                yield b"x" * 65_536

        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            authorised = {"Authorization": f"Bearer {KEYS['cam-1']}"}
            for content in (chunks(), b"x" * 5_000_000):
                assert_problem(await client.post(URL, content=content, headers=authorised), 413)
            assert_problem(await client.post(URL, content=b"x" * 1_000_000), 401)
            answer = await client.post(URL, content=body(cloud_event()), headers=authorised)
            assert answer.status_code == 202
        server.should_exit = True


async def test_a_gzip_body_is_read() -> None:
    city = City()
    response = await post(city, gzip.compress(body(cloud_event())), Content_Encoding="gzip")
    assert response.json()["accepted"] == 1


async def test_a_gzip_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(b"\n" * 200_000_000, 9)
    assert len(bomb) < 1 << 20
    problem = assert_problem(await post(City(), bomb, Content_Encoding="gzip"), 413)
    assert problem["errors"][0]["rule"] == "max_body_bytes"


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"x" * 100, mtime=0)[:-10], b""])
async def test_broken_gzip_is_400(content: bytes) -> None:
    problem = assert_problem(await post(City(), content, Content_Encoding="gzip"), 400)
    assert problem["errors"][0]["rule"] == "gzip"


async def test_members_of_gzip_follow_one_another() -> None:
    content = gzip.compress(body(cloud_event(1)) + b"\n") + gzip.compress(body(cloud_event(2)))
    assert (await post(City(), content, Content_Encoding="gzip")).json()["accepted"] == 2


async def test_415_names_what_is_read() -> None:
    problem = assert_problem(await post(City(), b"<a/>", "text/xml"), 415)
    assert problem["errors"][0]["field"] == "Content-Type"
    problem = assert_problem(await post(City(), b"x", Content_Encoding="br"), 415)
    assert problem["errors"][0]["field"] == "Content-Encoding"


async def test_413_for_too_many_events() -> None:
    city = City(IngestLimits(max_events_per_request=3))
    problem = assert_problem(await post(city, body(*[cloud_event(n) for n in range(4)])), 413)
    assert problem["errors"][0]["rule"] == "max_events_per_request"
    assert (city.log.records, city.quarantine.rows) == ([], [])


@pytest.mark.parametrize("part", ["log", "quarantine"])
async def test_503_acknowledges_nothing_and_the_resend_is_taken(part: str) -> None:
    city = City()
    content = body(cloud_event(1), cloud_event(2, type="camera.alarms"))
    getattr(city, part).down = True
    response = await post(city, content)
    assert_problem(response, 503)
    assert int(response.headers["retry-after"]) >= 1
    getattr(city, part).down = False
    answer = (await post(city, content)).json()
    assert answer["accepted"] + answer["duplicate"] == 1
    assert city.log.ids == ["e-1"]
    assert len(city.quarantine.rows) == 1


async def test_503_when_too_many_requests_wait() -> None:
    city = City(IngestLimits(max_inflight_requests=1))
    city.log.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(post(city, body(cloud_event(1))))
        async with asyncio.timeout(5):
            while not city.log.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0)
        response = await post(city, body(cloud_event(2)))
        assert_problem(response, 503)
        assert response.headers["retry-after"] == "1"
        city.log.gate.set()
    assert first.result().status_code == 202
    assert city.log.ids == ["e-1"]


async def test_503_when_the_append_takes_too_long() -> None:
    city = City(IngestLimits(append_timeout_s=0.02))
    city.log.gate.clear()
    assert_problem(await post(city, body(cloud_event(1))), 503)
    assert city.metric("ioc_ingest_refused_total", transport="http", reason="timeout") == 1


async def test_429_over_the_rate_and_again_welcome_later() -> None:
    city = City(IngestLimits(max_events_per_request=2, device_burst_events=2, device_events_per_s=1))
    assert (await post(city, body(cloud_event(1), cloud_event(2)))).status_code == 202
    response = await post(city, body(cloud_event(3)))
    assert_problem(response, 429)
    assert response.headers["retry-after"] == "1"
    city.clock.now_us += 1_000_000
    assert (await post(city, body(cloud_event(3)))).status_code == 202


async def test_408_when_the_body_does_not_arrive() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert_problem(await post(City(IngestLimits(read_timeout_s=0.02)), stalled()), 408)


async def test_the_document_lists_every_answer() -> None:
    app = FastAPI()
    app.include_router(ingest_router(City().service))
    operation = app.openapi()["paths"][URL]["post"]
    assert {"202", "400", "401", "403", "408", "413", "415", "429", "503"} <= set(operation["responses"])
    assert NDJSON in operation["requestBody"]["content"]


async def test_a_disabled_device_is_refused_by_name_of_the_rule_and_taken_again_with_the_same_key() -> None:
    city = City()
    city.registry.replace(snapshot(None, "cam-1"))
    async with connect(city) as client:
        for url in (URL, f"/api/v1/ingest/hooks/{KEYS['cam-1']}"):
            answer = await client.post(url, content=body(cloud_event(1)), headers={"Content-Type": NDJSON})
            assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (403, "device_disabled")
    refused = {"transport": "http", "reason": "disabled"}
    assert city.metric("ioc_ingest_refused_total", **refused) == 2
    assert (city.log.records, city.quarantine.rows) == ([], [])
    (health,) = city.service.device_counts.take()
    assert (health.device_id, health.refused, health.refusal) == ("cam-1", 2, "device_disabled")
    city.registry.replace(snapshot())
    assert (await post(city, body(cloud_event(1)))).json()["accepted"] == 1
