"""What a record's header says, and where a partition of Kafka stands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.eventlog.kafka_reader import Buffer
from ioc.eventlog.kafka_stamps import (
    HEADER,
    Stamp,
    Stamps,
    Verdict,
    decode_header,
    encode_header,
)
from ioc.model.records import Record, RecordKind


@given(
    st.sampled_from(RecordKind),
    st.builds(Stamp, st.integers(0, 2**63 - 1), st.integers(1, 2**63 - 1)),
)
def test_a_header_comes_back_as_it_was(kind: RecordKind, stamp: Stamp) -> None:
    assert decode_header([("other", b"x"), (HEADER, encode_header(kind, stamp))]) == (kind, stamp)


@given(st.lists(st.tuples(st.sampled_from(["", HEADER, "x"]), st.none() | st.binary(max_size=40))))
def test_any_header_is_read_or_is_not_ours(headers: list[tuple[str, bytes]]) -> None:
    found = decode_header(headers)
    assert found is None or found[1].number > 0


@pytest.mark.parametrize("number", [0, -1])
def test_an_append_number_below_one_is_not_ours(number: int) -> None:
    assert decode_header([(HEADER, encode_header(RecordKind.EVENT, Stamp(1, number)))]) is None


@asynccontextmanager
async def no_database() -> AsyncIterator[Any]:
    raise AssertionError("the database is asked without need")
    yield


async def test_an_append_of_this_process_counts_from_its_commit_on_and_asks_nobody() -> None:
    stamps = Stamps(no_database)
    stamp = Stamp(7, 1)

    async def append() -> None:
        async with stamps.appending(stamp):
            await asyncio.sleep(0.05)
            assert stamps.verdict(stamp) is Verdict.OPEN
            stamps.committed(stamp)

    async with asyncio.TaskGroup() as group:
        group.create_task(append())
        await asyncio.sleep(0)
        await stamps.settle([stamp], 30.0)
        assert stamps.verdict(stamp) is Verdict.COUNTS
    assert stamps.verdict(Stamp(7, 2)) is Verdict.OPEN


def test_a_buffer_stands_at_the_next_record_that_counts() -> None:
    buffer = Buffer(generation=3, position=10)
    assert (buffer.position, buffer.ready) == (10, 0)
    buffer.extend([Record(12, RecordKind.EVENT, b"a"), Record(14, RecordKind.EVENT, b"b")], fetched=17)
    assert (buffer.position, buffer.ready) == (12, 2)
    assert [record.offset for record in buffer.take(1)] == [12]
    assert buffer.position == 14
    assert [record.offset for record in buffer.take(5)] == [14]
    assert (buffer.position, buffer.ready) == (17, 0)
