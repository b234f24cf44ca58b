"""Partitions in one order: within each nothing is exchanged, a tick stands behind its second everywhere."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ioc.app.recordings.entries import Entry
from ioc.app.recordings.merge import TickMerge
from ioc.model.events import CameraCount, Event
from ioc.model.records import Tick


def event(name: str) -> Event:
    return Event(id=name, source="s", time_us=0, received_us=0, data=CameraCount())


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[list[Entry]], list[int]]:
    """Partitions with events between common ticks, each of which one partition may have missed."""
    seconds, count = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    partitions: list[list[Entry]] = [[] for _ in range(count)]
    for second in range(seconds):
        without = draw(st.none() | st.integers(0, count - 1)) if count > 1 else None
        for number, entries in enumerate(partitions):
            amount = draw(st.integers(0, 3))
            entries += [event(f"{number}-{second}-{n}") for n in range(amount)]
            if number != without:
                entries.append(Tick(second))
    order = draw(st.lists(st.integers(0, count - 1), max_size=40))
    return partitions, order


@given(logs(), st.integers(1, 3))
def test_order_within_partitions_is_kept_however_they_arrive(
    made: tuple[list[list[Entry]], list[int]], piece: int
) -> None:
    partitions, order = made
    merge = TickMerge(range(len(partitions)))
    left = [list(entries) for entries in partitions]
    found: list[Entry] = []
    for number in [*order, *range(len(partitions))]:
        size = piece if number in order else len(left[number])
        merge.add(number, left[number][:size])
        del left[number][:size]
        found += merge.ready()
    for number, entries in enumerate(left):
        merge.add(number, entries)
    found += merge.rest()
    assert merge.held == 0
    _check(partitions, found)


def _check(partitions: Sequence[Sequence[Entry]], found: Sequence[Entry]) -> None:
    ticks = [entry for entry in found if isinstance(entry, Tick)]
    assert ticks == sorted(
        {e.now_us: e for p in partitions for e in p if isinstance(e, Tick)}.values(), key=_at
    )
    for number, entries in enumerate(partitions):
        mine = [e for e in found if isinstance(e, Event) and e.id.startswith(f"{number}-")]
        assert mine == [e for e in entries if isinstance(e, Event)]
        for tick in (e for e in entries if isinstance(e, Tick)):
            before = entries[: entries.index(tick)]
            assert all(found.index(e) < found.index(tick) for e in before if isinstance(e, Event))
            assert all(found.index(e) > found.index(tick) for e in entries[len(before) + 1 :])


def _at(tick: Tick) -> int:
    return tick.now_us


def test_nothing_is_said_before_every_partition_has_come_to_the_next_tick() -> None:
    merge = TickMerge([0, 1])
    merge.add(0, [event("a"), Tick(1), Tick(2)])
    assert list(merge.ready()) == []
    assert merge.lacking() == [1]
    merge.add(1, [event("b"), Tick(1), event("c")])
    assert list(merge.ready()) == [event("a"), event("b"), Tick(1)]
    assert merge.held == 2
    assert list(merge.rest()) == [Tick(2), event("c")]
