"""The whole service as a benchmark sees it: one process tree, one port, one data folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import psutil

from benchmarks.machine import family

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


class Service(msgspec.Struct, frozen=True):
    """A running service and what is needed to use it."""

    url: str
    data: Path
    pid: int
    keys: dict[str, str]
    login: dict[str, str]

    def processes(self) -> list[psutil.Process]:
        """Return the process tree, the embedded database's included."""
        found = family(self.pid)
        postmaster = int((self.data / "pg" / "postmaster.pid").read_text().splitlines()[0])
        known = {process.pid for process in found}
        return found + [process for process in family(postmaster) if process.pid not in known]

    def cookie(self) -> str:
        """Log in and return the session cookie."""
        answer = httpx.post(f"{self.url}/api/v1/session", json=self.login, headers={"X-IOC": "1"})
        answer.raise_for_status()
        return f"ioc_session={answer.cookies['ioc_session']}"

    def devices(self, kind: str) -> list[str]:
        """Return the ids of the registered devices of `kind`."""
        answer = httpx.get(f"{self.url}/api/v1/devices", headers={"cookie": self.cookie()})
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


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_service() -> Iterator[Service]:
    """Start `ioc up --demo` without simulators in a throw-away folder and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="ioc-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        port, data = free_port(), Path(folder) / "var"
        process = subprocess.Popen(
            [sys.executable, "-m", "ioc.app.cli", "up", "--demo", "--no-simulators", "--data", str(data),
             "--port", str(port), "--mqtt-port", str(free_port())],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"IOC_LOG_LEVEL": "warning"},
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(url, process)
            keys = json.loads((data / "demo" / "keys.json").read_text())
            logins = json.loads((data / "demo" / "logins.json").read_text())
            login = {"username": "operator", "password": logins["operator"]}
            yield Service(url=url, data=data, pid=process.pid, keys=keys, login=login)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with code {process.returncode}; start `ioc up` to see why")
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the service was not ready after {START_TIMEOUT_S:.0f} s; see {url}/readyz")
