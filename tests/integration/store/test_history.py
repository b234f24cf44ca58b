"""History: what is written is read back, filtered and paged, with contacts masked."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from ioc.model.events import (
    DATA_TYPES,
    CameraPlate,
    CameraStatus,
    Event,
    EventData,
    FeedbackReport,
    Stream,
    TrafficFlow,
)
from ioc.model.times import SECOND_US, to_us
from ioc.store.history import MASK, HistoryCursorError, HistoryQuery, read_history
from ioc.store.moment import read_moment
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import FULL_DATA, NOON_US, event

Connection = AsyncConnection[Any]
LATEST_US = to_us(datetime.max.replace(tzinfo=UTC))
ALWAYS: dict[str, Any] = {"from_us": 0, "to_us": NOON_US * 2}


async def stored(connection: Connection, stream: Stream) -> list[Event]:
    found: list[Event] = []
    cursor = None
    while True:
        page = await read_history(connection, HistoryQuery(stream=stream, cursor=cursor, limit=7, **ALWAYS))
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def as_read(written: Event) -> Event:
    if isinstance(written.data, FeedbackReport) and written.data.contact is not None:
        return msgspec.structs.replace(written, data=msgspec.structs.replace(written.data, contact=MASK))
    return written


async def test_every_type_with_every_field_is_read_back_as_it_was(connection: Connection) -> None:
    assert {type(data) for data in FULL_DATA} == set(DATA_TYPES.values())
    events = [event(number, data, subject="plate:1") for number, data in enumerate(FULL_DATA)]
    await HistoryWriter().write(connection, events)
    found = [item for stream in Stream for item in await stored(connection, stream)]
    assert {item.id: item for item in found} == {item.id: as_read(item) for item in events}


async def test_a_contact_is_masked_and_stands_in_no_other_column(connection: Connection) -> None:
    report = FeedbackReport(category="a", text="b", contact="0912345678")
    await HistoryWriter().write(connection, [event(1, report)])
    (found,) = await stored(connection, Stream.FEEDBACK)
    assert "0912345678" not in str(found)
    row = await (await connection.execute("SELECT contact, data::text FROM feedback_report")).fetchone()
    assert row == ("0912345678", None)


async def test_defaults_take_no_room(connection: Connection) -> None:
    await HistoryWriter().write(connection, [event(n, data) for n, data in enumerate(FULL_DATA[7:8])])
    await HistoryWriter().write(connection, [event(1)])
    rows = await (await connection.execute("SELECT data FROM traffic_measurement")).fetchall()
    assert rows == [(None,), (None,)]


TEXTS = st.text(st.characters(), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXTS


def any_data(structure: type[Any]) -> st.SearchStrategy[EventData]:
    """Data of one type, as hostile as its field types allow."""
    given_fields: dict[str, st.SearchStrategy[object]] = {
        "extra": st.dictionaries(TEXTS, SCALARS, max_size=3)
    }
    for field in msgspec.structs.fields(structure):
        if field.type in (str, str | None):
            given_fields[field.name] = TEXTS
    return st.builds(structure, **given_fields)


@given(st.lists(st.one_of([any_data(structure) for structure in DATA_TYPES.values()]), max_size=4))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_no_event_can_stop_the_writer(connection: Connection, found: list[EventData]) -> None:
    hostile = {"source": "s\x00", "ward": "w\ud800", "subject": "\x00", "time_us": 2**62, "lon": float("nan")}
    events = [event(number, data, **hostile) for number, data in enumerate(found)]
    async with connection.transaction(force_rollback=True):
        await HistoryWriter().write(connection, events)
        pages = [
            await read_history(connection, HistoryQuery(stream=stream, from_us=0, to_us=LATEST_US))
            for stream in Stream
        ]
        assert sum(len(page.items) for page in pages) == len(found)


async def test_filters_and_bounds(connection: Connection) -> None:
    await HistoryWriter().write(connection, [event(number) for number in range(30)])

    async def ids(**changes: Any) -> set[int]:
        query = HistoryQuery(**({"stream": Stream.TRAFFIC, **ALWAYS} | changes))
        return {int(item.id[2:]) for item in (await read_history(connection, query)).items}

    everything = set(range(30))
    assert await ids() == everything
    assert await ids(stream=Stream.CAMERA) == set()
    assert await ids(from_us=NOON_US + 3 * SECOND_US, to_us=NOON_US + 5 * SECOND_US) == {3, 4}
    assert await ids(wards=("2571", "2572")) == {n for n in everything if n % 3}
    assert await ids(wards=()) == set()
    assert await ids(source="det-3") == {n for n in everything if n % 7 == 3}
    assert await ids(bbox=(106.6095, 10.9, 106.6125, 11.1)) == {10, 11, 12}
    assert await ids(type="traffic.status") == set()
    assert len(await ids(limit=0)) == 1


async def test_pages_cover_everything_once_newest_first_even_within_one_microsecond(
    connection: Connection,
) -> None:
    events = [event(number, time_us=NOON_US + number // 9, source=f"s-{number % 4}") for number in range(50)]
    await HistoryWriter().write(connection, events)
    found = await stored(connection, Stream.TRAFFIC)
    assert [item.time_us for item in found] == sorted((e.time_us for e in events), reverse=True)
    assert sorted(item.id for item in found) == sorted(item.id for item in events)


async def test_a_page_is_bounded(connection: Connection) -> None:
    await HistoryWriter().write(connection, [event(number) for number in range(1200)])
    page = await read_history(connection, HistoryQuery(stream=Stream.TRAFFIC, limit=10**6, **ALWAYS))
    assert len(page.items) == 1000
    assert page.next is not None


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", "kwGhYaFiYw", "👻"])
async def test_a_foreign_cursor_is_refused(connection: Connection, cursor: str) -> None:
    with pytest.raises(HistoryCursorError):
        await read_history(connection, HistoryQuery(stream=Stream.TRAFFIC, cursor=cursor, **ALWAYS))


async def test_integers_beyond_64_bits_are_brought_within(connection: Connection) -> None:
    await HistoryWriter().write(connection, [event(1, TrafficFlow(volume_veh=2**64 - 1))])
    (found,) = await stored(connection, Stream.TRAFFIC)
    assert isinstance(found.data, TrafficFlow)
    assert found.data.volume_veh == 2**63 - 1


async def test_a_moment_holds_the_newest_of_each_source_type_and_lane_of_its_wards(
    connection: Connection,
) -> None:
    at_us = NOON_US
    flows = [
        event(1, TrafficFlow(lane="1"), source="d", time_us=at_us - 2 * SECOND_US, ward="a"),
        event(2, TrafficFlow(lane="1"), source="d", time_us=at_us, ward="a"),
        event(3, TrafficFlow(lane="2"), source="d", time_us=at_us - 3 * SECOND_US, ward="a"),
        event(4, TrafficFlow(), source="e", time_us=at_us - SECOND_US, ward="b"),
        event(5, TrafficFlow(), source="f", time_us=at_us - SECOND_US, ward="c"),
        event(6, TrafficFlow(lane="1"), source="d", time_us=at_us + 1, ward="a"),
        event(7, TrafficFlow(), source="g", time_us=at_us - 10 * SECOND_US, ward="a"),
        event(8, CameraStatus(online=False), source="k", time_us=at_us - SECOND_US, ward="a"),
        event(9, CameraPlate(plate="x"), source="k", time_us=at_us - SECOND_US, ward="a"),
    ]
    await HistoryWriter().write(connection, flows)
    found = await read_moment(connection, ("a", "b"), at_us, 10 * SECOND_US)
    assert [int(each.id[2:]) for each in found] in ([3, 8, 4, 2], [3, 4, 8, 2])
    assert await read_moment(connection, (), at_us, 10 * SECOND_US) == []
    assert await read_moment(connection, ("\x00",), at_us, 10 * SECOND_US) == []
