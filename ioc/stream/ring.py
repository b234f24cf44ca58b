"""The newest changes in memory, so that a short absence costs no database read (pure)."""

from collections.abc import Sequence

from ioc.stream.batches import EncodedChange


class ChangeRing:
    """Consecutive changes up to `last`, bounded by count and by bytes; the oldest give way."""

    def __init__(self, last: int, max_count: int, max_bytes: int) -> None:
        self._changes: list[EncodedChange] = []
        self._start = 0
        self._bytes = 0
        self._max_count = max_count
        self._max_bytes = max_bytes
        self.last = last
        """The newest offset known, whether or not its change is still here."""

    @property
    def first(self) -> int:
        """The oldest offset held; `last` + 1 when empty."""
        return self.last + 1 - (len(self._changes) - self._start)

    def append(self, change: EncodedChange) -> None:
        """Add the change that follows `last`."""
        assert change.offset == self.last + 1, "offsets have no gaps"
        self._changes.append(change)
        self._bytes += change.size
        self.last = change.offset
        while len(self._changes) - self._start > self._max_count or (
            self._bytes > self._max_bytes and len(self._changes) - self._start > 1
        ):
            self._bytes -= self._changes[self._start].size
            self._start += 1
        if self._start > self._max_count // 8:
            # Cutting the front of a list moves everything, so not with every append; but what lies before it
            # is held in memory beyond both bounds.
            del self._changes[: self._start]
            self._start = 0

    def covers(self, position: int) -> bool:
        """Return whether every change after `position` is here."""
        return self.first <= position + 1 <= self.last + 1

    def after(self, position: int, limit: int) -> Sequence[EncodedChange]:
        """Return up to `limit` changes after `position`, which must be covered."""
        assert self.covers(position)
        begin = self._start + position + 1 - self.first
        return self._changes[begin : begin + limit]
