"""The doctor: every state of a set-up is a finding with a remedy, none is an error."""

import asyncio
import fcntl
import gc
import json
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import trustme
from pydantic import SecretStr

from benchmarks.broker import KEY_PASSWORD, Access
from ioc.app.core import kafka_settings
from ioc.app.doctor import Finding, diagnose
from ioc.app.settings import Settings, load_settings
from ioc.app.settings.sections import BridgeTopic, KafkaProtocol, LogKind
from ioc.eventlog.kafka_publisher import create_compacted
from ioc.geo.geojson import parse_areas
from ioc.model.places import Device, DeviceKind
from ioc.store.areas import replace_areas
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from tests.integration.eventlog.kafka_access import grant

RULES = Path(__file__).parents[3] / "rules"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def settings(database: Dsns, tmp_path: Path) -> Settings:
    """A set-up on a database of its own, any ports, an empty rules folder."""
    (tmp_path / "rules").mkdir()
    return load_settings(
        data=tmp_path / "var",
        http={"port": 0},
        mqtt={"port": 0},
        rules={"folder": tmp_path / "rules"},
        database={"admin_dsn": database.admin, "app_dsn": database.app},
    )


def with_(settings: Settings, section: str, **values: object) -> Settings:
    changed = getattr(settings, section).model_copy(update=values)
    return settings.model_copy(update={section: changed})


def finding(settings: Settings, name: str) -> Finding:
    return next(each for each in diagnose(settings) if each.name == name)


@pytest.mark.parametrize("tail", ["F", "F/x", "F/x/y"])
def test_a_file_in_the_place_of_the_data_folder_is_a_finding(
    settings: Settings, tmp_path: Path, tail: str
) -> None:
    (tmp_path / "F").touch()
    found = finding(settings.model_copy(update={"data": tmp_path / tail}), "data folder")
    assert (found.ok, "not a folder" in found.detail) == (False, True)


def test_a_file_system_that_takes_nothing_is_a_finding_and_no_database_is_tried(tmp_path: Path) -> None:
    embedded = load_settings(data=Path("/proc/foo"), http={"port": 0}, mqtt={"port": 0})
    found = {each.name: each for each in diagnose(embedded)}
    assert not found["data folder"].ok
    assert "--data" in found["data folder"].remedy
    assert (found["database"].ok, found["database"].remedy) == (False, "mend the data folder first")


def test_a_long_path_says_how_long_it_may_be(tmp_path: Path) -> None:
    long = load_settings(data=tmp_path / ("x" * 100), http={"port": 0}, mqtt={"port": 0})
    found = finding(long, "data folder")
    assert not found.ok
    assert found.remedy == "choose one of at most 83 bytes with --data"


def test_rules_are_compiled_against_the_areas(settings: Settings) -> None:
    text = (RULES / "flood-report.yaml").read_text("utf-8")
    folder = settings.rules.folder
    assert finding(settings, "rules").remedy == "put rule files there"
    (folder / "a.yaml").write_text(text, "utf-8")
    assert finding(settings, "rules").ok
    (folder / "b.yaml").write_text(text, "utf-8")
    assert "exists already" in finding(settings, "rules").detail
    (folder / "b.yaml").unlink()
    (folder / "a.yaml").write_text(text + "\narea: {kind: school}\n", "utf-8")
    found = finding(settings, "rules")
    assert "no area of kind 'school'" in found.detail
    assert (found.ok, "areas import" in found.remedy) == (False, True)


def test_a_device_whose_ward_is_not_imported_is_a_finding(settings: Settings) -> None:
    square = [[[106.6, 10.9], [106.7, 10.9], [106.7, 11.0], [106.6, 10.9]]]
    ward = {
        "type": "Feature",
        "properties": {"code": "25747", "name": "Phường"},
        "geometry": {"type": "Polygon", "coordinates": square},
    }
    city = json.dumps({"type": "FeatureCollection", "features": [ward]}).encode()
    kind = DeviceKind.CAMERA
    cameras = [Device(id=f"c{n}", kind=kind, name="x", ward=code) for n, code in enumerate(("25747", "9"))]

    async def fill(homes: list[Device]) -> None:
        connection = await psycopg.AsyncConnection.connect(
            settings.database.app_dsn, options="-c ioc.scope=service", autocommit=True
        )
        async with connection:
            await replace_areas(connection, "ward", parse_areas(city, kind="ward", bounds=settings.bounds))
            await upsert_devices(connection, homes)

    asyncio.run(fill(cameras[:1]))
    assert finding(settings, "devices") == Finding("devices", True, "1 devices")
    asyncio.run(fill(cameras))
    found = finding(settings, "devices")
    assert (found.ok, found.detail) == (False, "1 of 2 name a ward that is not imported, e.g. c1")
    assert "areas import" in found.remedy


