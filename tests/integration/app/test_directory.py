"""The directory in memory follows the database and the calendar."""

import datetime as dates

import pytest

from ioc.app import directory as module
from ioc.app.directory import Directory
from ioc.model.places import Area
from ioc.model.texts import Text
from ioc.store.areas import replace_areas
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
