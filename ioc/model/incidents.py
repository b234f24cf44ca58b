"""Incidents, their states, and what a rule engine wants done to them."""

import hashlib
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ioc.model.texts import Text
from ioc.model.times import HOUR_US


class Severity(StrEnum):
    """Four priorities at most: more cannot be told apart under stress (ISA-18.2)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


RANK = {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}


class Condition(StrEnum):
    """What the world does: independent of what people have done about it."""

    ACTIVE = "active"
    CLEARED = "cleared"


class Handling(StrEnum):
    """What people have done about it."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REJECTED = "rejected"
    MERGED = "merged"
    """Part of another incident, its head; what people do, they do to that one."""


OPEN_HANDLINGS = frozenset(
    {Handling.NEW, Handling.ACKNOWLEDGED, Handling.ASSIGNED, Handling.IN_PROGRESS},
)
FINISHED_SHOWN_US: Final = HOUR_US
"""Consoles begin with what finished so shortly before, live and in a playback."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One compared value: `name` was `value`, the rule asks `op` `threshold`."""

    name: str
    value: float | str | bool | None
    op: str | None = None
    threshold: float | str | bool | None = None
    unit: str | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an incident exists: enough to check the decision by hand."""

    rule_version: str
    summary: Text
    evidence: tuple[Evidence, ...] = ()
    event_ids: tuple[str, ...] = ()
    """The last events that carried the decision, at most 20, oldest first."""


class Clocks(msgspec.Struct, frozen=True, omit_defaults=True):
    """Time allowed to acknowledge and to resolve, in seconds."""

    acknowledge_s: int | None = None
    resolve_s: int | None = None


class PauseReason(StrEnum):
    """The only reasons for which a clock may stand still."""

    CITIZEN = "waiting_for_citizen"
    AGENCY = "waiting_for_agency"
    FORCE_MAJEURE = "force_majeure"
    PARTS = "waiting_for_parts"


class StepKind(StrEnum):
    """What doing a step of a procedure consists of."""

    CONFIRM = "confirm"
    CHOICE = "choice"
    NOTE = "note"
    PHOTO = "photo"


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step that somebody has done, or skipped for a reason; words stand in the history only."""

    step: str
    by: str
    at_us: int
    skipped: bool = False
    answer: str | None = None
    """Of a choice: which."""
    photo: str | None = None


class OpenStep(msgspec.Struct, frozen=True):
    """A required step that is due and not taken."""

    id: str
    kind: StepKind
    answers: tuple[str, ...] = ()
    """Of a choice: those it takes."""


class Checklist(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far an incident's procedure has been worked through (`ioc/incidents/procedures.py`)."""

    ref: str
    """Digest of the procedure's text, which stays what it was when the incident was raised."""
    done: int
    """Steps done or skipped, of `total` that are due; branches not entered do not count."""
    total: int
    open: tuple[OpenStep, ...] = ()
    taken: tuple[Taken, ...] = ()


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as stored and shown. Every change raises `rev` by one."""

    id: str
    rev: int
    rule: str
    key: str
    category: str
    severity: Severity
    condition: Condition
    handling: Handling
    title: Text
    why: Why
    opened_us: int
    """Start of the episode, in event time."""
    detected_us: int
    """When the rule fired, in log time."""
    updated_us: int
    ward: str | None = None
    source: str | None = None
    lon: float | None = None
    lat: float | None = None
    cleared_us: int | None = None
    acknowledged_us: int | None = None
    resolved_us: int | None = None
    closed_us: int | None = None
    assignee: str | None = None
    team: str | None = None
    note: str | None = None
    count: int = 1
    """Events that have supported it so far."""
    ack_due_us: int | None = None
    resolve_due_us: int | None = None
    respond_due_us: int | None = None
    """When somebody must have begun to work on it."""
    responded_us: int | None = None
    working_clock: bool = False
    """True where `resolve_due_us` was counted in working days: pauses then count working time only."""
    paused_us: int | None = None
    """Since when its resolve clock stands still."""
    pause_reason: PauseReason | None = None
    escalate_us: int | None = None
    """When the next escalation step is due."""
    escalated_us: int | None = None
    """Every step due up to this moment has been taken."""
    level: int = 0
    """Highest level it has been escalated to."""
    shelved_until_us: int | None = None
    handed_from: str | None = None
    """The ward that handed it over, as long as the present one has not accepted it."""
    agencies: tuple[str, ...] = ()
    """Who else works on it, besides `team`."""
    photo: str | None = None
    """Reference of the picture that shows the result."""
    merged_into: str | None = None
    """Its head, while it is merged."""
    merged_by: str | None = None
    """The grouping rule that merged it, `manual` for a person."""
    resumes: Handling | None = None
    """The handling it goes back to when it is unmerged."""
    members: int = 0
    """How many incidents are merged into this one."""
    members_active: int = 0
    """How many of them still go on."""
    checklist: Checklist | None = None
    """None where no procedure fits."""

    @property
    def is_open(self) -> bool:
        """True while somebody still has to act."""
        return self.handling in OPEN_HANDLINGS


class Pending(NamedTuple):
    """What a forecast needs of an open incident. `due_us` is when it must be resolved."""

    id: str
    ward: str | None
    due_us: int | None
    is_paused: bool
    detected_us: int


class Worked(NamedTuple):
    """What a ward has resolved lately: how many, and when the first of them was detected."""

    resolved: int
    since_us: int


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """One row of an incident's history; append-only."""

    incident_id: str
    rev: int
    at_us: int
    actor: str
    op: str
    before: str | None = None
    after: str | None = None
    note: str | None = None
    details: dict[str, str | int | float | bool | None] = {}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An incident's new revision together with the audit row that explains it."""

    incident: Incident
    audit: Audit


class Raised(msgspec.Struct, frozen=True, kw_only=True, tag="raised"):
    """A rule began an episode."""

    incident_id: str
    rule: str
    key: str
    category: str
    severity: Severity
    title: Text
    why: Why
    opened_us: int
    at_us: int
    ward: str | None = None
    source: str | None = None
    lon: float | None = None
    lat: float | None = None
    count: int = 1
    clocks: Clocks = Clocks()


class Updated(msgspec.Struct, frozen=True, kw_only=True, tag="updated"):
    """An episode goes on and its evidence or severity changed materially."""

    incident_id: str
    at_us: int
    severity: Severity
    why: Why
    count: int


class Cleared(msgspec.Struct, frozen=True, kw_only=True, tag="cleared"):
    """An episode ended: the condition no longer holds."""

    incident_id: str
    at_us: int
    reason: str
    count: int


Effect = Raised | Updated | Cleared


def incident_id(rule: str, key: str, opened_us: int) -> str:
    """Return the id of an episode; the same episode gets the same id in every replay."""
    digest = hashlib.blake2b(f"{rule}\x00{key}\x00{opened_us}".encode(), digest_size=10)
    return f"inc-{digest.hexdigest()}"
