"""The MQTT listener under TLS, with certificates made for the test."""

import asyncio
import ssl
from pathlib import Path

import aiomqtt
import pytest
import trustme

from ioc.app.mqtt_tls import listener_tls
from ioc.app.settings import SettingsError
from ioc.app.settings.sections import MqttSettings
from ioc.ingest.mqtt import MqttListener
from tests.integration.ingest.test_mqtt import TOPIC, client, payload
from tests.unit.ingest.fakes import City


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def settings(authority: trustme.CA, tmp_path: Path) -> MqttSettings:
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(tmp_path / "chain.pem", append=True)
    return MqttSettings(tls_certificate=tmp_path / "chain.pem", tls_key=tmp_path / "key.pem")


async def test_a_device_publishes_over_tls_and_plain_connections_get_nowhere(
    authority: trustme.CA, settings: MqttSettings
) -> None:
    city = City()
    listener = MqttListener(city.service, port=0, tls=listener_tls(settings))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(listener.run())
        await listener.started.wait()
        async with client(listener, tls_context=trusting) as device:
            await device.publish(TOPIC, payload(), qos=1)
        assert len(city.log.records) == 1
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, timeout=2):
                pass
        task.cancel()


def test_settings_that_cannot_make_a_tls_listener_are_named(settings: MqttSettings, tmp_path: Path) -> None:
    half = settings.model_copy(update={"tls_key": None})
    with pytest.raises(SettingsError, match="set both"):
        listener_tls(half)
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(SettingsError, match=r"key\.pem"):
        listener_tls(settings)
    assert listener_tls(MqttSettings()) is None
