"""Memory of store and rules at a backlog: the log is filled first, then both take it as processes.

Filled by what ingest does between decoder and log, without HTTP: the city workload, a tick a second. Peak
memory is `VmHWM` of each process (pages shared with others counted), the rate that of each until it has
committed everything. Memory at a tenth of the backlog is measured first, on an installation of its own:
memory that depends on the load would show.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import uvloop

from benchmarks.broker import running_broker
from benchmarks.machine import cpu_seconds, family
from benchmarks.ports import free_port
from benchmarks.service import STOP_TIMEOUT_S, kafka_environment
from benchmarks.workload import Workload
from ioc.app.clock import now_us
from ioc.app.core import open_log
from ioc.app.directory import Directory
from ioc.app.settings import Settings, load_settings
from ioc.eventlog.port import EventLog
from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.cloudevents import CloudEvents
from ioc.ingest.gateway import Gateway
from ioc.ingest.limits import IngestLimits
from ioc.model.places import Device, DeviceKind
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.model.times import SECOND_US
from ioc.store.embedded import Dsns, create_database, embedded_postgres
from ioc.store.pool import Pool, open_pool
from ioc.store.positions import standings

CALL_EVENTS = 2_500
TOPICS = {"store": (EVENTS_TOPIC,), "rules": (EVENTS_TOPIC, WIDE_TOPIC)}
"""What each role has to come to the end of, one after the other."""
LOOK_S = 0.25
DRAIN_TIMEOUT_S = 1_800.0
"""Longest wait for the whole backlog to be taken."""
ROOT = Path(__file__).parents[1]


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure at a tenth of the backlog and at the whole, and return the figures."""
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker()) if arguments.log == "kafka" else None
        tenth, whole = (
            _measured(broker.address if broker else "", backlog)
            for backlog in (arguments.backlog // 10, arguments.backlog)
        )
    return {
        "workload": {"log": arguments.log, "backlog": arguments.backlog},
        "rss_mb": max(role.peak_mb for role in whole.values()),
        "events_per_s": round(min(role.per_s for role in whole.values())),
        "roles": {name: asdict(role) for name, role in whole.items()},
        "at_a_tenth": {name: asdict(role) for name, role in tenth.items()},
    }


@dataclass
class Drained:
    """What one process took to get to the end of the log."""

    peak_mb: float
    idle_mb: float
    """Once it had nothing left to do."""
    seconds: float
    per_s: float
    """Events of the backlog a second, the start of the process not counted."""
    cpu_s: float
    keys: int
    """Keys that rules remember at the end: state, which does not come from the backlog."""
    held_peak: int
    """Most events of wide rules that waited for a partition behind the others."""


def _measured(address: str, backlog: int) -> dict[str, Drained]:
    with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder) / "pg") as server:
            dsns = create_database(server, "ioc")
            log = kafka_environment(address) if address else {}
            environment = os.environ | {
                "IOC_LOG_LEVEL": "warning",
                "IOC_DATABASE__ADMIN_DSN": dsns.admin,
                "IOC_DATABASE__APP_DSN": dsns.app,
                **log,
            }
            areas, devices = (
                ["areas", "import", "demo/areas.geojson"],
                ["devices", "import", "demo/devices.geojson"],
            )
            for command in (["init"], areas, devices):
                subprocess.run(
                    _ioc(folder, *command), env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL
                )
            asked = {name.removeprefix("IOC_LOG__").lower(): value for name, value in log.items()}
            uvloop.run(_fill(load_settings(log=asked), dsns, backlog))
            return uvloop.run(_drain(folder, environment, load_settings(log=asked), dsns, backlog))


def _ioc(folder: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "ioc.app", *arguments, "--data", str(Path(folder) / "var")]


