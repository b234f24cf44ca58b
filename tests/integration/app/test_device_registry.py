"""Devices from ingest to the people who look after them, over the database."""

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from ioc.api.device_ports import DeviceRefusedError
from ioc.app.device_keeper import DeviceKeeper
from ioc.app.device_registry import StoredDevices
from ioc.app.directory import Directory
from ioc.app.expected import expected_sources
from ioc.ingest.ports import Unavailable
from ioc.model.device_health import Condition
from ioc.model.places import Device, DeviceKind
from ioc.model.times import HOUR_US, SECOND_US
from ioc.store.audit import count_entries
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.row_scope import RowScope, ScopedPool, acting_as
from tests.unit.ingest.fakes import CAMERA, City, body, cloud_event

WATCHED = Device(id="cam-1", kind=DeviceKind.CAMERA, name="C", expected_interval_s=30.0)
IDLE = Device(id="det-1", kind=DeviceKind.DETECTOR, name="D", expected_interval_s=30.0)


async def test_what_ingest_counts_is_seen_and_maintenance_reaches_the_rules(
    database: Dsns, pool: ScopedPool
) -> None:
    city = City()
    async with open_pool(database.app, name="work", max_size=2) as work:
        async with work.connection() as connection:
            await upsert_devices(connection, [WATCHED, IDLE])
        directory = Directory(work)
        await directory.refresh()
        keeper = DeviceKeeper(
            work, city.service.device_counts, city.service.budgets, directory, city.clock, 1.0
        )
        await city.service.accept(CAMERA, body(cloud_event(1)) + b"\n{")
        await keeper.write()
        await keeper.write()  # nothing is written twice
        people = StoredDevices(pool, city.clock)
        with acting_as(RowScope.of_person("ky-su", None)):
            camera, detector = await people.standings()
            assert (camera.condition, detector.condition) == (Condition.OK, Condition.NEVER)
            assert (camera.health.refusal, camera.health.event_us) == ("json", city.clock.now_us)
            city.clock.now_us += 60 * SECOND_US
            assert (await people.standings())[0].health.events_per_min == 0.2
            window = await people.maintain("det-1", None, city.clock.now_us + HOUR_US, "thay pin", "ky-su")
            assert window.author == "ky-su"
            city.clock.now_us = window.from_us
            assert (await people.standings())[1].condition is Condition.MAINTENANCE
        await directory.refresh()
        away = expected_sources(directory.devices, directory.windows)["det-1"].away
        assert away == ((window.from_us, window.to_us),)
        assert directory.away("det-1", window.from_us)
        await keeper.look()
        labels = {"kind": "detector", "condition": "maintenance"}
        assert REGISTRY.get_sample_value("ioc_devices", labels) == 1.0
        with acting_as(RowScope.of_person("ky-su", None)):
            await people.end_maintenance(window.id, "ky-su")
            put = await people.put("cam-9", {"kind": "camera", "name": "Mới"}, "ky-su")
            assert put in await people.registered()
            try:
                await people.put("a/b", {"kind": "camera"}, "ky-su")
            except DeviceRefusedError as error:
                assert [field for field, _ in error.faults] == ["name", "id"]
        async with work.connection() as connection:
            assert await count_entries(connection) == 3


async def test_what_cannot_be_written_waits_for_the_next_time(database: Dsns) -> None:
    city = City()
    async with open_pool(database.app, name="work", max_size=1) as work:
        async with work.connection() as connection:
            await upsert_devices(connection, [WATCHED])
        keeper = DeviceKeeper(
            Failing(), city.service.device_counts, city.service.budgets, Directory(work), city.clock, 1.0
        )
        await city.service.accept(CAMERA, body(cloud_event(1)))
        for _ in range(2):
            with suppress(OSError):
                await keeper.write()
        (tally,) = city.service.device_counts.take()
        assert tally.events == 1


async def test_an_installation_that_has_not_been_told_the_time_keeps_running(database: Dsns) -> None:
    city, asked = City(), 0

    def clock() -> int:
        nonlocal asked
        asked += 1
        if asked <= 3:
            raise Unavailable("clock")
        raise Reached

    async with open_pool(database.app, name="work", max_size=1) as work:
        keeper = DeviceKeeper(
            work, city.service.device_counts, city.service.budgets, Directory(work), clock, 0.001
        )
        async with asyncio.timeout(30):
            with pytest.raises(Reached):
                await keeper.run()
    assert asked == 4


class Reached(Exception):
    """The keeper went on asking."""


class Failing:
    """A pool whose database is away."""

    def connection(self, timeout: float | None = None) -> None:
        raise ConnectionError("away")