def test_rules_that_name_areas_are_well_as_long_as_the_database_cannot_tell(
    settings: Settings, tmp_path: Path
) -> None:
    text = (RULES / "flood-report.yaml").read_text("utf-8")
    (settings.rules.folder / "a.yaml").write_text(text + "\narea: {kind: school}\n", "utf-8")
    assert finding(with_(settings, "database", admin_dsn=f"host={tmp_path}"), "rules").ok


def test_a_port_that_somebody_else_has_names_its_flag(settings: Settings, taken: int) -> None:
    found = finding(with_(settings, "mqtt", port=taken), "MQTT port")
    assert not found.ok
    assert "--mqtt-port" in found.remedy


@pytest.mark.parametrize("host", ["203.0.113.9", "no.such.host.invalid", "a..b"])
def test_a_host_that_is_not_ours_is_no_matter_of_ports(settings: Settings, host: str) -> None:
    found = finding(with_(settings, "http", host=host), "HTTP port")
    assert not found.ok
    assert found.remedy.startswith("set --host (or http.host)")


def test_ipv6_can_be_looked_at(settings: Settings) -> None:
    assert "::1" in finding(with_(settings, "http", host="::1"), "HTTP port").detail


def test_a_database_that_is_not_there_is_a_finding(settings: Settings, tmp_path: Path) -> None:
    found = finding(with_(settings, "database", admin_dsn=f"host={tmp_path}"), "database")
    assert not found.ok
    assert "database.admin_dsn" in found.remedy


