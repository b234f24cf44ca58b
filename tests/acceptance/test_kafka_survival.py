"""The whole service over Kafka while its broker or its database is away."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.broker import Broker
from benchmarks.machine import resident_mb
from benchmarks.service import Service, kafka_environment
from tests.acceptance.test_survival import count, stored_ids, wait_until

PATIENCE_S = 90.0
SILENCE_S = 30.0
GROWTH_MB = 50.0


@pytest.fixture
def service(broker: Broker) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "var", kafka_environment(broker.address))
        service.start()
        try:
            yield service
        finally:
            service.kill()


class Sender:
    """Sends counts one by one and remembers which were acknowledged."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._key = service.device_key("gw-25747")
        self._number = 0
        self.acknowledged: set[str] = set()

    def send(self) -> httpx.Response:
        answer = self._service.ingest(count(self._number), self._key)
        if answer.status_code == 202:
            self.acknowledged.add(f"e{self._number}")
            self._number += 1
        return answer

    def arrived(self) -> bool:
        """Whether all that was acknowledged is stored; False while the service asks to come back later."""
        with suppress(httpx.HTTPError):
            return len(stored_ids(self._service)) >= len(self.acknowledged)
        return False

    def accepted(self) -> bool:
        with suppress(httpx.HTTPError):
            return self.send().status_code == 202
        return False


@pytest.mark.slow
def test_without_its_broker_ingest_says_when_to_come_back_and_nothing_acknowledged_is_lost(
    broker: Broker, service: Service
) -> None:
    sender = Sender(service)
    for _ in range(50):
        assert sender.send().status_code == 202
    broker.kill()
    refused = sender.send()
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert httpx.get(f"{service.url}/healthz").status_code == 200
    broker.start()
    wait_until(sender.accepted, PATIENCE_S)
    for _ in range(50):
        wait_until(sender.accepted, PATIENCE_S)
    wait_until(sender.arrived, PATIENCE_S)
    found = stored_ids(service)
    assert sender.acknowledged == set(found)
    assert set(found.values()) == {1}
    wait_until(lambda: httpx.get(f"{service.url}/readyz").status_code == 200, PATIENCE_S)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_database_that_is_away_under_kafka_costs_time_and_no_event(service: Service, fault: str) -> None:
    sender = Sender(service)
    for _ in range(50):
        assert sender.send().status_code == 202
    postmaster = psutil.Process(service.postmaster())
    processes = [postmaster, *postmaster.children()]
    if fault == "killed":
        _each(processes, psutil.Process.kill)
    else:
        _each(processes, psutil.Process.suspend)
        before = resident_mb(service.processes())
        silent_until_s = time.monotonic() + SILENCE_S
        while time.monotonic() < silent_until_s:
            assert not sender.accepted()
        assert resident_mb(service.processes()) < before + GROWTH_MB
        _each(processes, psutil.Process.resume)
    wait_until(sender.accepted, PATIENCE_S)
    for _ in range(50):
        wait_until(sender.accepted, PATIENCE_S)
    wait_until(sender.arrived, PATIENCE_S)
    found = stored_ids(service)
    assert sender.acknowledged == set(found)
    assert set(found.values()) == {1}


def _each(processes: Iterable[psutil.Process], do: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            do(process)
