"""Health of devices in the database: processes add up; maintenance never changes what rules have seen."""

from typing import Any

import pytest
from psycopg import AsyncConnection

from ioc.model.device_health import LEAD_US, Condition, DeviceHealth, Window, condition
from ioc.model.places import Device, DeviceKind
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US, parse_us
from ioc.store import device_maintenance as maintenance
from ioc.store.device_health import DeviceCounts, add_counts, forget_minutes, read_health
from ioc.store.device_outages import remove_device
from ioc.store.devices import UnknownDeviceError, upsert_devices

Connection = AsyncConnection[Any]
NOW_US = parse_us("2026-11-22T10:00:30Z")
CAMERA = Device(id="cam-1", kind=DeviceKind.CAMERA, name="Cổng", expected_interval_s=30.0)


async def test_what_several_processes_count_adds_up(connection: Connection) -> None:
    await upsert_devices(connection, [CAMERA])
    for minute in range(1, 6):
        at_us = NOW_US - minute * MINUTE_US
        one = DeviceCounts(
            device_id="cam-1", seen_us=at_us, event_us=at_us, events=60, skew_us=SECOND_US, samples=9
        )
        await add_counts(connection, [one], at_us)
        other = DeviceCounts(
            device_id="cam-1", seen_us=at_us - 5, event_us=at_us - 5, events=20, refused=20, refusal="json",
            refused_us=at_us - 5, positions=2, backward=1, repeated=3, skew_us=9 * SECOND_US, samples=1,
            throttled_us=at_us,
        )  # fmt: skip
        await add_counts(connection, [other, DeviceCounts(device_id="gone", seen_us=at_us)], at_us)
    (found,) = (await read_health(connection, NOW_US)).values()
    newest_us = NOW_US - MINUTE_US
    assert found == DeviceHealth(
        device_id="cam-1", seen_us=newest_us, event_us=newest_us, events_per_min=80.0, refused_per_min=20.0,
        error_rate=0.2, skew_s=1.0, positions=10, backward=5, repeated=15, refusal="json",
        throttled_us=newest_us,
    )  # fmt: skip
    later_us = NOW_US + 2 * HOUR_US
    await forget_minutes(connection, later_us)
    quiet = (await read_health(connection, later_us))["cam-1"]
    assert (quiet.event_us, quiet.events_per_min, quiet.error_rate, quiet.skew_s) == (
        newest_us,
        0.0,
        None,
        None,
    )
    await remove_device(connection, "cam-1", reason="", author="an", now_us=NOW_US)
    assert await read_health(connection, NOW_US) == {}


HERE = {"away": False, "disabled": False}


def test_one_word_for_a_device() -> None:
    heard = DeviceHealth(device_id="cam-1", event_us=NOW_US)
    silent_us = NOW_US + 91 * SECOND_US
    assert condition(CAMERA, heard, NOW_US + 90 * SECOND_US, **HERE) is Condition.OK
    assert condition(CAMERA, heard, silent_us, **HERE) is Condition.STALE
    assert condition(CAMERA, heard, silent_us, **HERE | {"away": True}) is Condition.MAINTENANCE
    assert condition(CAMERA, None, NOW_US, **HERE) is Condition.NEVER
    assert condition(CAMERA, heard, silent_us, away=True, disabled=True) is Condition.DISABLED
    throttled = DeviceHealth(device_id="cam-1", throttled_us=NOW_US)
    assert condition(CAMERA, throttled, NOW_US, **HERE) is Condition.THROTTLED
    assert condition(CAMERA, throttled, NOW_US + 91 * SECOND_US, **HERE) is Condition.NEVER
    loose = Device(id="d", kind=DeviceKind.DETECTOR, name="D")
    assert condition(loose, None, NOW_US, **HERE) is Condition.UNKNOWN
    seen = DeviceHealth(device_id="d", seen_us=NOW_US)
    assert condition(loose, seen, NOW_US + HOUR_US, **HERE) is Condition.OK


async def announce(connection: Connection, begin_us: int, end_us: int, **changes: Any) -> Window:
    values = {"reason": "thay ống kính", "author": "an", "now_us": NOW_US, **changes}
    return await maintenance.add_window(connection, "cam-1", begin_us=begin_us, end_us=end_us, **values)


async def test_maintenance_begins_and_ends_no_earlier_than_rules_can_know(connection: Connection) -> None:
    await upsert_devices(connection, [CAMERA])
    window = await announce(connection, NOW_US - HOUR_US, NOW_US + HOUR_US)
    assert window.from_us == NOW_US + LEAD_US
    later = await announce(connection, NOW_US + 2 * HOUR_US, NOW_US + 3 * HOUR_US)
    assert await maintenance.read_windows(connection, NOW_US) == [window, later]
    ended = await maintenance.end_window(connection, window.id, NOW_US + MINUTE_US)
    assert (ended.from_us, ended.to_us) == (window.from_us, NOW_US + MINUTE_US + LEAD_US)
    again = await maintenance.end_window(connection, window.id, NOW_US + HOUR_US)
    assert again.to_us == ended.to_us
    never = await maintenance.end_window(connection, later.id, NOW_US)
    assert never.from_us == never.to_us
    with pytest.raises(UnknownDeviceError):
        await maintenance.end_window(connection, 99, NOW_US)


async def test_maintenance_that_cannot_be_names_its_field(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownDeviceError):
        await announce(connection, NOW_US, NOW_US + HOUR_US)
    await upsert_devices(connection, [CAMERA])
    for begin_us, end_us, reason, finding in (
        (NOW_US, NOW_US + SECOND_US, "x", "to: expected later"),
        (NOW_US, NOW_US + 93 * 24 * HOUR_US, "x", "to: expected within 92 days"),
        (NOW_US, parse_us("9999-12-31T23:59:59-14:00"), "x", "within 92 days"),
        (NOW_US, NOW_US + HOUR_US, " ", "reason: expected 1 to 500"),
    ):
        with pytest.raises(maintenance.MaintenanceError, match=finding):
            await announce(connection, begin_us, end_us, reason=reason)
    monkeypatch.setattr(maintenance, "MAX_WINDOWS", 0)
    with pytest.raises(maintenance.MaintenanceError, match="there are already 0 windows"):
        await announce(connection, NOW_US, NOW_US + HOUR_US)