def test_the_ports_of_the_service_that_runs_here_are_well(taken: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ioc-doctor-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        embedded = load_settings(data=Path(name), http={"port": taken}, mqtt={"port": 0})
        with (Path(name) / "pg.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = finding(embedded, "HTTP port")
        assert (found.ok, "running" in found.detail) == (True, True)
        assert not finding(embedded, "HTTP port").ok


def test_how_history_is_held_is_named(settings: Settings) -> None:
    found = finding(settings, "history")
    assert found.ok
    assert found.detail.startswith("PostgreSQL ")
    assert ": history in " in found.detail


def test_retention_that_outruns_the_aggregates_is_a_finding_with_the_setting(settings: Settings) -> None:
    found = finding(with_(settings, "store", history_retention_s=86_400.0), "database")
    assert not found.ok
    assert "store.history_retention_s" in found.detail


def test_a_kafka_that_is_reached_and_one_that_is_not(settings: Settings, kafka: str) -> None:
    known = {"kind": LogKind.KAFKA, "bootstrap_servers": kafka, "prefix": "doctor."}
    found = finding(with_(settings, "log", **known, replication=1), "log")
    assert (found.ok, found.detail) == (
        True,
        f"Kafka at {kafka}, 1 brokers, doctor.ioc.events is made at the first start",
    )
    too_many = finding(with_(settings, "log", **known, replication=3), "log")
    assert (too_many.ok, "log.replication to 1" in too_many.remedy) == (False, True)
    away = finding(with_(settings, "log", **known | {"bootstrap_servers": "127.0.0.1:9"}), "log")
    assert (away.ok, "log.bootstrap_servers" in away.remedy) == (False, True)
    no_file = {"security": KafkaProtocol.SSL, "tls_ca": Path("/absent.pem")}
    without = finding(with_(settings, "log", **known, **no_file), "log")
    assert (without.ok, "tls_ca" in without.remedy) == (False, True)


def test_a_login_that_kafka_refuses_is_a_finding_with_the_settings(
    settings: Settings, own_kafka: Access
) -> None:
    login = {
        "security": KafkaProtocol.SASL_SSL,
        "tls_ca": own_kafka.ca_file,
        "username": "ioc-service",
        "password": SecretStr("guessed"),
    }
    known = {"kind": LogKind.KAFKA, "bootstrap_servers": own_kafka.secure_address, "replication": 1}
    found = finding(with_(settings, "log", **known, **login), "log")
    assert (found.ok, found.remedy) == (
        False,
        "check log.username, log.password and log.sasl_mechanism",
    )
    assert "guessed" not in found.detail
    with warnings.catch_warnings():
        # The driver leaves the connection that was refused to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("shown", ["ours", "none", "another authority's", "with another password"])
def test_a_certificate_that_kafka_refuses_is_a_finding_with_the_settings(
    settings: Settings, own_kafka: Access, tmp_path: Path, shown: str
) -> None:
    known = {
        "kind": LogKind.KAFKA,
        "bootstrap_servers": own_kafka.mutual_address,
        "prefix": "doctor-mutual.",
        "replication": 1,
        "security": KafkaProtocol.SSL,
        "tls_ca": own_kafka.ca_file,
        "tls_certificate": own_kafka.certificate_file,
        "tls_key": own_kafka.key_file,
        "tls_key_password": SecretStr(KEY_PASSWORD),
    }
    grant(own_kafka, "doctor-mutual.")
    if shown == "none":
        known |= {"tls_certificate": None, "tls_key": None}
    elif shown == "another authority's":
        stranger = trustme.CA().issue_cert("ioc-service", common_name="ioc-service")
        known |= {"tls_certificate": tmp_path / "other.pem", "tls_key": tmp_path / "other.key"}
        stranger.cert_chain_pems[0].write_to_path(tmp_path / "other.pem")
        stranger.private_key_pem.write_to_path(tmp_path / "other.key")
    elif shown == "with another password":
        known |= {"tls_key_password": SecretStr("guessed")}
    found = finding(with_(settings, "log", **known), "log")
    assert "guessed" not in found.detail
    assert found.ok == (shown == "ours")
    remedies = {
        "ours": "",
        "none": "set log.tls_certificate and log.tls_key",
        "another authority's": (
            "set log.tls_certificate to one that is valid and that an authority of the brokers signed"
        ),
        "with another password": (
            "check log.tls_ca, log.tls_certificate, log.tls_key and log.tls_key_password"
        ),
    }
    assert found.remedy == remedies[shown]


def test_a_topic_that_is_not_as_the_settings_ask_is_a_finding_with_the_command(
    settings: Settings, kafka: str
) -> None:
    known = {"kind": LogKind.KAFKA, "bootstrap_servers": kafka, "prefix": "doctor-differs.", "replication": 1}
    differing = with_(settings, "log", **known)
    asyncio.run(create_compacted(kafka_settings(differing), "ioc.events", settings.log.partitions))
    found = [each for each in diagnose(differing) if each.name == "log topic"]
    assert {each.ok for each in found} == {False}
    assert any("--add-config cleanup.policy=delete" in each.remedy for each in found)


def test_a_bridge_without_its_device_or_its_topic_is_a_finding(settings: Settings, kafka: str) -> None:
    reachable = with_(settings, "log", bootstrap_servers=kafka, replication=1)
    topics = tuple(
        BridgeTopic(topic=topic, decoder="cloudevents", device="foreign-gw")
        for topic in ("doctor-there", "doctor-absent")
    )
    asyncio.run(create_compacted(kafka_settings(reachable), "doctor-there", 2))
    bridged = with_(reachable, "bridge", topics=topics)
    absent, there = finding(bridged, "bridge doctor-absent"), finding(bridged, "bridge doctor-there")
    assert (absent.ok, "bridge.topics" in absent.remedy) == (False, True)
    assert (there.ok, "devices add foreign-gw" in there.remedy) == (False, True)
    with psycopg.connect(settings.database.admin_dsn) as connection:
        connection.execute(
            "INSERT INTO device (id, kind, name) VALUES ('foreign-gw', 'gateway', 'Foreign gateway')"
        )
    found = finding(bridged, "bridge doctor-there")
    assert (found.ok, found.detail) == (True, "2 partitions, cloudevents, as foreign-gw")
    away = finding(with_(bridged, "log", bootstrap_servers="127.0.0.1:9"), "bridge")
    assert (away.ok, "log.bootstrap_servers" in away.remedy) == (False, True)


def test_the_embedded_log_needs_no_finding_of_its_own(settings: Settings) -> None:
    assert "log" not in {each.name for each in diagnose(settings)}
