"""A device out of service: nobody misses it from a moment of the log on, in a replay as when it ran."""

from pathlib import Path
from typing import Any

from ioc.app.clock import now_us
from ioc.model.incidents import Condition
from ioc.model.places import Device, DeviceKind
from ioc.model.times import HOUR_US, SECOND_US
from ioc.store.device_outages import disable_device, remove_device
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from tests.integration.app.rule_city import SOURCES, RuleCity, rule_city

START_US = (now_us() - HOUR_US) // SECOND_US * SECOND_US
"""Not long ago: rules forget in time what is gone for good."""
SILENT = """
rule: camera-silent
title: {vi: "Mất tín hiệu", en: "Silent"}
stream: camera
absence: 30s
by: [source]
severity: low
"""
DISABLED, REMOVED = SOURCES[:2]
CAMERAS = [
    Device(id=source, kind=DeviceKind.CAMERA, name=source, expected_interval_s=10.0) for source in SOURCES
]


def at(second: int) -> int:
    return START_US + second * SECOND_US


async def tick(city: RuleCity, first: int, last: int) -> None:
    """Let seconds pass, and wait until the rules have seen them."""
    await city.append_seconds([(at(second), []) for second in range(first, last + 1)])
    await city.settle()


async def active(city: RuleCity) -> set[str | None]:
    return {i.source for i in await city.incidents() if i.condition is Condition.ACTIVE}


async def test_an_outage_ends_what_its_silence_raised_says_so_and_is_replayed_alike(
    database: Dsns, tmp_path: Path
) -> None:
    (tmp_path / "silent.yaml").write_text(SILENT)
    said: dict[str, Any] = {"reason": "hỏng", "author": "an"}
    async with rule_city(database, tmp_path, devices=CAMERAS) as city:
        async with city.worker():
            await tick(city, 0, 45)
            assert await active(city) == set(SOURCES)
            async with city.pool.connection() as connection:
                await disable_device(connection, DISABLED, now_us=at(50), **said)
            await city.directory.refresh()
            await tick(city, 46, 70)
            assert await active(city) == set(SOURCES) - {DISABLED}
            async with city.pool.connection() as connection:
                await remove_device(connection, REMOVED, now_us=at(75), **said)
            await city.directory.refresh()
            await tick(city, 71, 160)
            assert await active(city) == set(SOURCES) - {DISABLED, REMOVED}
        told = await city.query(
            "SELECT details->>'reason' FROM incident_audit WHERE op = 'cleared' ORDER BY 1"
        )
        assert told == [("device disabled",), ("device removed",)]
        cleared = {i.source: i.cleared_us for i in await city.incidents() if i.cleared_us is not None}
        assert cleared == {DISABLED: at(60), REMOVED: at(85)}
        lived = await city.export()

        city.forget_effects()
        async with city.worker():
            pass
        assert await city.export() == lived


async def test_a_removed_device_that_is_registered_anew_is_missed_again(
    database: Dsns, tmp_path: Path
) -> None:
    (tmp_path / "silent.yaml").write_text(SILENT)
    async with rule_city(database, tmp_path, devices=CAMERAS[:1]) as city, city.worker():
        async with city.pool.connection() as connection:
            await remove_device(connection, DISABLED, reason="", author="an", now_us=at(-10))
        await city.directory.refresh()
        await tick(city, 0, 60)
        assert await active(city) == set()
        async with city.pool.connection() as connection:
            await upsert_devices(connection, CAMERAS[:1], at(70))
        await city.directory.refresh()
        await tick(city, 61, 130)
        assert await active(city) == {DISABLED}
