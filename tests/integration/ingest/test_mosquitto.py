"""The Mosquitto that compose.yaml configures, as the real program: who may send and read what."""

import asyncio
import json
import re
import secrets
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import trustme

from ioc.ingest.mqtt_subscriber import MqttSubscriber, SubscriberSettings
from tests.native_compose import ROOT, SERVICES, NativeCompose, interpolated, native_compose, what_is_missing
from tests.unit.ingest.fakes import City, cloud_event

TOPIC = "ioc/v1/cam-1/events"
OURS = "our-own-password"
KEY = "the-cameras-password"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that Mosquitto's own user can reach."""
    if reason := what_is_missing("mosquitto", "mosquitto_passwd", "mosquitto_sub"):
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="ioc-mosquitto-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def broker(folder: Path) -> Iterator[NativeCompose]:
    """A healthy Mosquitto that knows cam-1."""
    with native_compose(folder, {"MQTT_PASSWORD": OURS}) as stack:
        stack.start("mosquitto")
        stack.execute("mosquitto", "mosquitto_passwd", "-b", "/mosquitto/data/passwords", "cam-1", KEY)
        stack.signal("mosquitto", signal.SIGHUP)
        yield stack


def payload(number: int, source: str = "cam-1") -> bytes:
    return json.dumps(cloud_event(number, source=source)).encode()


def login(
    broker: NativeCompose, user: str | None = "cam-1", password: str | None = KEY, **more: Any
) -> aiomqtt.Client:
    given: dict[str, Any] = {"hostname": broker.addresses["mosquitto"], "port": 1884, "timeout": 5} | more
    return aiomqtt.Client(username=user, password=password, identifier=secrets.token_hex(6), **given)


async def known(broker: NativeCompose) -> None:
    """Wait until the camera's login is in force: the passwords are read again a moment after the signal."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with login(broker):
                    return
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def reading(
    broker: NativeCompose, city: City, routes: dict[str, str] | None = None
) -> AsyncIterator[None]:
    """Read from it as compose.yaml tells the role `ingest` to."""
    ingest = SERVICES["ingest"]["environment"]
    settings = SubscriberSettings(
        hostname=broker.addresses["mosquitto"],
        port=int(ingest["IOC_MQTT__BROKER_PORT"]),
        username=ingest["IOC_MQTT__BROKER_USERNAME"],
        password=OURS,
        topic=interpolated(ingest["IOC_MQTT__BROKER_TOPIC"], {}),
        routes=routes or {},
        retry_min_s=0.05,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(MqttSubscriber(city.service, settings).run())
        yield
        task.cancel()


async def stored(city: City, *ids: str) -> None:
    async with asyncio.timeout(20):
        while not set(ids) <= set(city.log.ids):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_what_a_device_sends_reaches_us_and_what_it_sends_for_another_does_not(
    broker: NativeCompose,
) -> None:
    city = City()
    await known(broker)
    async with reading(broker, city), login(broker) as camera:
        # A persistent session begins with the first subscription: repeated until it is there.
        async with asyncio.timeout(20):
            while not city.log.ids:
                await camera.publish(TOPIC, payload(1), qos=1)
                await asyncio.sleep(0.1)
        await camera.publish("ioc/v1/det-1/events", payload(2, "det-1"), qos=1)
        await camera.publish("ioc/v1/cam-1/below/its/name", payload(3), qos=1)
        await camera.publish(TOPIC, payload(4), qos=1)
        await stored(city, "e-4")
    assert set(city.log.ids) == {"e-1", "e-3", "e-4"}
    assert city.quarantine.rows == []


async def test_a_frigate_server_keeps_its_own_topics_and_its_cameras_are_known(folder: Path) -> None:
    city = City()
    update = {"type": "lpr", "id": "1.2-a", "plate": "61A67890", "score": 0.9, "camera": "gate"}
    with native_compose(folder, {"MQTT_PASSWORD": OURS}) as stack:
        granted = "\nuser ioc\ntopic read frigate/#\nuser nvr-1\ntopic write frigate/#\n"
        stack.append("mosquitto", "/mosquitto/config/mosquitto.acl", granted)
        stack.start("mosquitto")
        for name in ("cam-1", "nvr-1"):
            stack.execute("mosquitto", "mosquitto_passwd", "-b", "/mosquitto/data/passwords", name, KEY)
        stack.signal("mosquitto", signal.SIGHUP)
        await known(stack)
        async with reading(stack, city, {"frigate/#": "nvr-1"}), login(stack, "nvr-1") as frigate:
            async with asyncio.timeout(20):
                while not city.log.ids:
                    await frigate.publish("frigate/available", b"online", qos=1)
                    await asyncio.sleep(0.1)
            await frigate.publish("frigate/tracked_object_update", json.dumps(update).encode(), qos=1)
            async with asyncio.timeout(20):
                while city.log.events[-1].source != "nvr-1-gate":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
    assert city.log.events[-1].type == "camera.plate"
    assert city.quarantine.rows == []


async def test_a_device_reads_nothing_not_even_its_own(broker: NativeCompose) -> None:
    await known(broker)
    async with login(broker) as camera, login(broker, "ioc", OURS) as ours:
        await camera.subscribe("#", qos=1)
        await camera.subscribe(TOPIC, qos=1)
        await ours.subscribe("ioc/v1/+/#", qos=1)
        await camera.publish(TOPIC, payload(1), qos=1)
        async with asyncio.timeout(10):
            assert bytes((await anext(ours.messages)).payload) == payload(1)
        # Ours came later through the same broker, so the camera's copy would be here by now.
        assert len(camera.messages) == 0


@pytest.mark.parametrize(
    ("user", "password"), [(None, None), ("cam-1", "wrong"), ("cam-2", KEY), ("ioc", KEY)],
    ids=["anonymous", "wrong password", "unknown device", "our name"],
)  # fmt: skip
async def test_nobody_else_gets_in(broker: NativeCompose, user: str | None, password: str | None) -> None:
    await known(broker)
    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
        async with login(broker, user, password):
            pass


async def test_with_the_manuals_tls_listener_a_device_sends_encrypted(folder: Path) -> None:
    manual = (ROOT / "docs" / "operations.md").read_text("utf-8")
    found = re.search(r"^```\n(listener 8883\n.*?)```", manual, re.DOTALL | re.MULTILINE)
    assert found
    authority = trustme.CA()
    with native_compose(folder, {"MQTT_PASSWORD": OURS}) as stack:
        issued = authority.issue_cert(stack.addresses["mosquitto"])
        certificates = folder / "certificates"
        certificates.mkdir()
        issued.private_key_pem.write_to_path(certificates / "key.pem")
        for blob in issued.cert_chain_pems:
            blob.write_to_path(certificates / "chain.pem", append=True)
        (certificates / "key.pem").chmod(0o644)
        stack.append(
            "mosquitto", "/mosquitto/config/mosquitto.conf",
            found[1].replace("/mosquitto/certificates", str(certificates)),
        )  # fmt: skip
        stack.start("mosquitto")
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        async with login(stack, "ioc", OURS, port=8883, tls_context=trusting) as ours:
            await ours.subscribe("$SYS/broker/uptime")
            async with asyncio.timeout(20):
                await anext(ours.messages)
        with pytest.raises(aiomqtt.MqttError):
            async with login(stack, "ioc", OURS, port=8883, timeout=2):
                pass
