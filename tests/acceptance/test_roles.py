"""The roles as separate processes on one data folder, set up by hand as an operator would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from benchmarks.ports import free_port

ROOT = Path(__file__).parents[2]


class Roles:
    """`ioc run …` processes and the commands that prepare their data."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.ports = {"ingest": free_port(), "api": free_port()}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, *arguments: str) -> str:
        """Run `ioc …` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ioc.app", *arguments, "--data", str(self.data)],
            capture_output=True,
            check=True,
            cwd=ROOT,
        )
        return done.stdout.decode()

    def start(self, role: str) -> None:
        """Start a role's process."""
        extra = ["--port", str(self.ports[role])] if role in self.ports else []
        extra += ["--mqtt-port", str(free_port())] if role == "ingest" else []
        self.processes[role] = subprocess.Popen(
            [sys.executable, "-m", "ioc.app", "run", role, *extra, "--data", str(self.data)],
            cwd=ROOT,
            env=os.environ | {"IOC_LOG_LEVEL": "warning"},
        )

    def url(self, role: str) -> str:
        """Return where a role serves HTTP."""
        return f"http://127.0.0.1:{self.ports[role]}"

    def wait_ready(self, role: str) -> None:
        """Wait until a role's `/readyz` says ready."""
        deadline_s = time.monotonic() + 40
        while time.monotonic() < deadline_s:
            assert self.processes[role].poll() is None, f"{role} ended"
            try:
                if httpx.get(self.url(role) + "/readyz").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{role} was not ready")


@pytest.fixture
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    """Roles on a folder with a short path, ended afterwards, the database last."""
    folder = tmp_path_factory.mktemp("r")
    for parent in (folder, *folder.parents):
        if parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    found = Roles(folder / "var")
    yield found
    for role in reversed(list(found.processes)):
        process = found.processes[role]
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0, f"{role} did not end in order"


@pytest.mark.slow
def test_each_role_runs_as_a_process_of_its_own_and_an_alarm_passes_through_all(roles: Roles) -> None:
    roles.start("database")
    imported = json.loads(roles.command("areas", "import", "demo/areas.geojson", "--json"))
    assert imported["imported"]["ward"] == 36
    roles.command("devices", "import", "demo/devices.geojson")
    key = json.loads(roles.command("devices", "key", "gw-25747", "--json"))["key"]
    password = roles.command("users", "add", "an", "--role", "operator").split()[-1]
    for role in ("ingest", "store", "rules", "api"):
        roles.start(role)
    roles.wait_ready("ingest")
    roles.wait_ready("api")

    alarm = {
        "specversion": "1.0",
        "id": "a1",
        "source": "cam-25747-01",
        "type": "camera.alarm",
        "time": datetime.now(UTC).isoformat(),
        "data": {"kind": "wrong_way", "confidence": 0.9},
    }
    path = roles.url("ingest") + "/api/v1/ingest/events"
    answer = httpx.post(path, json=alarm, headers={"authorization": f"Bearer {key}"})
    assert answer.json()["accepted"] == 1

    with httpx.Client(base_url=roles.url("api"), headers={"X-IOC": "1"}) as operator:
        login = {"username": "an", "password": password}
        assert operator.post("/api/v1/session", json=login).status_code == 200
        deadline_s = time.monotonic() + 20
        rules: list[str] = []
        while "wrong-way" not in rules:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
            rules = [item["rule"] for item in operator.get("/api/v1/incidents").json()["items"]]
        events: list[str] = []
        while events != ["a1"]:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
            events = [item["id"] for item in operator.get("/api/v1/history/camera").json()["items"]]
