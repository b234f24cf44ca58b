"""Devices, their keys, and areas."""

from datetime import date
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from ioc.model.places import Area, Device, DeviceKind
from ioc.model.texts import Text
from ioc.store import areas, devices

Connection = AsyncConnection[Any]
CAMERA = Device(
    id="cam-1",
    kind=DeviceKind.CAMERA,
    name="Ngã tư Phú Lợi",
    ward="25747",
    lon=106.6,
    lat=11.0,
    expected_interval_s=30.0,
    picture_url="http://127.0.0.1/1.jpg",
)
GATEWAY = Device(
    id="gw-1", kind=DeviceKind.GATEWAY, name="Tủ 1", covers=("cam-25747-*", "det-1"), trusts_position=True
)


async def test_devices_are_read_back_as_registered_and_replaced(connection: Connection) -> None:
    first = await devices.upsert_devices(connection, [GATEWAY, CAMERA])
    assert await devices.read_devices(connection) == [CAMERA, GATEWAY]
    moved = msgspec.structs.replace(CAMERA, ward="25750", picture_url=None)
    assert (
        await devices.upsert_devices(connection, [moved])
        == first + 1
        == await devices.read_version(connection)
    )
    assert await devices.read_devices(connection) == [moved, GATEWAY]


async def test_a_key_is_shown_once_and_found_by_its_hash_until_revoked(connection: Connection) -> None:
    await devices.upsert_devices(connection, [CAMERA, GATEWAY])
    key, other = (
        await devices.issue_key(connection, "cam-1", "tủ"),
        await devices.issue_key(connection, "gw-1"),
    )
    assert await devices.device_of_key(connection, key) == CAMERA
    assert await devices.device_of_key(connection, key + "x") is None
    assert dict(await devices.read_keys(connection)) == {
        devices.hash_key(key): "cam-1",
        devices.hash_key(other): "gw-1",
    }
    version = await devices.read_version(connection)
    await devices.revoke_key(connection, devices.hash_key(key))
    assert await devices.read_version(connection) > version
    assert await devices.device_of_key(connection, key) is None
    (info,) = await devices.keys_of(connection, "cam-1")
    assert info.label == "tủ"
    assert info.revoked_us is not None
    stored = await (await connection.execute("SELECT device_key::text FROM device_key")).fetchall()
    assert key.removeprefix(devices.KEY_PREFIX) not in str(stored)


async def test_two_keys_are_valid_while_rotating(connection: Connection) -> None:
    await devices.upsert_devices(connection, [CAMERA])
    old, new = await devices.issue_key(connection, "cam-1"), await devices.issue_key(connection, "cam-1")
    assert (
        await devices.device_of_key(connection, old) == await devices.device_of_key(connection, new) == CAMERA
    )


async def test_unknown_devices_and_keys_are_refused(connection: Connection) -> None:
    with pytest.raises(devices.UnknownDeviceError):
        await devices.issue_key(connection, "cam-9")
    with pytest.raises(devices.UnknownDeviceError):
        await devices.revoke_key(connection, bytes(32))
    assert await devices.read_version(connection) == 0


def ward(code: str, begin: str = "1900-01-01", end: str | None = None, kind: str = "ward") -> Area:
    return Area(
        code=code,
        kind=kind,
        name=Text(vi=f"Phường {code}", en=f"{code} ward"),
        geometry={
            "type": "Polygon",
            "coordinates": [[[106.6, 11.0], [106.7, 11.0], [106.7, 11.1], [106.6, 11.0]]],
        },
        valid_from=begin,
        valid_to=end,
        illustrative=True,
        properties={"population": 12_345, "note": None},
    )


async def test_areas_are_read_back_and_replaced_by_kind(connection: Connection) -> None:
    wards = [ward("25747", "1900-01-01", "2025-07-01"), ward("25747", "2025-07-01"), ward("25750")]
    school = ward("s-1", kind="school")
    version = await areas.replace_areas(connection, "ward", wards)
    assert await areas.replace_areas(connection, "school", [school]) == version + 1
    assert await areas.read_areas(connection) == [school, *wards]
    assert await areas.read_areas(connection, "ward") == wards
    assert await areas.read_areas(connection, "ward", date(2025, 6, 30)) == [wards[0], wards[2]]
    assert await areas.read_areas(connection, "ward", date(2025, 7, 1)) == wards[1:]
    assert await areas.area_kinds(connection) == {"school": 1, "ward": 3}
    await areas.replace_areas(connection, "ward", [])
    assert await areas.read_areas(connection) == [school]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([ward("1", kind="school")], "is of kind school"),
        ([ward("1", "2025-01-01", "2025-01-01")], "before it begins"),
        ([ward("1", "2025-13-01")], "month must be in 1..12"),
        ([ward("1", "2025-01-01"), ward("1", "2026-01-01")], "in force twice"),
        ([ward("1", "2025-01-01", "2026-01-02"), ward("1", "2026-01-01")], "in force twice"),
        ([ward("1"), ward("1")], "in force twice"),
    ],
)
async def test_contradicting_areas_change_nothing(
    connection: Connection, wrong: list[Area], why: str
) -> None:
    await areas.replace_areas(connection, "ward", [ward("25747")])
    version = await areas.read_version(connection)
    with pytest.raises(areas.AreaError, match=why):
        await areas.replace_areas(connection, "ward", wrong)
    assert await areas.read_areas(connection) == [ward("25747")]
    assert await areas.read_version(connection) == version
