"""Cameras as they really connect: topics below their own prefix, a last will, subscriptions for commands."""

import json

import aiomqtt

from ioc.model.events import AlarmKind, CameraAlarm, CameraPlate
from tests.integration.ingest.test_mqtt import client, listening
from tests.unit.ingest.fakes import City


async def test_a_profile_m_camera_publishes_below_its_prefix_and_its_topic_is_understood() -> None:
    city = City()
    body = {
        "UtcTime": "2026-11-22T09:59:50.120Z",
        "Source": {"VideoSource": "1", "Rule": "gate"},
        "Data": {"IsInside": "true", "ObjectId": "15"},
    }
    topic = "ioc/v1/onvif-1/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&1/gate"
    async with listening(city) as listener, client(listener, "onvif-1") as camera:
        await camera.publish(topic, json.dumps(body).encode(), qos=1, retain=True)
        await camera.publish(topic, json.dumps(body).encode(), qos=1)
    [event] = city.log.events
    assert (event.source, event.ward) == ("onvif-1", "25747")
    assert event.data == CameraAlarm(
        kind=AlarmKind.INTRUSION,
        zone="gate",
        track_id="15",
        extra={"topic": "RuleEngine/FieldDetector/ObjectsInside", "VideoSource": 1},
    )


async def test_a_frigate_server_with_our_prefix_speaks_for_its_cameras() -> None:
    city = City()
    prefix = "ioc/v1/nvr-1"
    update = {"type": "lpr", "id": "1.2-a", "plate": "61A67890", "score": 0.9, "camera": "gate"}
    will = aiomqtt.Will(f"{prefix}/available", b"offline", qos=1, retain=True)
    async with listening(city) as listener, client(listener, "nvr-1", will=will) as frigate:
        await frigate.subscribe(f"{prefix}/gate/detect/set")  # refused, and that is all
        await frigate.publish(f"{prefix}/available", b"online", qos=1, retain=True)
        await frigate.publish(f"{prefix}/gate/detect/state", b"ON", qos=1)
        await frigate.publish(f"{prefix}/tracked_object_update", json.dumps(update).encode(), qos=1)
        await frigate.publish(f"{prefix}/elsewhere/person", b"1", qos=1)
    assert [event.source for event in city.log.events] == ["nvr-1", "nvr-1-gate"]
    assert isinstance(city.log.events[1].data, CameraPlate)
    assert [(row.source, row.reason) for row in city.quarantine.rows] == [
        ("nvr-1-elsewhere", "registered_source")
    ]


async def test_words_without_a_time_that_came_together_happened_one_after_the_other() -> None:
    city = City()
    device = city.registry.device("nvr-1")
    assert device is not None
    words = [b"ON", b"OFF", b"ON"]
    await city.service.accept_all(device, words, transport="mqtt", topic="gate/motion", wait=True)
    data = [event.data for event in city.log.events]
    assert [isinstance(each, CameraAlarm) and each.active for each in data] == [True, False, True]
    times = [event.time_us for event in city.log.events]
    assert times == sorted(set(times))
