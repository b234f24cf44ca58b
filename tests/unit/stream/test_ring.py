"""The ring holds the newest changes and knows which."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from ioc.stream.batches import encode_change
from ioc.stream.ring import ChangeRing
from tests.unit.stream.samples import incident


@given(
    start=st.integers(0, 5),
    count=st.integers(0, 60),
    max_count=st.integers(1, 9),
    max_bytes=st.integers(1, 9_000),
)
def test_it_covers_exactly_what_it_can_give(start: int, count: int, max_count: int, max_bytes: int) -> None:
    ring = ChangeRing(start, max_count, max_bytes)
    for n in range(count):
        ring.append(encode_change(start + 1 + n, incident()))
    held = ring.last - ring.first + 1
    assert ring.last == start + count
    assert held <= max_count
    for position in range(ring.last + 3):
        assert ring.covers(position) == (ring.first - 1 <= position <= ring.last)
        if ring.covers(position):
            assert [c.offset for c in ring.after(position, 100)] == list(range(position + 1, ring.last + 1))


def test_what_gave_way_is_let_go_of_soon() -> None:
    ring = ChangeRing(0, max_count=80, max_bytes=10**9)
    first = encode_change(1, incident())
    ring.append(first)
    held = sys.getrefcount(first)
    for offset in range(2, 80 + 12):
        ring.append(encode_change(offset, incident()))
    assert ring.first == 12
    assert sys.getrefcount(first) == held - 1
