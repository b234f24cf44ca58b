"""Every command line of compose.yaml but Grafana's, run as it stands: the set works and is watched."""

import json
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.broker import BrokerUnavailable, require_archives
from benchmarks.workload import Workload
from tests.native_compose import ROOT, SERVICES, NativeCompose, native_compose, what_is_missing
from tests.unit.deploy.test_dashboards import RULES, SERIES, queries

PASSES_S = 180.0


def secrets_file(folder: Path) -> dict[str, str]:
    """Return what `ioc init --env` writes."""
    path = folder / ".env"
    subprocess.run(
        [sys.executable, "-m", "ioc.app", "init", "--env", str(path)],
        check=True, cwd=ROOT, capture_output=True,
    )  # fmt: skip
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def stack() -> Iterator[NativeCompose]:
    """The services; each test starts those it needs."""
    if reason := what_is_missing("mosquitto", "mosquitto_sub", "prometheus", "wget"):
        pytest.skip(reason)
    try:
        require_archives()
    except BrokerUnavailable as error:
        pytest.skip(f"no Kafka: {error}")
    # Database and broker do not run as root: they must be able to reach their volumes.
    with tempfile.TemporaryDirectory(prefix="ioc-compose-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with native_compose(folder, secrets_file(folder)) as stack:
            yield stack


def until(found: Callable[[], Any], stack: NativeCompose, what: str) -> Any:
    """Return the first answer that is not empty."""
    deadline_s = time.monotonic() + PASSES_S
    while not (answer := found()):
        assert time.monotonic() < deadline_s, f"{what}: {stack.said('ingest')}{stack.said('rules')}"
        time.sleep(0.2)
    return answer


def alarm(source: str) -> bytes:
    """Return an alarm that opens an incident at once."""
    return Workload([source], [source]).probe()[1]


class Client:
    """The administrator at the API, by the address a browser would use."""

    def __init__(self, stack: NativeCompose, password: str) -> None:
        self._url = f"http://{stack.addresses['api']}:8000"
        login = {"username": "admin", "password": password}
        answer = httpx.post(f"{self._url}/api/v1/session", json=login, headers={"X-IOC": "1"}, timeout=30)
        answer.raise_for_status()
        assert "Secure" in answer.headers["set-cookie"]
        # TLS ends before the service; here nothing stands there.
        cookie = answer.headers["set-cookie"].partition(";")[0]
        self._headers = {"cookie": cookie, "X-IOC": "1", "origin": self._url}

    def sources(self) -> set[str]:
        """Return what has an open incident."""
        answer = httpx.get(f"{self._url}/api/v1/incidents", headers=self._headers, timeout=30)
        return {item["source"] for item in answer.raise_for_status().json()["items"]}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_set_comes_up_and_what_is_sent_becomes_incidents_that_prometheus_sees(
    stack: NativeCompose,
) -> None:
    for name in ("prometheus", "ingest", "store", "rules", "api"):
        stack.start(name)
    stack.run("api", "areas", "import", "demo/areas.geojson")
    stack.run("api", "devices", "import", "demo/devices.geojson")
    key = json.loads(stack.run("api", "devices", "add", "gw-all", "--covers", "*", "--json"))["key"]
    devices = json.loads((ROOT / "demo" / "devices.geojson").read_text("utf-8"))["features"]
    by_http, by_mqtt = [
        each["properties"]["id"] for each in devices if each["properties"]["kind"] == "camera"
    ][:2]

    def posted() -> bool:
        answer = httpx.post(
            f"http://{stack.addresses['ingest']}:8000/api/v1/ingest/events",
            content=alarm(by_http),
            headers={"authorization": f"Bearer {key}", "content-type": "application/x-ndjson"},
            timeout=30,
        )
        assert answer.status_code in (202, 401), answer.text  # 401 until the new key is known
        return answer.status_code == 202

    until(posted, stack, "not taken by HTTP")
    publish(stack, by_mqtt, alarm(by_mqtt))
    client = Client(stack, stack.environment["IOC_ADMIN_PASSWORD"])
    until(lambda: {by_http, by_mqtt} <= client.sources(), stack, "no incident")
    look_by_prometheus(stack)
    codes = stack.stop()
    assert SERVICES.keys() - codes.keys() == {"grafana"}, "there is no such program in Debian"
    ours = {name: code for name, code in codes.items() if SERVICES[name]["image"].startswith("ioc:")}
    assert ours == {"init": 0, "ingest": 0, "store": 0, "rules": 0, "api": 0}


def publish(stack: NativeCompose, device: str, body: bytes) -> None:
    """Give a device its login at Mosquitto as docs/operations.md says, and send as it does."""
    password = secrets.token_hex(8)
    stack.execute("mosquitto", "mosquitto_passwd", "-b", "/mosquitto/data/passwords", device, password)
    stack.signal("mosquitto", signal.SIGHUP)
    send = [
        "mosquitto_pub", "-h", stack.addresses["mosquitto"], "-p", "1884", "-u", device, "-P", password,
        "-t", f"ioc/v1/{device}/events", "-q", "1", "-m", body.decode(),
    ]  # fmt: skip
    # Mosquitto reads its passwords again a moment after it is told to.
    until(lambda: subprocess.run(send, capture_output=True, check=False).returncode == 0, stack, "no login")


def look_by_prometheus(stack: NativeCompose) -> None:
    """Every target is up, every figure asked for is there, every query and alert is answered."""
    url = f"http://{stack.addresses['prometheus']}:9090/api/v1"

    def ask(path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{url}/{path}", params=parameters, timeout=30)
        assert answer.status_code == 200, (parameters, answer.text)
        return answer.json()["data"]

    def up() -> bool:
        found = ask("targets")["activeTargets"]
        return len(found) == 5 and all(target["health"] == "up" for target in found)

    until(up, stack, "a target is down")
    roles = {row["metric"]["role"] for row in ask("query", query='up{job="ioc"} == 1')["result"]}
    assert roles == {"ingest", "store", "rules", "api"}
    wanted = {SERIES[name].name for name in SERIES if any(name in query for query in queries())}
    assert wanted <= ask("metadata").keys()
    for query in queries():
        ask("query", query=query)

    def evaluated() -> bool:
        found = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        return len(found) == len(RULES) and all(rule["health"] == "ok" for rule in found)

    until(evaluated, stack, "alerts are not evaluated")
