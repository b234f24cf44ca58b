"""What open consoles are told when the register of devices changes."""

import json
from typing import Any

from ioc.model.places import DeviceKind
from ioc.stream.devices import MAX_CHANGES, DeviceBatch, DeviceRegister
from ioc.stream.ports import Viewer
from ioc.stream.scope import EVERYTHING, Scope
from ioc.stream.wire import DeviceJson
from tests.unit.stream.peer import Peer
from tests.unit.stream.samples import FakeLog
from tests.unit.stream.test_hub import connected, make_hub, take
from tests.unit.stream.test_session import joined, messages, types

WARD = Scope(frozenset({"w1"}))
ASKING = '{"type":"hello","caps":["patch","devices"]}'


def camera(name: str, ward: str | None = "w1", **more: object) -> DeviceJson:
    shown: dict[str, Any] = {"has_picture": False, "disabled": False, **more}
    return DeviceJson(name, DeviceKind.CAMERA, f"camera {name}", ward, 106.5, 11.0, **shown)


def told(batch: DeviceBatch | None, scope: Scope = EVERYTHING) -> dict[str, Any]:
    assert batch is not None
    found: dict[str, Any] = json.loads(batch.frame(scope).data)
    return found | {"set": [device["id"] for device in found["set"]]}


def register(*devices: DeviceJson) -> DeviceRegister:
    made = DeviceRegister()
    made.update(1, devices)
    return made


def test_what_is_new_changed_and_gone_is_told_and_nothing_else() -> None:
    known = register(camera("a"), camera("b"), camera("c"))
    batch = known.update(2, [camera("a"), camera("b", disabled=True), camera("d")])
    assert told(batch) == {"type": "devices", "version": 2, "before": 1, "set": ["b", "d"], "del": ["c"]}
    assert known.update(2, []) is None, "the same version again is nothing new"


def test_whoever_joins_is_told_which_version_is_in_force() -> None:
    known = register(camera("a"))
    known.update(2, [])
    assert told(known.standing) == {"type": "devices", "version": 2, "before": 2, "set": [], "del": []}


def test_a_device_that_leaves_a_ward_is_taken_from_its_people_and_says_nothing_of_where_it_is() -> None:
    known = register(camera("a"), camera("b", "w2"), camera("c", "w2"))
    batch = known.update(2, [camera("a", "w2"), camera("b"), camera("c", "w3")])
    seen = told(batch, WARD)
    assert (seen["set"], seen["del"]) == (["b"], ["a"])
    assert told(batch)["set"] == ["a", "b", "c"]


def test_too_many_changes_at_once_are_not_told_one_by_one() -> None:
    many = [camera(f"c{n}") for n in range(MAX_CHANGES + 1)]
    whole = told(register().update(2, many))
    assert (whole["before"], whole["set"]) == (None, [])
    assert len(told(register().update(2, many[1:]))["set"]) == MAX_CHANGES


def test_people_of_one_ward_share_the_encoded_frame() -> None:
    batch = register().update(2, [camera("a")])
    assert batch is not None
    assert batch.frame(WARD) is batch.frame(Scope(frozenset({"w1"})))


def test_only_clients_that_ask_for_it_are_told() -> None:
    batch = DeviceBatch(1, 2)
    asking, plain = joined(hello=ASKING), joined()
    for session in (asking, plain):
        session.offer_devices(batch)
    assert (types(asking.flush(0)), types(plain.flush(0))) == (["devices"], [])


async def test_open_consoles_are_told_at_once_and_those_that_join_what_is_in_force() -> None:
    hub = make_hub(FakeLog())
    await hub.follow_once()
    hub.show_devices(3, [camera("a")])
    client = hub.admit(Viewer("an", "login", EVERYTHING))
    client.session.on_frame(ASKING, hub.clock_us())
    await hub.join(client)
    standing = [each for each in messages(client.session.flush(hub.clock_us())) if each["type"] == "devices"]
    assert [(each["version"], each["before"]) for each in standing] == [(3, 3)]
    hub.show_devices(4, [camera("a", disabled=True)])
    (change,) = messages(client.session.flush(hub.clock_us()))
    assert (change["version"], change["before"], change["set"][0]["disabled"]) == (4, 3, True)
    hub.release(client)


async def test_a_client_that_never_asked_joins_as_before() -> None:
    hub, peer = make_hub(FakeLog()), Peer()
    await hub.follow_once()
    hub.show_devices(3, [camera("a")])
    async with connected(hub, peer) as client:
        hub.show_devices(4, [])
        take(hub, client, peer)
    assert "devices" not in {message["type"] for message in peer.frames}
