"""What can go wrong and where: one table, from which a seed draws. Pure."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from random import Random
from typing import Final


class Fault(StrEnum):
    """What goes wrong."""

    REFUSED = "the log refuses"
    """It is away or full; nothing was appended."""
    UNANSWERED = "the answer is lost"
    """It is done, and who asked is told that the connection broke."""
    CUT = "the connection is cut"
    """In the middle; the database rolls back."""
    KILLED = "the process is killed"
    TAKEN_OVER = "its partitions are taken over"
    """The other process of the role works on them, while this one goes on as if they were its own."""
    LAPSED = "its lease lapses"
    """It comes back as another generation: what was not committed is delivered again."""


class Point(StrEnum):
    """Where something can go wrong."""

    BEFORE_APPEND = "before the append"
    AFTER_APPEND = "after the append"
    AT_POLL = "at the poll"
    BEFORE_TRANSACTION = "before the transaction"
    IN_TRANSACTION = "in the transaction"
    BEFORE_COMMIT = "before the commit"
    AFTER_COMMIT = "after the commit"


FAULTS: Final[Mapping[Point, tuple[Fault, ...]]] = {
    Point.BEFORE_APPEND: (Fault.REFUSED, Fault.KILLED),
    Point.AFTER_APPEND: (Fault.UNANSWERED, Fault.KILLED),
    Point.AT_POLL: (Fault.LAPSED, Fault.KILLED),
    Point.BEFORE_TRANSACTION: (Fault.TAKEN_OVER, Fault.LAPSED, Fault.KILLED),
    Point.IN_TRANSACTION: (Fault.CUT, Fault.KILLED),
    Point.BEFORE_COMMIT: (Fault.CUT, Fault.KILLED),
    Point.AFTER_COMMIT: (Fault.UNANSWERED, Fault.KILLED),
}
CHANCES: Final = (0.0, 0.0, 0.05, 0.2, 0.5)
"""Of a fault at its point, shared among all points where it can happen. A seed draws one for each, so what is
rare in most runs is common in some."""
OFTEN: Final = {Point.IN_TRANSACTION: 10}
"""A transaction passes this point at every exchange with the database, the others once."""


class Trace:
    """What happened, line by line; two runs of a seed have the same digest."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        """Write down what happened."""
        self.lines.append(line)

    def digest(self) -> str:
        """Return the SHA-256 of all lines."""
        return sha256("\n".join(self.lines).encode()).hexdigest()


class Faults:
    """Decides by a seed which fault happens where, and writes it into the trace."""

    def __init__(self, random: Random, trace: Trace) -> None:
        self.calm = False
        """No more faults: what is under way may come to its end."""
        self.count: Counter[Fault] = Counter()
        self._random = random
        self._trace = trace
        points = Counter(fault for faults in FAULTS.values() for fault in faults)
        self._chances = {
            point: [(fault, random.choice(CHANCES) / OFTEN.get(point, 1) / points[fault]) for fault in faults]
            for point, faults in FAULTS.items()
        }

    def at(self, point: Point, who: str) -> Fault | None:
        """Return what goes wrong now; None for nothing."""
        if self.calm:
            return None
        for fault, chance in self._chances[point]:
            if self._random.random() < chance:
                self.count[fault] += 1
                self._trace.note(f"{who}: {fault} {point}")
                return fault
        return None
