"""The directory in memory follows the database and the calendar."""

import asyncio
import datetime as dates
import threading
from collections.abc import Iterable

import pytest

from ioc.app import directory as module
from ioc.app.directory import Directory
from ioc.geo.index import AreaIndex
from ioc.model.places import Area, Device, DeviceKind
from ioc.model.texts import Text
from ioc.store.areas import replace_areas
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool

SQUARE = {"type": "Polygon", "coordinates": [[[106, 11], [107, 11], [107, 12], [106, 12], [106, 11]]]}


class FakeDatetime(dates.datetime):
    """A calendar that the test turns."""

    today_is = dates.datetime(2026, 11, 30, 12, tzinfo=module.CITY_ZONE)

    @classmethod
    def now(cls, tz: dates.tzinfo | None = None) -> dates.datetime:
        return cls.today_is


async def test_boundaries_with_a_date_come_into_force_on_their_day(
    database: Dsns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "datetime", FakeDatetime)
    old = Area(code="W1", kind="ward", name=Text("a", "a"), geometry=SQUARE, valid_to="2026-12-01")
    new = Area(code="W2", kind="ward", name=Text("b", "b"), geometry=SQUARE, valid_from="2026-12-01")
    async with open_pool(database.app, name="test") as pool:
        async with pool.connection() as connection:
            await replace_areas(connection, "ward", [old, new])
        directory = Directory(pool)
        await directory.refresh()
        assert directory.ward_of(106.5, 11.5) == "W1"
        monkeypatch.setattr(FakeDatetime, "today_is", FakeDatetime.today_is + dates.timedelta(days=1))
        await directory.refresh()
        assert directory.ward_of(106.5, 11.5) == "W2"


async def test_boundaries_are_built_beside_the_loop_and_swapped_as_a_whole(
    database: Dsns, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, builders = asyncio.Event(), threading.Event(), list[threading.Thread]()
    at, loop = AreaIndex.at, asyncio.get_running_loop()

    def slow(areas: Iterable[Area], day: dates.date) -> AreaIndex:
        builders.append(threading.current_thread())
        loop.call_soon_threadsafe(begun.set)
        assert may_end.wait(60)
        return at(areas, day)

    async with open_pool(database.app, name="test") as pool:

        async def put(code: str) -> None:
            new = Area(code=code, kind="ward", name=Text("a", "a"), geometry=SQUARE)
            async with pool.connection() as connection:
                await replace_areas(connection, "ward", [new])

        directory = Directory(pool)
        await put("W1")
        await directory.refresh()
        held = directory.index
        await put("W2")
        async with pool.connection() as connection:
            await upsert_devices(connection, [Device(id="new", kind=DeviceKind.CAMERA, name="new")])
        monkeypatch.setattr(AreaIndex, "at", slow)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(directory.refresh())
            await begun.wait()
            # The loop runs on, and whoever asks meanwhile gets the old boundaries whole.
            version, old = directory.area_version, directory.index
            assert (directory.ward_of(106.5, 11.5), old is held) == ("W1", True)
            # No device is known before the boundaries of its time.
            assert (directory.devices, directory.registry.device("new")) == ([], None)
            may_end.set()
        assert builders[0] is not threading.main_thread()
        assert directory.ward_of(106.5, 11.5) == "W2"
        assert directory.area_version > version
        assert [device.id for device in directory.devices] == ["new"]
        assert held.ward_of(106.5, 11.5) == "W1"  # a batch that began with the old one ends with it
