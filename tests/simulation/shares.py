"""Which process has which partitions, as a broker or leases would say. Pure."""

from dataclasses import dataclass


@dataclass
class _Share:
    owner: str
    term: int = 0


class Shares:
    """Owners by group, topic and partition. Whoever gets a partition, also back, has a new term of it."""

    def __init__(self) -> None:
        self._shares: dict[tuple[str, str, int], _Share] = {}

    def give(self, group: str, topic: str, partition: int, owner: str) -> None:
        """Give a partition to its first owner."""
        self._shares[group, topic, partition] = _Share(owner)

    def partitions(self) -> list[tuple[str, str, int]]:
        """Return what is shared."""
        return list(self._shares)

    def of(self, group: str, topic: str, owner: str) -> dict[int, int]:
        """Return the terms of the partitions that `owner` has."""
        return {
            partition: share.term
            for (of_group, of_topic, partition), share in self._shares.items()
            if (of_group, of_topic, share.owner) == (group, topic, owner)
        }

    def move(self, owner: str, to: str) -> None:
        """Give everything of `owner` to another."""
        for share in self._shares.values():
            if share.owner == owner:
                share.owner, share.term = to, share.term + 1

    def lapse(self, owner: str) -> None:
        """Take everything of `owner` away and give it back at once."""
        self.move(owner, owner)
