"""Real boundaries and a real recording, from the shared samples."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from benchmarks.service import Service

ROOT = Path(__file__).parents[2]


def test_the_real_wards_replace_ours_in_a_running_service(service: Service, shared_data: Path) -> None:
    file = shared_data / "wards-2025" / "wards.geojson"
    done = subprocess.run(
        [sys.executable, "-m", "ioc.app", "areas", "import", str(file), "--json",
         "--data", str(service.data)],
        check=True, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    assert json.loads(done.stdout)["imported"] == {"ward": 36}
    headers = service.login()
    deadline_s = time.monotonic() + 15
    while True:
        features = httpx.get(f"{service.url}/api/v1/areas?kind=ward", headers=headers).json()["features"]
        if not any(feature["properties"]["illustrative"] for feature in features):
            break
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    assert len(features) == 36
    assert sum(len(json.dumps(feature["geometry"])) for feature in features) > 1_000_000


@pytest.mark.slow
def test_a_real_recording_ends_as_an_incident_on_the_map(service: Service, shared_data: Path) -> None:
    """The recording is 14.6 s of queueing cars: played in a loop, its standing cars are a stopped vehicle."""
    recording = shared_data / "camera-opendatacam" / "alexeydetections30FPS.json"
    camera = "cam-25942-01"
    player = subprocess.Popen(
        [sys.executable, "-m", "simulators", "replay", str(recording), "--source", camera, "--loop",
         "--keys", str(service.data / "demo" / "keys.json"), "--url", service.url],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    headers = service.login()
    try:
        deadline_s = time.monotonic() + 75
        found: list[dict[str, object]] = []
        while not found:
            assert player.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.5)
            items = httpx.get(f"{service.url}/api/v1/incidents", headers=headers).json()["items"]
            found = [item for item in items if item["source"] == camera]
    finally:
        player.terminate()
        player.wait(10)
    assert found[0]["rule"] == "stopped-vehicle"
    assert found[0]["lon"] is not None
