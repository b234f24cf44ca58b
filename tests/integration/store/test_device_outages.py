"""Devices out of service: refused at once, excused by the log's time, and what was known of them stays."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from ioc.model.device_health import LEAD_US, Outage, OutageKind
from ioc.model.places import Device, DeviceKind
from ioc.model.times import DAY_US, HOUR_US, MINUTE_US, parse_us
from ioc.store import device_outages as outages
from ioc.store.attachments import claim, read_attachments
from ioc.store.device_logins import SealedLogin, put_login, read_logins
from ioc.store.device_maintenance import add_window, read_windows
from ioc.store.devices import (
    UnknownDeviceError,
    issue_key,
    keys_of,
    read_device,
    read_keys,
    read_version,
    upsert_devices,
)
from ioc.store.figure_samples import read_devices as count_devices

Connection = AsyncConnection[Any]
NOW_US = parse_us("2026-11-22T10:00:30Z")
CAMERA = Device(id="cam-1", kind=DeviceKind.CAMERA, name="Cổng", ward="25747", expected_interval_s=30.0)
OTHER = msgspec.structs.replace(CAMERA, id="cam-2")


async def disable(
    connection: Connection, now_us: int = NOW_US, reason: str = "sửa cột"
) -> tuple[Outage, bool]:
    return await outages.disable_device(connection, "cam-1", reason=reason, author="an", now_us=now_us)


async def remove(
    connection: Connection, device_id: str = "cam-1", now_us: int = NOW_US
) -> tuple[Outage, bool]:
    return await outages.remove_device(connection, device_id, reason="hỏng", author="an", now_us=now_us)


async def test_disabling_twice_is_once_and_rules_go_by_a_moment_to_come(connection: Connection) -> None:
    await upsert_devices(connection, [CAMERA])
    first, new = await disable(connection)
    assert (first.kind, first.from_us, first.to_us, new) == (
        OutageKind.DISABLED,
        NOW_US + LEAD_US,
        None,
        True,
    )
    version = await read_version(connection)
    assert await disable(connection, NOW_US + HOUR_US, "khác") == (first, False)
    assert await read_version(connection) == version, (
        "what changes nothing makes nobody read the registry anew"
    )
    assert await outages.read_disabled(connection) == {"cam-1": first}
    assert await outages.read_outages(connection, NOW_US + DAY_US) == [first]
    ended = await outages.enable_device(connection, "cam-1", NOW_US + HOUR_US)
    assert ended == msgspec.structs.replace(first, to_us=NOW_US + HOUR_US + LEAD_US)
    assert await outages.enable_device(connection, "cam-1", NOW_US + 2 * HOUR_US) is None
    assert await outages.read_disabled(connection) == {}
    assert await outages.read_outages(connection, NOW_US) == [ended]
    assert await outages.read_outages(connection, NOW_US + DAY_US) == []


async def test_enabled_before_rules_could_know_it_was_never_away(connection: Connection) -> None:
    await upsert_devices(connection, [CAMERA])
    begun, _ = await disable(connection)
    ended = await outages.enable_device(connection, "cam-1", NOW_US)
    assert ended is not None
    assert ended.from_us == ended.to_us == begun.from_us


async def test_a_disabled_device_keeps_its_keys_and_leaves_figures_and_streams(
    connection: Connection,
) -> None:
    held = {"attach": "dahua", "attach_url": "http://10.0.0.7", "decoder": "dahua"}
    await upsert_devices(connection, [msgspec.convert(msgspec.to_builtins(CAMERA) | held, Device), OTHER])
    await issue_key(connection, "cam-1")
    assert [each.device_id for each in await read_attachments(connection)] == ["cam-1"]
    await disable(connection)
    assert len(await read_keys(connection)) == 1
    assert await read_attachments(connection) == []
    counts, _ = await count_devices(connection, NOW_US, None)
    assert [each.in_service for each in counts] == [1]


async def test_a_removed_device_takes_its_secrets_along_and_leaves_what_rules_knew(
    connection: Connection,
) -> None:
    await upsert_devices(connection, [CAMERA])
    await issue_key(connection, "cam-1")
    await put_login(connection, "cam-1", SealedLogin("ioc", b"sealed"))
    await claim(connection, "me", ["cam-1"], timedelta(minutes=1), 9)
    past = await add_window(
        connection, "cam-1", begin_us=NOW_US - HOUR_US, end_us=NOW_US - MINUTE_US, reason="x", author="an",
        now_us=NOW_US - 2 * HOUR_US,
    )  # fmt: skip
    running = await add_window(
        connection, "cam-1", begin_us=NOW_US - HOUR_US, end_us=NOW_US + HOUR_US, reason="x", author="an",
        now_us=NOW_US - 2 * HOUR_US,
    )  # fmt: skip
    await disable(connection, NOW_US - MINUTE_US)
    found, new = await remove(connection)
    assert (found.kind, found.device, new) == (OutageKind.REMOVED, CAMERA, True)
    assert await remove(connection) == (found, False)
    assert await read_device(connection, "cam-1") is None
    assert (await keys_of(connection, "cam-1"), await read_logins(connection)) == ([], {})
    before, removed = await outages.read_outages(connection, NOW_US - DAY_US)
    assert (before.kind, before.to_us, removed.from_us) == (OutageKind.DISABLED, found.from_us, found.from_us)
    assert await outages.read_outages(connection, found.from_us) == [], "rules forget in time what is gone"
    ended = msgspec.structs.replace(running, to_us=NOW_US + LEAD_US)
    assert await read_windows(connection, NOW_US - DAY_US) == [past, ended]

    await upsert_devices(connection, [CAMERA], NOW_US + HOUR_US)
    assert (await keys_of(connection, "cam-1"), await outages.read_disabled(connection)) == ([], {})
    (_, back) = await outages.read_outages(connection, NOW_US - DAY_US)
    assert back.to_us == NOW_US + HOUR_US + LEAD_US


async def test_what_cannot_be_taken_out_of_service_is_named(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for work in (disable(connection), remove(connection), outages.enable_device(connection, "cam-1", NOW_US)):
        with pytest.raises(UnknownDeviceError):
            await work
    await upsert_devices(connection, [CAMERA])
    with pytest.raises(outages.OutageError, match="reason: expected at most 500"):
        await disable(connection, reason="x" * 501)
    monkeypatch.setattr(outages, "MAX_OUTAGES", 0)
    with pytest.raises(outages.OutageError, match="device: at most 0 are disabled or removed within 31 days"):
        await remove(connection)
    assert await read_device(connection, "cam-1") == CAMERA
