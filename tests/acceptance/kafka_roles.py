"""Roles as processes over Kafka and a database of their own, as a province runs them."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg

from benchmarks.ports import free_port
from benchmarks.service import kafka_environment
from ioc.app.settings import Settings, load_settings
from ioc.eventlog.kafka_client import Cluster
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.model.records import EVENTS_TOPIC
from ioc.store.embedded import Dsns

ROOT = Path(__file__).parents[2]
PARTITIONS = 6


class KafkaRoles:
    """`ioc …` commands and `ioc run …` processes over one Kafka prefix and one database."""

    def __init__(self, data: Path, address: str, database: Dsns, prefix: str | None = None) -> None:
        self.database = database
        environment = kafka_environment(address, PARTITIONS)
        self.prefix = prefix or environment["IOC_LOG__PREFIX"]
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kafka = KafkaSettings(bootstrap_servers=address, prefix=self.prefix)
        self._data = data
        self._environment = os.environ | {
            "IOC_LOG_LEVEL": "warning",
            **environment,
            "IOC_LOG__PREFIX": self.prefix,
            "IOC_DATABASE__ADMIN_DSN": database.admin,
            "IOC_DATABASE__APP_DSN": database.app,
        }

    def command(self, *arguments: str) -> str:
        """Run `ioc …` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ioc.app", *arguments, "--data", str(self._data)],
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=self._environment,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout.decode()

    def command_process(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `ioc …` and return the process, whose output can be read while it works."""
        return subprocess.Popen(
            [sys.executable, "-m", "ioc.app", *arguments, "--data", str(self._data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=self._environment,
        )

    def refused(self, *arguments: str) -> str:
        """Run `ioc …`, which must not succeed, and return what it printed, without line breaks."""
        with self.command_process(*arguments) as process:
            _, printed = process.communicate(timeout=120)
        assert process.returncode == 1, printed
        return " ".join(printed.decode().split())

    def set(self, name: str, value: str) -> None:
        """Set an environment variable for every process from now on."""
        self._environment[name] = value

    def settings(self) -> Settings:
        """Return what finds the log from inside a test."""
        names = ("KIND", "BOOTSTRAP_SERVERS", "PREFIX", "REPLICATION")
        return load_settings(log={name.lower(): self._environment[f"IOC_LOG__{name}"] for name in names})

    def prepare(self) -> str:
        """Import the demo city and return the key of a gateway that may send for every device."""
        self.command("areas", "import", "demo/areas.geojson")
        self.command("devices", "import", "demo/devices.geojson")
        key: str = json.loads(self.command("devices", "add", "gw-all", "--covers", "*", "--json"))["key"]
        return key

    def start(self, name: str) -> None:
        """Start the role that `name` begins with."""
        role = name.partition("-")[0]
        extra = ["--port", str(self.port), "--mqtt-port", str(free_port())] if role == "ingest" else []
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "ioc.app", "run", role, *extra, "--data", str(self._data)],
            cwd=ROOT,
            env=self._environment,
        )

    def kill(self, name: str) -> None:
        """End a process at once."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, *names: str) -> None:
        """Ask processes to end, all of them if none is named, and wait until they have."""
        stopping = [self.processes.pop(name) for name in names or list(self.processes)]
        for process in stopping:
            process.terminate()
        assert [process.wait(30) for process in stopping] == [0] * len(stopping)

    def post(self, body: bytes, key: str) -> httpx.Response:
        """Post NDJSON events."""
        headers = {"authorization": f"Bearer {key}", "content-type": "application/x-ndjson"}
        url = f"http://127.0.0.1:{self.port}/api/v1/ingest/events"
        return httpx.post(url, content=body, headers=headers, timeout=30)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what the database answers."""
        with psycopg.connect(self.database.admin) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def owners(self) -> dict[int, str]:
        """Return who owns each partition for the rules."""
        found = self.rows(
            "SELECT partition, owner FROM log_owner WHERE group_name = 'rules' AND topic = 'ioc.events'"
        )
        return {int(str(partition)): str(owner) for partition, owner in found}

    def positions(self) -> dict[int, int]:
        """Return how far the rules have come in each partition."""
        found = self.rows(
            "SELECT partition, next_offset FROM log_owner WHERE group_name = 'rules' AND topic = 'ioc.events'"
        )
        return {int(str(partition)): int(str(offset)) for partition, offset in found}

    def ends(self, partitions: int = PARTITIONS) -> dict[int, int]:
        """Return where the log ends."""

        async def ask() -> dict[int, int]:
            cluster = Cluster(self._kafka)
            try:
                return await cluster.ends(self.prefix + EVENTS_TOPIC, range(partitions))
            finally:
                await cluster.close()

        return asyncio.run(ask())

    def wait_until_taken(self, ends: dict[int, int], seconds: float = 60.0) -> float:
        """Wait until the rules have come to `ends` and return how many seconds that took."""
        started_s = time.monotonic()
        while not all(self.positions().get(partition, 0) >= end for partition, end in ends.items()):
            waited_s = time.monotonic() - started_s
            assert waited_s < seconds, (self.positions(), ends, self.owners())
            time.sleep(0.1)
        return time.monotonic() - started_s
