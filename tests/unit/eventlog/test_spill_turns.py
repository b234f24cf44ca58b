"""Which spilled partition is carried next."""

from hypothesis import given
from hypothesis import strategies as st

from ioc.eventlog.spill import Standing
from ioc.eventlog.spill_drain import Turns

RETRY_S = 1.0


def standing(partition: int, oldest_s: float) -> Standing:
    return Standing("t", partition, 1, 1, oldest_s)


def test_the_oldest_record_is_carried_first_and_a_partition_that_failed_rests() -> None:
    turns = Turns(RETRY_S)
    waiting = [standing(0, 5.0), standing(1, 9.0), standing(2, 9.0)]
    assert turns.choose(waiting, 0.0) == waiting[1]
    turns.failed(("t", 1), 0.0)
    assert turns.choose(waiting, 0.5) == waiting[2]
    turns.failed(("t", 2), 0.5)
    assert turns.choose(waiting[1:], 0.9) is None
    assert turns.choose(waiting[1:], 1.0) == waiting[1]


def test_a_partition_is_sure_from_its_success_to_its_next_failure() -> None:
    turns = Turns(RETRY_S)
    assert not turns.sure(("t", 0))
    turns.took(("t", 0))
    assert turns.sure(("t", 0)) and not turns.sure(("t", 1))
    turns.failed(("t", 0), 0.0)
    assert not turns.sure(("t", 0))


@given(
    loads=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    down=st.sets(st.integers(0, 4)),
    step=st.integers(1, 9),
)
def test_partitions_that_work_advance_side_by_side_whatever_the_others_do(
    loads: list[int], down: set[int], step: int
) -> None:
    """`loads` records wait per partition, one for each second past."""
    turns, left, now_s = Turns(RETRY_S), dict(enumerate(loads)), 0.0
    most = max(loads)
    while any(left[partition] for partition in left.keys() - down):
        waiting = [
            # The record that is first now came when as many had been before it.
            standing(partition, most - (loads[partition] - count))
            for partition, count in left.items()
            if count
        ]
        now_s += 0.01
        if (chosen := turns.choose(waiting, now_s)) is None:
            continue
        if chosen.partition in down:
            turns.failed(chosen.place, now_s)
            continue
        turns.took(chosen.place)
        left[chosen.partition] = max(0, left[chosen.partition] - step)
        carried = [loads[p] - left[p] for p in left.keys() - down if left[p]]
        assert not carried or max(carried) - min(carried) <= step
