"""Power cuts, wrong input and orderly stops, against the whole service as a process."""

import json
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.service import Service


def event(number: int, source: str, kind: str, data: dict[str, object], at: datetime | None = None) -> bytes:
    moment = (at or datetime.now(UTC)).isoformat()
    body = {"specversion": "1.0", "id": f"e{number}", "source": source, "type": kind, "time": moment}
    return json.dumps(body | {"data": data}).encode()


def count(number: int, source: str = "cam-25747-01") -> bytes:
    return event(number, source, "camera.count", {"people": number % 50, "vehicles": 1})


def stored_ids(service: Service) -> Counter[str]:
    """Return how often each event id stands in the history of cameras."""
    found: Counter[str] = Counter()
    headers, cursor = service.login("engineer"), None
    while True:
        query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = httpx.get(f"{service.url}/api/v1/history/camera", params=query, headers=headers).json()
        found.update(item["id"] for item in page["items"])
        cursor = page["next"]
        if cursor is None:
            return found


def wait_until(met: object, seconds: float = 20.0) -> None:
    """Wait until the callable `met` returns something true."""
    assert callable(met)
    deadline_s = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline_s, f"not met within {seconds} s"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_power_cut_loses_nothing_acknowledged_and_doubles_nothing(service: Service) -> None:
    key = service.device_key("gw-25747")
    acknowledged: set[str] = set()
    sent: list[tuple[list[str], bytes]] = []
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.is_set():
            ids = [f"e{n}" for n in range(number, number + 20)]
            body = b"\n".join(count(n) for n in range(number, number + 20))
            sent.append((ids, body))
            number += 20
            try:
                if service.ingest(body, key).status_code == 202:
                    acknowledged.update(ids)
            except httpx.HTTPError:
                time.sleep(0.05)

    for _ in range(3):
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        goal = len(acknowledged) + 400
        wait_until(lambda goal=goal: len(acknowledged) >= goal)
        service.kill()
        stop.set()
        sender.join()
        stop.clear()
        service.start()
        # The sender did not see an answer to its last bodies: it sends them again, and some that it did.
        for ids, body in sent[-5:]:
            assert service.ingest(body, key).status_code == 202
            acknowledged.update(ids)
        sent.clear()

    wait_until(lambda: len(stored_ids(service)) >= len(acknowledged))
    found = stored_ids(service)
    assert acknowledged <= set(found)
    assert [event_id for event_id, times in found.items() if times > 1] == []


@pytest.mark.slow
def test_an_incident_survives_a_power_cut_once_with_its_handling(service: Service) -> None:
    key = service.device_key("gw-25747")
    alarm = event(1, "cam-25747-02", "camera.alarm", {"kind": "wrong_way", "confidence": 0.9})
    assert service.ingest(alarm, key).json()["accepted"] == 1
    headers = service.login()

    def open_incidents() -> list[dict[str, object]]:
        items: list[dict[str, object]] = httpx.get(f"{service.url}/api/v1/incidents", headers=headers).json()[
            "items"
        ]
        return [item for item in items if item["rule"] == "wrong-way"]

    wait_until(open_incidents)
    (incident,) = open_incidents()
    command = {"op": "acknowledge", "expect_rev": incident["rev"], "idem": "command-1", "args": {}}
    path = f"{service.url}/api/v1/incidents/{incident['id']}/commands"
    assert httpx.post(path, json=command, headers=headers).status_code == 200
    service.kill()
    service.start()
    assert service.ingest(alarm, key).json()["duplicate"] == 1
    time.sleep(1.5)  # longer than a commit of quiet state: a doubled effect would be there by now
    (after,) = open_incidents()
    assert (after["id"], after["handling"]) == (incident["id"], "acknowledged")
    repeated = httpx.post(path, json=command, headers=headers)
    assert repeated.status_code == 200
    assert repeated.json()["rev"] == after["rev"], "the same command again is answered, not carried out"


def test_one_bad_line_of_a_thousand_costs_one_event(service: Service) -> None:
    lines = [count(n) for n in range(1000)]
    lines[499] = b'{"specversion":"1.0","id":"bad"'
    answer = service.ingest(b"\n".join(lines), service.device_key("gw-25747"))
    outcome = answer.json()
    assert (answer.status_code, outcome["accepted"], len(outcome["rejected"])) == (202, 999, 1)
    assert outcome["rejected"][0]["line"] == 500
    wait_until(lambda: len(stored_ids(service)) == 999)
    quarantine = httpx.get(f"{service.url}/api/v1/quarantine", headers=service.login("engineer")).json()
    assert [item["raw"] for item in quarantine["items"]] == [lines[499].decode()]


def test_ctrl_c_ends_with_code_zero_within_ten_seconds(service: Service) -> None:
    key = service.device_key("gw-25747")
    service.ingest(b"\n".join(count(n) for n in range(500)), key)
    started_s = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - started_s < 10
    service.start()
    wait_until(lambda: len(stored_ids(service)) == 500)


def test_a_bad_rule_file_stops_the_start_and_names_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "bad.yaml").write_text("rule: x\nstream: trafic\n", "utf-8")
    service = Service(tmp_path / "var", {"IOC_RULES__FOLDER": str(folder)})
    with pytest.raises(RuntimeError) as caught:
        service.start()
    assert "bad.yaml:2:" in str(caught.value)
    assert "traffic" in str(caught.value), "the suggestion"


def test_a_second_start_on_the_same_data_is_refused(service: Service) -> None:
    with pytest.raises(RuntimeError, match="is `ioc up` running already"):
        Service(service.data).start()


@pytest.mark.slow
def test_a_database_that_dies_is_started_again_and_nothing_acknowledged_is_lost(service: Service) -> None:
    key = service.device_key("gw-25747")
    assert service.ingest(b"\n".join(count(n) for n in range(100)), key).json()["accepted"] == 100
    postmaster = psutil.Process(service.postmaster())
    for process in [postmaster, *postmaster.children()]:
        with suppress(psutil.NoSuchProcess):  # the others end as they notice
            process.kill()

    def accepted() -> bool:
        # No role may end with its database: an answer, even "later", comes all the time.
        return service.ingest(count(100), key).status_code == 202

    # The server reads its log again first, which takes as long as the disk likes.
    wait_until(accepted, 120)
    wait_until(lambda: httpx.get(f"{service.url}/readyz", timeout=30).status_code == 200, 120)
    wait_until(lambda: len(stored_ids(service)) == 101)
