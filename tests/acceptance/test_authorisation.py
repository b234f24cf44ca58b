"""The whole service, asked by ward staff for what belongs to another ward: nothing of it is told."""

import asyncio
import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from benchmarks.service import Service
from ioc.api.access_table import ROUTES, Audience

ROOT = Path(__file__).parents[2]
OWN, FOREIGN = "25747", "25750"
OPEN_TO_ALL_WARDS = {"GET /api/v1/areas", "GET /api/v1/rules"}
"""Boundaries and rules are no ward's: their codes stand there for everybody."""


def alarm(ward: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"event-of-{ward}",
        "source": f"cam-{ward}-01",
        "type": "camera.alarm",
        "time": datetime.now(UTC).isoformat(),
        "data": {"kind": "wrong_way", "confidence": 0.9},
    }


def incidents_of_both(service: Service) -> dict[str, str]:
    """Raise an incident in each ward; return ward → id."""
    keys = json.loads((service.data / "demo" / "keys.json").read_text())
    for ward in (OWN, FOREIGN):
        headers = {"authorization": f"Bearer {keys[f'gw-{ward}']}"}
        answer = httpx.post(
            f"{service.url}/api/v1/ingest/events", json=alarm(ward), headers=headers, timeout=60
        )
        assert answer.json()["accepted"] == 1, answer.text
    supervisor, deadline_s = service.login("supervisor"), time.monotonic() + 60
    while True:
        items = httpx.get(f"{service.url}/api/v1/incidents", headers=supervisor, timeout=60).json()["items"]
        found = {item["ward"]: item["id"] for item in items if item["rule"] == "wrong-way"}
        if found.keys() == {OWN, FOREIGN}:
            return found
        assert time.monotonic() < deadline_s, items
        time.sleep(0.1)


async def feed_text(service: Service, headers: dict[str, str]) -> str:
    """Return everything that the feed tells within its snapshot and first states."""
    url = service.url.replace("http", "ws") + "/api/v1/feed"
    told = []
    async with websockets.connect(url, subprotocols=["ioc.feed.v1"], additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "hello"}))
        while not told or "inc-" not in "".join(told):
            async with asyncio.timeout(60):
                told.append(str(await socket.recv()))
        # Every state is offered again; what follows until the feed is silent belongs to it.
        await socket.send(json.dumps({"type": "view", "bbox": [106.0, 10.5, 107.5, 12.0]}))
        try:
            async with asyncio.timeout(2):
                while True:
                    told.append(str(await socket.recv()))
        except TimeoutError:
            return "".join(told)


@pytest.mark.slow
def test_ward_staff_learn_nothing_of_another_ward_from_any_route_or_feed(service: Service) -> None:
    ids = incidents_of_both(service)
    ward = service.login("ward")
    marks = (ids[FOREIGN], f"event-of-{FOREIGN}", f"cam-{FOREIGN}")
    params = {"incident_id": ids[FOREIGN], "camera_id": f"cam-{FOREIGN}-01", "rule": "wrong-way",
              "receiver_id": "x", "message_id": "1", "shift_id": "1"}  # fmt: skip
    bodies = {
        "commands": {"op": "comment", "expect_rev": 1, "idem": "11111111-aaaa", "args": {"note": "x"}},
        "unmask": {"reason": "xem của phường khác"},
    }
    asked = 0
    with httpx.Client(base_url=service.url, headers=ward, timeout=60) as client:
        paths = client.get("/api/v1/openapi.json").json()["paths"]
        for path, operations in paths.items():
            for method in operations:
                route = f"{method.upper()} {path}"
                if ROUTES[route].audience is not Audience.PERSON:
                    continue
                streams = ["camera", "traffic", "feedback"] if "{stream}" in path else [""]
                for stream in streams:
                    filled = re.sub(r"\{(\w+)\}", lambda m, s=stream: params.get(m[1], s), path)  # type: ignore[misc]
                    answer = client.request(method, filled, json=bodies.get(path.rsplit("/", 1)[-1]))
                    asked += 1
                    assert not any(mark in answer.text for mark in marks), (route, answer.text)
                    if "{incident_id}" in path or "{camera_id}" in path:
                        missing = client.request(
                            method,
                            filled.replace(ids[FOREIGN], "inc-0").replace(f"cam-{FOREIGN}-01", "cam-0"),
                            json=bodies.get(path.rsplit("/", 1)[-1]),
                        )
                        assert (answer.status_code, answer.text) == (404, missing.text), route
                    if route not in OPEN_TO_ALL_WARDS:
                        assert f'"{FOREIGN}"' not in answer.text, route
        assert client.get("/api/v1/incidents", params={"ward": FOREIGN}).status_code == 404
        assert client.get(f"/api/v1/incidents/{ids[OWN]}").status_code == 200
    assert asked > 15
    told = asyncio.run(feed_text(service, ward))
    assert ids[OWN] in told and not any(mark in told for mark in marks)
    assert ids[FOREIGN] in asyncio.run(feed_text(service, service.login("supervisor")))


@pytest.mark.slow
def test_whoever_is_disabled_loses_session_and_open_console_at_once(service: Service) -> None:
    """A socket's own guard asks every minute: closed within seconds means it was told."""
    headers = service.login("ward")

    async def closed_by(command: list[str]) -> int:
        url = service.url.replace("http", "ws") + "/api/v1/feed"
        async with websockets.connect(
            url, subprotocols=["ioc.feed.v1"], additional_headers=headers
        ) as socket:
            await socket.send(json.dumps({"type": "hello"}))
            await socket.recv()
            done = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ioc.app", *command, "--data", str(service.data), cwd=ROOT,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            assert await done.wait() == 0
            async with asyncio.timeout(30):
                await socket.wait_closed()
            assert socket.close_code is not None
            return socket.close_code

    assert asyncio.run(closed_by(["users", "disable", "ward"])) == 4401
    answer = httpx.get(f"{service.url}/api/v1/session", headers=headers, timeout=60)
    assert answer.status_code == 401
