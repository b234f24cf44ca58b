"""What the running service writes: which incident came of which events, and nothing about anybody."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.service import Service
from tests.acceptance.test_survival import event, wait_until

PHONE, PLATE, MAIL, CITIZEN = "0912345678", "61A-123.45", "nguyen.van.an@example.vn", "079203001234"
PERSONAL = (PHONE, PLATE, MAIL, CITIZEN)


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Service]:
    """A service that writes all it has to say."""
    service = Service(tmp_path / "var", {"IOC_LOG_LEVEL": "debug"})
    service.start()
    yield service
    service.stop()


def written(service: Service) -> list[dict[str, object]]:
    lines = service.output.read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.slow
def test_one_id_leads_from_the_console_over_the_log_to_the_events_and_personal_data_nowhere(
    telling: Service,
) -> None:
    service, told = telling, " ".join(PERSONAL)
    key = service.device_key("gw-25747")
    alarm = event(1, "cam-25747-02", "camera.alarm", {"kind": "wrong_way", "confidence": 0.9})
    plate = event(2, "cam-25747-02", "camera.plate", {"plate": PLATE, "confidence": 0.9})
    report = event(3, "gw-25747", "feedback.report", {"category": "other", "text": told, "contact": PHONE})
    # Refused: by its data, by its id, as a whole.
    wrong = event(4, "cam-25747-02", "camera.plate", {"plate": 7, "owner": told})
    named = wrong.replace(b'"e4"', f'"{PHONE}"'.encode())
    unknown = event(5, told, "camera.plate", {"plate": PLATE})
    answer = service.ingest(b"\n".join([alarm, plate, report, wrong, named, unknown, told.encode()]), key)
    assert answer.status_code == 202
    assert answer.json()["accepted"] >= 2
    assert len(answer.json()["rejected"]) >= 4

    headers = service.login()
    path = f"{service.url}/api/v1/incidents"
    wait_until(lambda: httpx.get(path, headers=headers).json()["items"], 60)
    (incident,) = httpx.get(path, headers=headers).json()["items"]
    command = {
        "op": "acknowledge",
        "expect_rev": incident["rev"],
        "idem": "command-1",
        "args": {"note": told},
    }
    done = httpx.post(f"{path}/{incident['id']}/commands", json=command, headers=headers)
    assert done.status_code == 200, done.text
    for body in ({"username": PHONE, "password": told}, {"username": MAIL, "password": told}):
        refused = httpx.post(f"{service.url}/api/v1/session", json=body, headers={"X-IOC": "1"})
        assert refused.status_code == 401
    assert httpx.get(f"{path}/{PHONE}", headers=headers).status_code == 404
    figures = httpx.get(f"{service.url}/metrics").text
    assert service.stop() == 0

    lines = [line for line in written(service) if line["event"] == "incident"]
    assert [line["op"] for line in lines if line["incident"] == incident["id"]] == ["raised", "acknowledge"]
    assert lines[0]["events"] == "e1"
    refusals = {line["event_id"] for line in written(service) if line["event"] == "event refused"}
    assert "e4" in refusals
    everything = service.output.read_text("utf-8")
    assert len(everything) > 1000
    for each in PERSONAL:
        assert each not in everything
        assert each not in figures
