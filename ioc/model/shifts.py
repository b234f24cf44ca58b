"""Shifts, and what stands on the list while one is handed over."""

from enum import StrEnum

import msgspec

from ioc.model.incidents import Severity
from ioc.model.texts import Text


class ShiftState(StrEnum):
    """Where a shift is."""

    RUNNING = "running"
    HANDING_OVER = "handing_over"
    PASSED = "passed"


class ItemKind(StrEnum):
    """What stands on the list."""

    INCIDENT = "incident"
    SHELVED = "shelved"
    HANDED_OVER = "handed_over"
    """Handed to another ward, which has not answered."""
    OUTAGE = "outage"
    """A camera or detector that is silent, whether or not its case is open."""
    RULE = "rule"
    """A rule that is disabled."""


class Verdict(StrEnum):
    """What the incoming lead says of an item."""

    OPEN = "open"
    ACCEPTED = "accepted"
    QUESTIONED = "questioned"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the next shift must know of, as it is now. `ref`: an incident's id, or `rule:NAME`."""

    ref: str
    kind: ItemKind
    title: Text
    since_us: int
    severity: Severity | None = None
    ward: str | None = None
    source: str | None = None
    """Of an incident: its device."""
    due_us: int | None = None
    handling: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a hand-over."""

    listed: Listed
    rev: int
    added_us: int
    verdict: Verdict = Verdict.OPEN
    by: str | None = None
    at_us: int | None = None
    reason: str | None = None
    """Why it is questioned."""
    note: str | None = None
    """What the outgoing lead says to it."""
    gone: bool = False
    """It ended during the hand-over; nobody has to decide on it."""

    @property
    def is_undecided(self) -> bool:
        """True while it keeps the shift from passing."""
        return self.verdict is Verdict.OPEN and not self.gone


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One shift. `rev` rises with each change of it or of its items."""

    id: int
    lead: str
    began_us: int
    rev: int = 1
    state: ShiftState = ShiftState.RUNNING
    started_us: int | None = None
    started_by: str | None = None
    absent: str | None = None
    """Why somebody else than the lead hands over."""
    incoming: str | None = None
    is_opened: bool = False
    """The incoming lead has opened the list."""
    left_out: int = 0
    passed_us: int | None = None
