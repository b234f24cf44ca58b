"""Devices from ingest to the people who look after them, over the database."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ioc.api.device_ports import (
    DeviceRefusedError,
    FileFormat,
    ImportReport,
    RegistryChangedError,
    device_tag,
)
from ioc.api.ports import NotFoundError
from ioc.app.devices.keeper import DeviceKeeper
from ioc.app.devices.registry import StoredDevices
from ioc.app.directory import Directory
from ioc.app.rules.expected import expected_sources
from ioc.app.sealing import Seal
from ioc.ingest.ports import Unavailable
from ioc.model.device_health import Condition
from ioc.model.places import Device, DeviceKind
from ioc.model.times import HOUR_US, SECOND_US
from ioc.rules.silence import Away
from ioc.store.audit import count_entries
from ioc.store.device_logins import read_logins
from ioc.store.devices import hash_key, upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.row_scope import RowScope, ScopedPool, acting_as
from tests.unit.ingest.fakes import CAMERA, City, body, cloud_event

SEAL = Seal(b"k" * 32)
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
        people = StoredDevices(pool, city.clock, SEAL)
        with acting_as(RowScope.of_person("ky-su", None)):
            camera, detector = (await people.standings()).items
            assert (camera.condition, detector.condition) == (Condition.OK, Condition.NEVER)
            assert (camera.health.refusal, camera.health.event_us) == ("json", city.clock.now_us)
            city.clock.now_us += 60 * SECOND_US
            assert (await people.standings()).items[0].health.events_per_min == 0.2
            window = await people.maintain("det-1", None, city.clock.now_us + HOUR_US, "thay pin", "ky-su")
            assert window.author == "ky-su"
            city.clock.now_us = window.from_us
            assert (await people.standings()).items[1].condition is Condition.MAINTENANCE
        await directory.refresh()
        away = expected_sources(directory.devices, directory.windows)["det-1"].away
        assert away == (Away(window.from_us, window.to_us),)
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


async def test_a_file_does_what_was_looked_at_and_nothing_else(pool: ScopedPool) -> None:
    people = StoredDevices(pool, City().clock, SEAL)

    async def take(data: str, **how: Any) -> ImportReport:
        return await people.take_file(data.encode(), FileFormat.CSV, "ky-su", **how)

    file = (
        "id,kind,name,expected_interval_s\ncam-1,camera,Cầu mới,30\ncam-2,camera,Chợ,\ncam-3,camera,Đình,5\n"
    )
    with acting_as(RowScope.of_person("ky-su", None)):
        await people.put("cam-1", {"kind": "camera", "name": "Cầu", "expected_interval_s": 30}, "ky-su")
        await people.put("cam-2", {"kind": "camera", "name": "Chợ"}, "ky-su")
        looked = await take(file, write=False)
        assert (looked.new, looked.changed, looked.same, looked.refused) == (1, 1, 1, 0)
        assert [(c.id, c.kind, [(f.field, f.before, f.after) for f in c.fields]) for c in looked.changes] == [
            ("cam-1", "changed", [("name", "Cầu", "Cầu mới")]),
            (
                "cam-3",
                "new",
                [
                    ("kind", "", "camera"),
                    ("name", "", "Đình"),
                    ("expected_interval_s", "", "5.0"),
                    ("decoder", "", "cloudevents"),
                ],
            ),
        ]
        assert {device.id for device in await people.registered()} == {"cam-1", "cam-2"}, (
            "a look writes nothing"
        )

        await people.put("cam-1", {"kind": "camera", "name": "Cống"}, "somebody")
        with pytest.raises(RegistryChangedError):
            await take(file, write=True, version=looked.version)
        assert (await people.device("cam-1")).name == "Cống"

        again = await take(file, write=False)
        assert (await take(file, write=True, version=again.version)).written
        assert (await people.device("cam-1")).name == "Cầu mới"
        assert (await people.device("cam-3")).expected_interval_s == 5.0
        assert (await take(await people.write_file(FileFormat.CSV), write=False)).same == 3

        wrong = "id,kind,name,lat\ncam-4,camera,D,1\ncam-5,camera,E,\n"
        with pytest.raises(DeviceRefusedError) as refused:
            await take(wrong, write=True)
        assert refused.value.faults[0][1].startswith("row 2 (id 'cam-4'): lon: ")
        kept = await take(wrong, write=True, keep_valid=True)
        assert (kept.new, kept.refused) == (1, 1)
        with pytest.raises(NotFoundError):
            await people.device("cam-4")


async def test_logins_of_a_file_are_sealed_when_it_is_written_and_not_when_it_is_looked_at(
    pool: ScopedPool,
) -> None:
    people = StoredDevices(pool, City().clock, SEAL)
    table = b"id,kind,name,login_user,login_password\ncam-1,camera,C,admin,secret\n"
    with acting_as(RowScope.of_person("ky-su", None)):
        found = []
        for write in (False, True):
            await people.take_file(table, FileFormat.CSV, "ky-su", write=write)
            async with pool.connection() as connection:
                found.append(await read_logins(connection))
    assert found[0] == {}
    login = found[1]["cam-1"]
    assert (login.user, b"secret" in login.sealed) == ("admin", False)
    assert (SEAL.open(login.sealed) or "").endswith("secret")


async def test_a_key_is_changed_by_people_and_named_by_its_hash(pool: ScopedPool) -> None:
    people = StoredDevices(pool, City().clock, SEAL)
    with acting_as(RowScope.of_person("ky-su", None)):
        await people.put("cam-1", {"kind": "camera", "name": "Cầu"}, "ky-su")
        first, none = await people.rotate_key("cam-1", 3_600, "ky-su")
        second, ends_us = await people.rotate_key("cam-1", 3_600, "ky-su")
        keys = await people.keys("cam-1")
        assert (none, len({first, second}), len(keys)) == (None, 2, 2)
        assert [key.expires_us for key in keys] == [ends_us, None]
        assert hash_key(second).hex().startswith(keys[1].hash)
        for unknown in (people.keys("cam-9"), people.rotate_key("cam-9", 0, "ky-su")):
            with pytest.raises(NotFoundError):
                await unknown


async def test_a_change_of_what_is_no_longer_as_seen_changes_nothing(pool: ScopedPool) -> None:
    people = StoredDevices(pool, City().clock, SEAL)
    with acting_as(RowScope.of_person("ky-su", None)):
        first = await people.put("cam-1", {"kind": "camera", "name": "Cầu"}, "ky-su", "")
        await people.put("cam-1", {"kind": "camera", "name": "Cống"}, "somebody", device_tag(first))
        for seen in (device_tag(first), ""):
            with pytest.raises(RegistryChangedError):
                await people.put("cam-1", {"kind": "camera", "name": "Chợ"}, "ky-su", seen)
        assert (await people.device("cam-1")).name == "Cống"


async def test_ten_lookers_cost_the_database_one_look_and_a_change_is_seen_at_once(pool: ScopedPool) -> None:
    clock = City().clock
    people = StoredDevices(pool, clock, SEAL)
    with acting_as(RowScope.of_person("ky-su", None)):
        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(people.standings()) for _ in range(10)]
        assert len({id(look.result()) for look in looks}) == 1
        await people.put("cam-1", {"kind": "camera", "name": "Cầu"}, "ky-su")
        changed = await people.standings()
        assert [each.device.id for each in changed.items] == ["cam-1"]
        clock.now_us += 5 * SECOND_US
        assert (await people.standings()).at_us == clock.now_us


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
