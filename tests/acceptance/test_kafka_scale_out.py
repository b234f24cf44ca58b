"""Several rules workers over real Kafka: one is killed, and the incidents are those of a single process."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from benchmarks.workload import Workload
from ioc.store.embedded import Dsns
from tests.acceptance.kafka_roles import PARTITIONS, KafkaRoles
from tests.conftest import Server

MOVED_WITHIN_S = 15.0
_INCIDENTS = "SELECT id, rule, key, severity, condition, opened, detected, cleared FROM incident ORDER BY id"
_STATE = "SELECT partition, rule, key, data FROM rule_state WHERE topic = 'ioc.events' ORDER BY 1, 2, 3"


@pytest.fixture
def many(tmp_path: Path, kafka: str, database: Dsns) -> Iterator[KafkaRoles]:
    roles = KafkaRoles(tmp_path / "many", kafka, database)
    yield roles
    for name in list(roles.processes):
        roles.kill(name)


class Sender:
    """Posts events until it is stopped, each body again until it is acknowledged.

    Some detectors report a jam all the time, which becomes an incident after 20 seconds: whoever decides that
    has to have the state of whoever saw it begin.
    """

    def __init__(self, roles: KafkaRoles, key: str, cameras: list[str], detectors: list[str]) -> None:
        self._roles = roles
        self._key = key
        self._workload = Workload(cameras, detectors)
        self._jammed = detectors[::4]
        self._ids = itertools.count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            lines = [self._workload.lines(30), self._workload.probe()[1], *map(self._jam, self._jammed)]
            body = b"\n".join(lines)
            while not self._sent(body) and not self._stop.wait(0.3):
                pass

    def _jam(self, detector: str) -> bytes:
        event = {
            "specversion": "1.0",
            "id": f"jam-{next(self._ids)}",
            "source": detector,
            "type": "traffic.flow",
            "time": datetime.now(UTC).isoformat(),
            "data": {"speed_kmh": 8.0, "occupancy": 0.6, "volume_veh": 20, "interval_s": 10},
        }
        return json.dumps(event).encode()

    def _sent(self, body: bytes) -> bool:
        try:
            return self._roles.post(body, self._key).status_code == 202
        except httpx.HTTPError:
            return False


def wait_until(met: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def devices(roles: KafkaRoles, kind: str) -> list[str]:
    return [str(row[0]) for row in roles.rows(f"SELECT id FROM device WHERE kind = '{kind}' ORDER BY id")]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_workers_come_and_are_killed_and_the_incidents_are_those_of_one_process(
    many: KafkaRoles, tmp_path: Path, kafka: str, postgres: Server
) -> None:
    key = many.prepare()
    name = str(psycopg.conninfo.conninfo_to_dict(many.database.admin)["dbname"])
    filled = name[name.index("ioc_test_") :]  # as this server calls it
    one = KafkaRoles(tmp_path / "one", kafka, postgres.create(f"{filled}_one", template=filled), many.prefix)
    for process in ("ingest", "rules-a", "rules-b"):
        many.start(process)
    with Sender(many, key, devices(many, "camera"), devices(many, "detector")):
        wait_until(lambda: shares(many) == [3, 3])
        many.start("rules-c")
        wait_until(lambda: shares(many) == [2, 2, 2])
        many.wait_until_taken(many.ends())
        before = many.owners()
        many.kill("rules-b")
        killed_s = time.monotonic()
        many.wait_until_taken(many.ends(), MOVED_WITHIN_S)
        moved_s = time.monotonic() - killed_s
        assert shares(many) == [3, 3]
        moved = [partition for partition, owner in many.owners().items() if owner != before[partition]]
        print(f"moved {len(moved)} of {PARTITIONS} partitions, caught up {moved_s:.1f} s after the kill")
        # The new owners decide on jams whose beginning they have not seen.
        wait_until(lambda: jams(many) > 0)
        time.sleep(3.0)
    many.wait_until_taken(many.ends())
    many.stop("ingest")
    ends = many.ends()
    many.wait_until_taken(ends)
    many.stop()
    _copy_writers(many, one)
    one.start("rules")
    one.wait_until_taken(ends, 120)
    one.stop()
    incidents = many.rows(_INCIDENTS)
    assert {"congestion", "wrong-way"} <= {row[1] for row in incidents}, "rules with state and without"
    assert incidents == one.rows(_INCIDENTS)
    assert many.rows(_STATE) == one.rows(_STATE)


def jams(roles: KafkaRoles) -> int:
    return len(roles.rows("SELECT FROM incident WHERE rule = 'congestion'"))


def shares(roles: KafkaRoles) -> list[int]:
    """Return how many partitions each owner has."""
    return sorted(Counter(roles.owners().values()).values())


def _copy_writers(source: KafkaRoles, target: KafkaRoles) -> None:
    """Let the other database know which appends count."""
    with psycopg.connect(target.database.admin) as connection:
        for row in source.rows("SELECT id, committed, closed FROM log_writer"):
            connection.execute("INSERT INTO log_writer (id, committed, closed) VALUES (%s, %s, %s)", row)
