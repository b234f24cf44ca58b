"""The roles over a Kafka that asks for TLS, a login and grants: an event comes out as an incident."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from benchmarks.broker import Access
from benchmarks.workload import Workload
from ioc.store.embedded import Dsns
from tests.acceptance.kafka_roles import KafkaRoles
from tests.acceptance.test_kafka_scale_out import wait_until
from tests.integration.eventlog.kafka_access import grant, secure_settings


@pytest.fixture
def roles(
    tmp_path: Path, own_kafka: Access, database: Dsns, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KafkaRoles]:
    kafka = secure_settings(own_kafka)
    grant(own_kafka, kafka.prefix)
    monkeypatch.setenv("IOC_LOG__SECURITY", kafka.security.protocol)
    monkeypatch.setenv("IOC_LOG__SASL_MECHANISM", kafka.security.mechanism)
    monkeypatch.setenv("IOC_LOG__USERNAME", kafka.security.username)
    monkeypatch.setenv("IOC_LOG__PASSWORD", kafka.security.password)
    monkeypatch.setenv("IOC_LOG__TLS_CA", str(kafka.security.ca_file))
    monkeypatch.setenv("IOC_RELAY__ENABLED", "true")
    roles = KafkaRoles(tmp_path / "roles", own_kafka.secure_address, database, kafka.prefix)
    yield roles
    for name in list(roles.processes):
        roles.kill(name)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_an_event_comes_out_as_an_incident_with_no_more_rights_than_documented(roles: KafkaRoles) -> None:
    key = roles.prepare()
    assert "log differs" not in roles.command("init")
    for role in ("ingest", "rules", "store"):
        roles.start(role)
    cameras = [str(row[0]) for row in roles.rows("SELECT id FROM device WHERE kind = 'camera' ORDER BY id")]
    camera, alarm = Workload(cameras, cameras).probe()
    wait_until(lambda: accepted(roles, alarm, key))
    wait_until(lambda: bool(roles.rows("SELECT 1 FROM incident")))
    assert roles.rows("SELECT source FROM incident") == [(camera,)]
    roles.stop()


def accepted(roles: KafkaRoles, body: bytes, key: str) -> bool:
    with suppress(httpx.TransportError):  # it does not listen yet
        return roles.post(body, key).status_code == 202
    return False
