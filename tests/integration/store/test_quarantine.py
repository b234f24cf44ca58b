"""Quarantine keeps what was refused, within bounds."""

from typing import Any

import pytest
from psycopg import AsyncConnection

from ioc.store.quarantine import (
    MAX_RAW_BYTES,
    NewQuarantined,
    Quarantine,
    QuarantineCursorError,
    QuarantineLimits,
    list_quarantine,
)

Connection = AsyncConnection[Any]


def refused(number: int, raw: bytes = b"{}", **changes: Any) -> NewQuarantined:
    return NewQuarantined(
        received_us=1_795_000_000_000_000 + number, reason="not_in_future", raw=raw, **changes
    )


async def test_entries_are_read_back_newest_first_page_by_page(connection: Connection) -> None:
    quarantine = Quarantine()
    await quarantine.add(connection, [])
    await quarantine.add(
        connection,
        [refused(n, f"raw-{n}".encode(), field="time", detail="muộn", source=f"cam-{n}") for n in range(5)],
    )
    first = await list_quarantine(connection, 3)
    second = await list_quarantine(connection, 3, first.next)
    assert [item.raw for item in (*first.items, *second.items)] == [
        f"raw-{n}".encode() for n in (4, 3, 2, 1, 0)
    ]
    assert second.next is None
    newest = first.items[0]
    assert (newest.received_us, newest.source, newest.field, newest.detail, newest.device) == (
        1_795_000_000_000_004,
        "cam-4",
        "time",
        "muộn",
        None,
    )


async def test_of_a_device_what_it_sent_and_what_others_sent_of_it_is_read_page_by_page(
    connection: Connection,
) -> None:
    sent = [("gw-1", "cam-1"), ("cam-1", None), ("gw-1", "cam-2"), ("cam-1", "cam-1"), ("gw-2", "cam-1")]
    entries = [refused(n, str(n).encode(), device=by, source=of) for n, (by, of) in enumerate(sent)]
    await Quarantine().add(connection, entries)
    first = await list_quarantine(connection, 3, device="cam-1")
    second = await list_quarantine(connection, 3, first.next, "cam-1")
    assert [[int(item.raw) for item in page.items] for page in (first, second)] == [[4, 3, 1], [0]]
    assert second.next is None


async def test_hostile_bytes_and_texts_are_kept(connection: Connection) -> None:
    raw = bytes(range(256)) * (MAX_RAW_BYTES // 256 + 1)
    await Quarantine().add(connection, [refused(1, raw, detail="\x00" + "x" * 10_000, event_id="\ud800")])
    (found,) = (await list_quarantine(connection)).items
    assert found.raw == raw[:MAX_RAW_BYTES]
    assert found.truncated
    assert found.detail.startswith("\ufffdxxx")


async def test_the_oldest_go_when_there_are_too_many_rows(connection: Connection) -> None:
    quarantine = Quarantine(QuarantineLimits(max_rows=10))
    for start in range(0, 40, 4):
        await quarantine.add(connection, [refused(n, str(n).encode()) for n in range(start, start + 4)])
    found = (await list_quarantine(connection)).items
    assert [int(item.raw) for item in found] == list(range(39, 29, -1))


async def test_the_oldest_go_when_there_are_too_many_bytes(connection: Connection) -> None:
    quarantine = Quarantine(QuarantineLimits(max_bytes=10_000))
    await quarantine.add(connection, [refused(n, bytes(1000)) for n in range(30)])
    assert len((await list_quarantine(connection)).items) == 10_000 // 1256


@pytest.mark.parametrize("cursor", ["", "-1", "x", "9" * 30, "١"])
async def test_a_foreign_cursor_is_refused(connection: Connection, cursor: str) -> None:
    with pytest.raises(QuarantineCursorError):
        await list_quarantine(connection, cursor=cursor)
