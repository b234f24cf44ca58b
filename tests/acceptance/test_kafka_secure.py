"""The roles over a Kafka with TLS, a login or a certificate, and grants: an event becomes an incident."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from benchmarks.broker import Access
from benchmarks.workload import Workload
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.store.embedded import Dsns
from tests.acceptance.kafka_roles import KafkaRoles
from tests.acceptance.test_kafka_scale_out import wait_until
from tests.integration.eventlog.kafka_access import grant, mutual_settings, secure_settings


@pytest.fixture(params=[secure_settings, mutual_settings], ids=["login", "certificate"])
def roles(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    own_kafka: Access,
    database: Dsns,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[KafkaRoles]:
    kafka: KafkaSettings = request.param(own_kafka)
    grant(own_kafka, kafka.prefix)
    how = kafka.security
    settings = {
        "SECURITY": how.protocol,
        "SASL_MECHANISM": how.mechanism,
        "USERNAME": how.username,
        "PASSWORD": how.password,
        "TLS_CA": how.ca_file,
        "TLS_CERTIFICATE": how.certificate_file,
        "TLS_KEY": how.key_file,
        "TLS_KEY_PASSWORD": how.key_password,
    }
    for name, value in settings.items():
        if value:
            monkeypatch.setenv(f"IOC_LOG__{name}", str(value))
    monkeypatch.setenv("IOC_RELAY__ENABLED", "true")
    roles = KafkaRoles(tmp_path / "roles", kafka.bootstrap_servers, database, kafka.prefix)
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