async def _fill(settings: Settings, dsns: Dsns, backlog: int) -> None:
    """Append the backlog as ingest would, a tick a second and one at the end."""
    async with (
        open_pool(dsns.app, name="fill") as pool,
        open_log(settings, pool, dsns.app) as log,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(log.run())
        directory = Directory(pool)
        await directory.refresh()
        gateway = Gateway(directory.registry, directory, settings.bounds, IngestLimits())
        sender = Device(id="gw-all", kind=DeviceKind.GATEWAY, name="", covers=("*",))
        named = {
            kind: [device.id for device in directory.devices if device.kind is kind]
            for kind in (DeviceKind.CAMERA, DeviceKind.DETECTOR)
        }
        workload, decoder = Workload(named[DeviceKind.CAMERA], named[DeviceKind.DETECTOR]), CloudEvents()
        left, tick_us = backlog, 0
        while left:
            at_us = now_us()
            if at_us - tick_us >= SECOND_US:
                tick_us = at_us - at_us % SECOND_US
                await log.append_ticks(EVENTS_TOPIC, tick_us)
                _say(f"filling the log, {left:,} events left")
            size = min(CALL_EVENTS, left)
            found = decoder.decode(workload.lines(size), DecodeContext(device_id=sender.id, now_us=at_us))
            admitted = gateway.admit(sender, found.events, found.rejections, at_us)
            if len(admitted.records) != size:
                raise RuntimeError(
                    f"{size - len(admitted.records)} events were refused: {admitted.rejected[:3]}"
                )
            await log.append(EVENTS_TOPIC, admitted.records)
            left -= size
        await log.append_ticks(EVENTS_TOPIC, now_us())
        running.cancel()


class _Process:
    """One role, and how far it has come."""

    def __init__(self, role: str, folder: str, environment: dict[str, str]) -> None:
        self.topics = list(TOPICS[role])
        self.group = role
        self._port = free_port()
        self._held_peak = 0
        self.began_s: float | None = None
        """When it had committed something first."""
        self.ended_s: float | None = None
        served = environment | {"IOC_HTTP__OPS_PORT": str(self._port)}
        self.process = subprocess.Popen(_ioc(folder, "run", role), env=served, cwd=ROOT)

    def gauge(self, name: str) -> int:
        """Return a gauge of `/metrics`, summed over labels; 0 while it does not answer."""
        try:
            lines = httpx.get(f"http://127.0.0.1:{self._port}/metrics", timeout=5).text.splitlines()
        except httpx.HTTPError:
            return 0
        return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{")))

    def sample(self) -> None:
        """Look how many events wait."""
        self._held_peak = max(self._held_peak, self.gauge("ioc_rules_wide_held"))

    def status_mb(self, name: str) -> float:
        """Return a size of /proc/PID/status: VmHWM, the peak, or VmRSS."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
        return round(int(line.split()[1]) / 1024, 1)

    def drained(self, backlog: int) -> Drained:
        """Return what it took, once it has ended."""
        assert self.began_s is not None and self.ended_s is not None
        seconds = max(LOOK_S, self.ended_s - self.began_s)
        return Drained(
            peak_mb=self.status_mb("VmHWM"),
            idle_mb=self.status_mb("VmRSS"),
            seconds=round(seconds, 1),
            per_s=round(backlog / seconds),
            cpu_s=round(cpu_seconds(family(self.process.pid)), 1),
            keys=self.gauge("ioc_rules_rule_keys"),
            held_peak=self._held_peak,
        )


async def _drain(
    folder: str, environment: dict[str, str], settings: Settings, dsns: Dsns, backlog: int
) -> dict[str, Drained]:
    """Run both roles until they have come to the end of the log."""
    roles = {role: _Process(role, folder, environment) for role in TOPICS}
    try:
        async with (
            open_pool(dsns.app, name="look") as pool,
            open_log(settings, pool, dsns.app) as log,
            asyncio.timeout(DRAIN_TIMEOUT_S),
        ):
            while waiting := [role for role in roles.values() if role.ended_s is None]:
                for role in waiting:
                    if role.process.poll() is not None:
                        raise RuntimeError(f"{role.group} ended with code {role.process.returncode}")
                    await _look(role, log, pool)
                await asyncio.sleep(LOOK_S)
        return {name: role.drained(backlog) for name, role in roles.items()}
    finally:
        for role in roles.values():
            role.process.terminate()
        for role in roles.values():
            role.process.wait(STOP_TIMEOUT_S)


async def _look(role: _Process, log: EventLog, pool: Pool) -> None:
    role.sample()
    ends = await log.ends(role.topics[0])
    async with pool.connection() as connection:
        found = await standings(connection)
    taken = {
        each.partition: each.next_offset
        for each in found
        if (each.group, each.topic) == (role.group, role.topics[0])
    }
    if role.began_s is None and any(taken.values()):
        role.began_s = time.monotonic()
    if all(taken.get(partition, 0) >= end for partition, end in ends.items()):
        del role.topics[0]
    if not role.topics:
        role.ended_s = time.monotonic()


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)
