"""The whole service as a benchmark or an acceptance test sees it: a process, a port, a data folder."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from benchmarks.machine import family
from benchmarks.ports import free_port

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
GONE_TIMEOUT_S = 10.0


class Service:
    """`ioc up --demo` without its simulators, on `data`; may be killed and started again."""

    def __init__(self, data: Path, environment: dict[str, str] | None = None) -> None:
        self.data = data
        self.port = free_port()
        self.mqtt_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = data.parent / "service.log"
        self._environment = os.environ | {"IOC_LOG_LEVEL": "warning"} | (environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until ready.

        Raises:
            RuntimeError: it ended or was not ready in time; the message holds what it printed.
        """
        arguments = ["--data", self.data, "--port", self.port, "--mqtt-port", self.mqtt_port]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "ioc.app",
                    "up",
                    "--demo",
                    "--no-simulators",
                    *map(str, arguments),
                ],
                stdout=output,
                stderr=output,
                env=self._environment,
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise RuntimeError(f"ended with code {self._process.returncode}:\n{self.output.read_text()}")
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"not ready after {START_TIMEOUT_S:.0f} s:\n{self.output.read_text()}")

    def kill(self) -> None:
        """End the whole service as a power cut would, the database included, and wait until it is gone."""
        processes = self.processes()
        for process in processes:  # parents first: nobody begins anew what has just died
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert self._process
        self._process.wait()
        self._process = None
        psutil.wait_procs(processes, GONE_TIMEOUT_S)

    def stop(self) -> int:
        """Ask it to stop as Ctrl-C does and return its exit code; a second call does nothing."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._process = None
        return code

    def processes(self) -> list[psutil.Process]:
        """Return the process tree, the embedded database's included."""
        assert self._process
        found = family(self._process.pid)
        known = {process.pid for process in found}
        return found + [process for process in family(self.postmaster()) if process.pid not in known]

    def postmaster(self) -> int:
        """Return the process id of the embedded database's server."""
        return int((self.data / "pg" / "postmaster.pid").read_text().splitlines()[0])

    def login(self, user: str = "operator") -> dict[str, str]:
        """Log in as a demo user and return the headers of an authenticated request."""
        password = json.loads((self.data / "demo" / "logins.json").read_text())[user]
        answer = httpx.post(
            f"{self.url}/api/v1/session",
            json={"username": user, "password": password},
            headers={"X-IOC": "1"},
        )
        answer.raise_for_status()
        return {"cookie": f"ioc_session={answer.cookies['ioc_session']}", "X-IOC": "1", "origin": self.url}

    def device_key(self, device_id: str) -> str:
        """Return the key that the demo issued to a device."""
        key: str = json.loads((self.data / "demo" / "keys.json").read_text())[device_id]
        return key

    def ioc(self, *arguments: str) -> str:
        """Run a command on this service's data and return what it prints."""
        command = [sys.executable, "-m", "ioc.app", *arguments, "--data", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def add_gateway(self) -> str:
        """Register a gateway that may send for every device and return its key, once it is in force."""
        key: str = json.loads(self.ioc("devices", "add", "gw-all", "--covers", "*", "--json"))["key"]
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            if self.ingest(b"[]", key).status_code != 401:
                return key
            time.sleep(0.1)
        raise RuntimeError("the new key was not accepted within 10 s")

    def ingest(self, body: bytes, key: str) -> httpx.Response:
        """Post NDJSON events."""
        headers = {"authorization": f"Bearer {key}", "content-type": "application/x-ndjson"}
        return httpx.post(f"{self.url}/api/v1/ingest/events", content=body, headers=headers, timeout=30)

    def devices(self, kind: str) -> list[str]:
        """Return the ids of the registered devices of `kind`."""
        answer = httpx.get(f"{self.url}/api/v1/devices", headers=self.login())
        return [device["id"] for device in answer.json()["items"] if device["kind"] == kind]

    def metrics(self) -> dict[str, float]:
        """Return every sample of `/metrics`, summed over labels."""
        totals: dict[str, float] = {}
        for line in httpx.get(f"{self.url}/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                bare = name.partition("{")[0]
                totals[bare] = totals.get(bare, 0.0) + float(value)
        return totals


def kafka_environment(address: str, partitions: int = 4) -> dict[str, str]:
    """Return the settings of a log over one broker at `address`, under names not used before."""
    return {
        "IOC_LOG__KIND": "kafka",
        "IOC_LOG__BOOTSTRAP_SERVERS": address,
        "IOC_LOG__PREFIX": f"t{secrets.token_hex(4)}.",
        "IOC_LOG__REPLICATION": "1",
        "IOC_LOG__PARTITIONS": str(partitions),
    }


@contextmanager
def running_service(environment: dict[str, str] | None = None) -> Iterator[Service]:
    """Run the service in a throw-away folder and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "var", environment)
        service.start()
        try:
            yield service
        finally:
            service.stop()
