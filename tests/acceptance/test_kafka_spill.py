"""The whole service where Kafka goes away and `log.spill` is on: nobody who sends notices."""

import itertools
import json
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from psycopg import sql

from benchmarks.broker import Broker
from benchmarks.service import Service, kafka_environment
from ioc.model.times import CITY_ZONE
from ioc.store.history_tables import TABLES
from tests.acceptance.test_same_hour_twice import command, exported, installation, rerun
from tests.acceptance.test_survival import count, stored_ids, wait_until

LENGTH_S = 400
START = (datetime.now(CITY_ZONE) - timedelta(days=1)).replace(hour=7, minute=0, second=0, microsecond=0)
"""Of late: plates of history that is a week old are hidden, each installation's with a key of its own."""
PATIENCE_S = 120.0
SENDERS = 6
OUTAGE_RECORDS = 2_000


@contextmanager
def spilling(broker: Broker, **more: str) -> Iterator[None]:
    """Let whatever starts, service or command, spill where that broker is away."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**kafka_environment(broker.address), "IOC_LOG__SPILL": "true", **more}.items():
            patch.setenv(name, value)
        yield


@contextmanager
def spilling_service(broker: Broker, **settings: str) -> Iterator[Service]:
    with (
        spilling(broker, **settings),
        tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder,
    ):
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "var")
        service.start()
        try:
            yield service
        finally:
            service.kill()


def history(service: Service) -> Counter[str]:
    """Return the stored events with all their columns, arrival included."""
    folder = str(service.data.absolute() / "pg")
    found = Counter[str]()
    with psycopg.connect(
        host=folder, dbname="ioc", user="postgres", options="-c ioc.scope=service"
    ) as database:
        for table in TABLES.values():
            rows = database.execute(
                sql.SQL("SELECT row::text FROM {} row").format(sql.Identifier(table.name))
            )
            found.update(str(row) for (row,) in rows)
    return found


def stored_all(service: Service, report: dict[str, int]) -> bool:
    return history(service).total() >= report["accepted"]


def metric(service: Service, name: str) -> float:
    with suppress(httpx.HTTPError):
        return service.metrics().get(name, 0.0)
    return 0.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_broker_that_dies_and_is_stopped_under_load_changes_no_incident_and_no_history(
    broker: Broker,
) -> None:
    with installation() as (service, keys):
        report = rerun(service, keys, LENGTH_S, start=START.isoformat())
        expected = exported(service)
        wait_until(lambda: stored_all(service, report), PATIENCE_S)
        events = history(service)
    with spilling(broker), installation() as (service, keys):
        reports: list[dict[str, int]] = []
        playing = threading.Thread(
            target=lambda: reports.append(rerun(service, keys, LENGTH_S, start=START.isoformat()))
        )
        playing.start()
        for end in (broker.kill, broker.stop):
            grows(service, "ioc_ingest_events_total", 500)
            end()
            grows(service, "ioc_log_spilled_records_total", OUTAGE_RECORDS)
            with players_paused():
                broker.start()
            wait_until(lambda: metric(service, "ioc_log_spill_records") == 0, PATIENCE_S)
        assert playing.is_alive(), "the faults came while events did"
        playing.join()
        assert reports == [report], "no answer had to be asked for twice"
        assert not put_off(service)
        assert exported(service) == expected
        wait_until(lambda: stored_all(service, report), PATIENCE_S)
        stored = history(service)
        assert (list((events - stored).items())[:5], list((stored - events).items())[:5]) == ([], [])
    assert len(expected.splitlines()) > 10


def put_off(service: Service) -> list[str]:
    """Return the counters of refusals for want of the log, as `/metrics` shows them."""
    lines = httpx.get(f"{service.url}/metrics").text.splitlines()
    return [
        line for line in lines if re.match(r'ioc_ingest_refused_total\{reason="(log|timeout|inflight)"', line)
    ]


@contextmanager
def players_paused() -> Iterator[None]:
    """Hold the senders back, so that they are not done before what takes its time is."""
    players = [each for each in psutil.Process().children() if "simulators" in each.cmdline()]
    assert players
    for player in players:
        player.suspend()
    yield
    for player in players:
        player.resume()


def grows(service: Service, name: str, by: int) -> None:
    before = metric(service, name)
    wait_until(lambda: metric(service, name) >= before + by, PATIENCE_S)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_its_broker_ingest_is_ready_and_even_its_own_death_loses_nothing_acknowledged(
    broker: Broker,
) -> None:
    with spilling_service(broker) as service:
        key = service.device_key("gw-25747")
        crowd = Crowd(service, key)
        with crowd.sending():
            wait_until(lambda: len(crowd.acknowledged) > 100, PATIENCE_S)
            broker.kill()
            grows(service, "ioc_log_spilled_records_total", 200)
            checks = httpx.get(f"{service.url}/readyz")
            assert checks.status_code == 200
            assert "wait for Kafka" in checks.json()["checks"]["spill"]["detail"]
        assert crowd.refused == []
        service.kill()
        service.start()  # which waits until it is ready: Kafka is still away
        with crowd.sending():
            grows(service, "ioc_log_spilled_records_total", 200)
            rows = json.loads(command("ioc.app", "log", "status", "--json", "--data", service.data))
            assert sum(row["spilled_records"] for row in rows) > 400
            broker.start()
            wait_until(lambda: metric(service, "ioc_log_spill_records") == 0, PATIENCE_S)
        assert crowd.refused == []
        wait_until(lambda: len(stored_ids(service)) >= len(crowd.acknowledged), PATIENCE_S)
        found = stored_ids(service)
        assert set(found) == crowd.acknowledged
        assert set(found.values()) == {1}


class Crowd:
    """Senders at once, each one event after another; answers other than 202 are kept."""

    def __init__(self, service: Service, key: str) -> None:
        self._service = service
        self._key = key
        self._numbers = itertools.count()
        self._over = threading.Event()
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []

    @contextmanager
    def sending(self) -> Iterator[None]:
        self._over.clear()
        senders = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            self._over.set()
            for sender in senders:
                sender.join()

    def _send(self) -> None:
        while not self._over.is_set():
            number = next(self._numbers)
            answer = self._service.ingest(count(number), self._key)
            if answer.status_code == 202:
                self.acknowledged.add(f"e{number}")
            else:
                self.refused.append(answer.status_code)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_spill_answers_503_until_the_broker_is_back(broker: Broker) -> None:
    with spilling_service(broker, IOC_LOG__SPILL_RECORDS="60") as service:
        key, sent = service.device_key("gw-25747"), 0
        broker.kill()
        while (answer := service.ingest(count(sent), key)).status_code == 202:
            sent += 1
        assert (answer.status_code, answer.json()["status"]) == (503, 503)
        assert int(answer.headers["Retry-After"]) > 0
        assert sent > 0
        wait_until(lambda: not httpx.get(f"{service.url}/readyz").json()["checks"]["spill"]["ok"], PATIENCE_S)
        broker.start()
        wait_until(lambda: service.ingest(count(sent), key).status_code == 202, PATIENCE_S)
        wait_until(lambda: len(stored_ids(service)) == sent + 1, PATIENCE_S)
