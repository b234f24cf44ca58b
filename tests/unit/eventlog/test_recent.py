"""The memory of recent rows gives exactly what is stored, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from ioc.eventlog.recent import RecentBatches, Stored
from ioc.model.records import Record, RecordKind


def row(base: int, count: int, partition: int = 0) -> Stored:
    return Stored(
        "t", partition, [Record(base + n, RecordKind.EVENT, b"%d" % (base + n)) for n in range(count)]
    )


def test_reading_stops_at_a_gap_left_by_another_process() -> None:
    recent = RecentBatches(1 << 20)
    for stored in (row(0, 3), row(3, 2), row(9, 4)):
        recent.add(stored)
    assert [record.offset for record in recent.read("t", 0, 1, 100)] == [1, 2, 3, 4]
    assert recent.read("t", 0, 5, 100) == []
    assert recent.read("t", 0, 8, 100) == []
    assert [record.offset for record in recent.read("t", 0, 9, 2)] == [9, 10, 11, 12]
    assert recent.read("t", 0, 13, 100) == []
    assert recent.read("t", 1, 0, 100) == []
    assert recent.end("t", 0) == 13
    assert recent.end("t", 1) == 0


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 3)), max_size=40),
    st.integers(0, 90),
)
def test_what_is_read_is_a_run_of_known_records_from_the_position(
    rows: list[tuple[int, int, int]], position: int
) -> None:
    """Rows of random size and gap on three partitions, in memory for about ten records."""
    recent = RecentBatches(2100)
    ends = [0, 0, 0]
    known: list[set[int]] = [set(), set(), set()]
    for partition, count, gap in rows:
        stored = row(ends[partition] + gap, count, partition)
        recent.add(stored)
        ends[partition] = stored.end
        known[partition] |= set(range(stored.base, stored.end))
    assert recent.size_bytes <= 2100
    for partition in range(3):
        found = [record.offset for record in recent.read("t", partition, position, 5)]
        assert found == list(range(position, position + len(found)))
        assert set(found) <= known[partition]
        assert recent.end("t", partition) == ends[partition]
