"""From a simulated flood to the leader's figures: one happening through every hand that touches it.

Simulated citizens report a flood; residents report the same on the public page; the centre makes one
happening of it; the ward works its procedure and resolves it; a resident is not satisfied; it rises again;
the leader sees all of that without anybody having reported it; and the audit chain is intact.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest

from benchmarks.service import Service, running_service

pytestmark = pytest.mark.slow
WARD = "25747"
LIMITS = ("FREE_PER_HOUR", "MOST_PER_HOUR", "LOOKS_PER_MINUTE")
_numbers = count()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service({f"IOC_CITIZENS__{name}": "1000" for name in LIMITS}) as service:
        yield service


def client(service: Service, user: str | None) -> httpx.Client:
    headers = service.login(user) if user else {"X-IOC": "1"}
    return httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=60)


def wait_for(what: Callable[[], Any]) -> Any:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def middle_of_ward(desk: httpx.Client) -> tuple[float, float]:
    """Return where a camera of the ward stands."""
    devices = desk.get("/devices").json()["items"]
    found = next(each for each in devices if each["ward"] == WARD and each["kind"] == "camera")
    return found["lon"], found["lat"]


def simulated_flood(service: Service, lon: float, lat: float) -> None:
    """Let the simulated portal tell of a flood twice, as its citizens do."""
    for text in ("Nước ngập nửa bánh xe", "Đường thành sông rồi"):
        event = {
            "specversion": "1.0", "id": f"flood-{next(_numbers)}", "source": "portal-citizen",
            "type": "feedback.report", "time": datetime.now(UTC).isoformat(), "lon": lon, "lat": lat,
            "data": {"category": "flood", "text": text},
        }  # fmt: skip
        answer = service.ingest(json.dumps(event).encode(), service.device_key("portal-citizen"))
        assert answer.json()["accepted"] == 1, answer.text


def incident(desk: httpx.Client, rule: str, key: str) -> dict[str, Any]:
    def look() -> Any:
        items = desk.get("/incidents", params={"state": "all", "ward": WARD, "limit": 500}).json()["items"]
        return next((item for item in items if (item["rule"], item["key"]) == (rule, key)), None)

    return wait_for(look)  # type: ignore[no-any-return]


def act(desk: httpx.Client, incident_id: str, op: str, **arguments: str) -> dict[str, Any]:
    present = desk.get(f"/incidents/{incident_id}").json()
    body = {"op": op, "expect_rev": present["rev"], "idem": f"story-{next(_numbers):06}", "args": arguments}
    answer = desk.post(f"/incidents/{incident_id}/commands", json=body)
    assert answer.status_code == 200, (op, answer.text)
    found: dict[str, Any] = answer.json()
    return found


def work_procedure(desk: httpx.Client, incident_id: str) -> None:
    """Do every required step that is open, as its kind asks, until none is."""
    while steps := desk.get(f"/incidents/{incident_id}").json()["checklist"]["open"]:
        step = steps[0]
        arguments = {"step": step["id"]}
        if step["answers"]:
            arguments["answer"] = step["answers"][0]
        if step["kind"] == "note":
            arguments["note"] = "đã đo, nước sâu 30 cm"
        act(desk, incident_id, "step", **arguments)


def resolve(ward: httpx.Client, incident_id: str, note: str) -> None:
    """Work on it as the ward does; what was opened again has its procedure before it again."""
    work_procedure(ward, incident_id)
    act(ward, incident_id, "start")
    act(ward, incident_id, "resolve", note=note)


def tell(public: httpx.Client, text: str, lon: float, lat: float) -> dict[str, Any]:
    body = {"service": "flood", "text": text, "lon": lon, "lat": lat, "idem": f"story-{next(_numbers):012}"}
    answer = public.post("/public/reports", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def value(leader: httpx.Client, figure: str) -> float | None:
    answer = leader.get("/kpis", params={"period": "today", "ward": WARD, "figure": figure}).json()
    (whole,) = answer["items"]
    found: float | None = whole["figures"][0]["value"]
    return found


def test_a_flood_from_the_first_report_to_the_leaders_figures(service: Service) -> None:
    with (
        client(service, "supervisor") as centre,
        client(service, "ward") as ward,
        client(service, "leader") as leader,
        client(service, None) as public,
    ):
        lon, lat = middle_of_ward(centre)
        simulated_flood(service, lon, lat)
        flood = incident(centre, "flood-report", WARD)
        assert flood["severity"] == "high" and flood["ward"] == WARD

        first = tell(public, "Ngập sâu trước nhà, nước tràn vào sân", lon, lat)
        second = tell(public, "ngap sau truoc nha nuoc tran vao san", lon, lat)
        assert second["joined"], "one flood, told without diacritics"
        told = incident(centre, "citizen-report", f"citizens|{first['id']}")
        assert told["category"] == "citizen.flood"
        act(centre, flood["id"], "acknowledge")
        act(centre, told["id"], "merge", into=flood["id"])

        resolve(ward, flood["id"], "đã khơi thông cống")
        for report in (first, second):
            followed = public.get(f"/public/reports/{report['code']}").json()
            assert (followed["status"], followed["may_vote"]) == ("done", True)

        public.post(f"/public/reports/{first['code']}/vote", json={"satisfied": True})
        unhappy = {"satisfied": False, "text": "mưa xuống lại ngập"}
        voted = public.post(f"/public/reports/{second['code']}/vote", json=unhappy).json()
        assert voted["status"] == "reopened"
        assert ward.get(f"/incidents/{flood['id']}").json()["handling"] == "new"

        resolve(ward, flood["id"], "đã nạo vét hố ga")
        third = tell(public, "Ngập sâu trước nhà, nước lại tràn vào sân", lon, lat)
        assert third["joined"]
        wait_for(lambda: ward.get(f"/incidents/{flood['id']}").json()["handling"] == "new")
        resolve(ward, flood["id"], "đã thay cống lớn hơn")

        ops = [row["op"] for row in centre.get(f"/incidents/{flood['id']}/history").json()["items"]]
        assert (ops.count("resolve"), ops.count("reopen")) == (3, 2)
        wait_for(lambda: value(leader, "reopened_share") is not None)
        wait_for(lambda: value(leader, "satisfaction") == 0.5)
        assert (value(leader, "reopened_share") or 0) > 0
        board = wait_for(lambda: public.get("/public/board").json())
        assert board["votes"] == 2

    verified = subprocess.run(
        [sys.executable, "-m", "ioc.app", "audit", "verify", "--json", "--data", str(service.data)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
