"""Pure decisions: how owners share partitions, and how partitions share one poll."""

from collections.abc import Mapping, Sequence


def fair_quota(owner: str, owners: Sequence[str], partitions: int) -> int:
    """Return how many partitions `owner` should hold; the quotas of all `owners` add up to `partitions`.

    Owners are ranked by name, so that all of them compute the same split without talking.
    """
    ranked = sorted(owners)
    each, extra = divmod(partitions, len(ranked))
    return each + (ranked.index(owner) < extra)


def share_out(available: Mapping[int, int], limit: int) -> dict[int, int]:
    """Split `limit` records between partitions that have `available` ones, leaving out those that get none.

    What a partition does not need goes to the others, so a quiet partition never waits behind a busy one.
    """
    shares: dict[int, int] = {}
    left = limit
    smallest_first = sorted(available.items(), key=lambda item: item[1])
    for index, (partition, count) in enumerate(smallest_first):
        share = min(count, left // (len(smallest_first) - index))
        if share > 0:
            shares[partition] = share
            left -= share
    return shares
