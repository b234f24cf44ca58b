"""Routes: whose a message of an external broker is."""

import pytest

from ioc.ingest.mqtt_routes import parse_routes, sender_of

ROUTES = parse_routes(
    {
        "frigate/#": "nvr-1",
        "$share/ioc/site/+/frigate/#": "nvr-2",
        "+/onvif-ej/#": "gw-1",
        "gate/onvif-ej/VideoSource/MotionAlarm": "cam-9",
        "plain/topic": "cam-8",
    }
)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("ioc/v1/cam-1/events", ("cam-1", "events")),
        ("ioc/v1/cam-1/onvif-ej/a/b", ("cam-1", "onvif-ej/a/b")),
        ("frigate/events", ("nvr-1", "events")),
        ("frigate/gate/status/detect", ("nvr-1", "gate/status/detect")),
        ("frigate", ("nvr-1", "frigate")),
        ("site/a/frigate/events", ("nvr-2", "a/frigate/events")),
        ("Cam1/onvif-ej/Device/IO", ("gw-1", "Cam1/onvif-ej/Device/IO")),
        ("gate/onvif-ej/VideoSource/MotionAlarm", ("gw-1", "gate/onvif-ej/VideoSource/MotionAlarm")),
        ("plain/topic", ("cam-8", "plain/topic")),
        ("nobody/knows", (None, "nobody/knows")),
        ("cam-1/events", (None, "cam-1/events")),
    ],
)
def test_the_first_matching_route_names_the_device_and_what_its_decoder_is_told(
    topic: str, expected: tuple[str, str]
) -> None:
    assert sender_of(topic, ROUTES) == expected


def test_a_route_for_everything_does_not_take_what_names_its_device_itself() -> None:
    routes = parse_routes({"#": "gw-1"})
    assert sender_of("ioc/v1/cam-1/events", routes) == ("cam-1", "events")
    assert sender_of("a/b", routes) == ("gw-1", "a/b")


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ({"a/#/b": "x"}, "a/#/b is no topic filter"),
        ({"a+/b": "x"}, "no topic filter"),
        ({"": "x"}, "no topic filter"),
        ({"ioc/v1/+/events": "x"}, "name their device themselves"),
        ({"$share/g/ioc/v1/#": "x"}, "name their device themselves"),
        ({"a/#": ""}, "a/# needs the id"),
    ],
)
def test_a_route_that_cannot_work_is_refused_naming_it(routes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_routes(routes)
