"""How owners share partitions, partitions share a poll, and keys find their partition."""

import string

from hypothesis import given
from hypothesis import strategies as st

from ioc.eventlog.port import partition_of
from ioc.eventlog.sharing import fair_quota, share_out

names = st.lists(st.text(string.ascii_letters, min_size=1), min_size=1, max_size=9, unique=True)


def test_the_partition_of_a_key_never_changes() -> None:
    assert [partition_of(key, 4) for key in ("25747", "25750", "cam-0042", "", "phường")] == [1, 3, 3, 0, 0]


@given(names, st.integers(0, 64))
def test_quotas_add_up_and_differ_by_one_at_most(owners: list[str], partitions: int) -> None:
    quotas = [fair_quota(owner, owners, partitions) for owner in owners]
    assert sum(quotas) == partitions
    assert max(quotas) - min(quotas) <= 1


@given(names)
def test_a_quota_does_not_depend_on_the_order_of_the_owners(owners: list[str]) -> None:
    assert fair_quota(owners[0], owners, 7) == fair_quota(owners[0], owners[::-1], 7)


@given(st.dictionaries(st.integers(0, 20), st.integers(1, 50), max_size=8), st.integers(0, 100))
def test_a_poll_is_filled_and_never_overfilled(available: dict[int, int], limit: int) -> None:
    shares = share_out(available, limit)
    assert sum(shares.values()) == min(limit, sum(available.values()))
    assert all(0 < share <= available[partition] for partition, share in shares.items())


@given(st.dictionaries(st.integers(0, 20), st.integers(1, 50), min_size=1, max_size=8), st.integers(8, 100))
def test_each_partition_gets_an_equal_share_unless_it_has_less(available: dict[int, int], limit: int) -> None:
    shares = share_out(available, limit)
    equal = limit // len(available)
    assert all(shares[partition] >= min(count, equal) for partition, count in available.items())
