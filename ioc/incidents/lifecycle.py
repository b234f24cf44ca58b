"""The incident state machine: effects of rules and commands of people in, changes out.

Condition (what the world does) and handling (what people do) are separate. The handling moves along:

    new ──A──▶ acknowledged ──B──▶ assigned ──C──▶ in_progress ──D──▶ resolved ──E──▶ closed
     │  B, C, D also from every earlier open state                      │              │
     └──F──▶ rejected ───────────────G (reopen)◀────────────────────────┴──────────────┘

A acknowledge · B assign · C start · D resolve (note) · E close · F reject (note) · G reopen (note) → new
`comment` changes nothing but the history. Everything here is pure: time and actor are arguments.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from ioc.model.incidents import (
    OPEN_HANDLINGS,
    Audit,
    Change,
    Cleared,
    Clocks,
    Condition,
    Effect,
    Handling,
    Incident,
    Raised,
    Severity,
    Updated,
)
from ioc.model.times import SECOND_US

MAX_NOTE_CHARS: Final = 4_000
MAX_ASSIGNEE_CHARS: Final = 120
SYSTEM: Final = "system"

DEFAULT_CLOCKS: Final = {
    Severity.CRITICAL: Clocks(acknowledge_s=60, resolve_s=30 * 60),
    Severity.HIGH: Clocks(acknowledge_s=5 * 60, resolve_s=2 * 3600),
    Severity.MEDIUM: Clocks(acknowledge_s=15 * 60, resolve_s=8 * 3600),
    Severity.LOW: Clocks(acknowledge_s=60 * 60, resolve_s=48 * 3600),
}
"""Time allowed where the rule states none."""


class Op(StrEnum):
    """What a person can do to an incident."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    START = "start"
    RESOLVE = "resolve"
    CLOSE = "close"
    REJECT = "reject"
    REOPEN = "reopen"
    COMMENT = "comment"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command of one person. `idem` makes a repeat harmless; `expect_rev` what the person saw."""

    op: Op
    expect_rev: int
    idem: str
    assignee: str | None = None
    note: str | None = None


class CommandError(Exception):
    """A command that was not carried out. Subclasses: `Conflict`, `Refused`."""


class Conflict(CommandError):
    """The incident has changed since the person looked; `current` is what it is now."""

    def __init__(self, current: Incident) -> None:
        super().__init__(f"the incident is at revision {current.rev} now; look at it and try again")
        self.current = current


class Refused(CommandError):
    """A rule of the state machine forbids it. `rule` names it, `field` the argument at fault."""

    def __init__(self, rule: str, detail: str, field: str = "op") -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.field = field


_FINISHED: Final = frozenset({Handling.RESOLVED, Handling.CLOSED, Handling.REJECTED})

TRANSITIONS: Final[dict[Op, tuple[frozenset[Handling], Handling]]] = {
    Op.ACKNOWLEDGE: (frozenset({Handling.NEW}), Handling.ACKNOWLEDGED),
    Op.ASSIGN: (OPEN_HANDLINGS, Handling.ASSIGNED),
    Op.START: (OPEN_HANDLINGS - {Handling.IN_PROGRESS}, Handling.IN_PROGRESS),
    Op.RESOLVE: (OPEN_HANDLINGS, Handling.RESOLVED),
    Op.CLOSE: (frozenset({Handling.RESOLVED}), Handling.CLOSED),
    Op.REJECT: (OPEN_HANDLINGS - {Handling.IN_PROGRESS}, Handling.REJECTED),
    Op.REOPEN: (_FINISHED, Handling.NEW),
}
"""From which states an operation is legal, and where it leads."""

_NOTE_REQUIRED: Final = frozenset({Op.RESOLVE, Op.REJECT, Op.REOPEN, Op.COMMENT})


def on_command(incident: Incident, command: Command, *, actor: str, now_us: int) -> Change:
    """Carry out `command` and return the new revision with its audit row.

    Raises:
        Conflict: `expect_rev` is not the present revision.
        Refused: the state machine or a bound forbids it.
    """
    if command.expect_rev != incident.rev:
        raise Conflict(incident)
    note = _checked_note(command)
    target = _target(incident, command)
    changed = _STAMP[command.op](incident, command, now_us)
    return _change(
        incident,
        msgspec.structs.replace(changed, handling=target, note=note or incident.note),
        op=command.op,
        actor=actor,
        at_us=now_us,
        note=note,
        details={"assignee": command.assignee} if command.assignee else {},
    )


def _checked_note(command: Command) -> str | None:
    note = (command.note or "").strip() or None
    if note is None and command.op in _NOTE_REQUIRED:
        raise Refused(
            "note_required", f"{command.op} needs a note that says why or what was done", "args.note"
        )
    if note and len(note) > MAX_NOTE_CHARS:
        raise Refused("note_length", f"a note has at most {MAX_NOTE_CHARS} characters", "args.note")
    return note


def _target(incident: Incident, command: Command) -> Handling:
    if command.op is Op.COMMENT:
        return incident.handling
    sources, target = TRANSITIONS[command.op]
    if incident.handling not in sources:
        legal = ", ".join(sorted(sources))
        raise Refused(
            "transition", f"{command.op} is not possible from {incident.handling}; only from {legal}"
        )
    return target


def _acknowledged(incident: Incident, _command: Command, now_us: int) -> Incident:
    return msgspec.structs.replace(incident, acknowledged_us=incident.acknowledged_us or now_us)


def _assigned(incident: Incident, command: Command, now_us: int) -> Incident:
    assignee = (command.assignee or "").strip()
    if not assignee:
        raise Refused("assignee_required", "assign needs the person or team that takes it", "args.assignee")
    if len(assignee) > MAX_ASSIGNEE_CHARS:
        raise Refused(
            "assignee_length", f"a name has at most {MAX_ASSIGNEE_CHARS} characters", "args.assignee"
        )
    return msgspec.structs.replace(_acknowledged(incident, command, now_us), assignee=assignee)


def _resolved(incident: Incident, command: Command, now_us: int) -> Incident:
    return msgspec.structs.replace(_acknowledged(incident, command, now_us), resolved_us=now_us)


def _closed(incident: Incident, _command: Command, now_us: int) -> Incident:
    return msgspec.structs.replace(incident, closed_us=now_us)


def _reopened(incident: Incident, _command: Command, now_us: int) -> Incident:
    # The clocks do not start again: reopening is no way to win time.
    return msgspec.structs.replace(incident, acknowledged_us=None, resolved_us=None, closed_us=None)


def _unchanged(incident: Incident, _command: Command, _now_us: int) -> Incident:
    return incident


_STAMP: Final[dict[Op, Callable[[Incident, Command, int], Incident]]] = {
    Op.ACKNOWLEDGE: _acknowledged,
    Op.ASSIGN: _assigned,
    Op.START: _acknowledged,
    Op.RESOLVE: _resolved,
    Op.CLOSE: _closed,
    Op.REJECT: _closed,
    Op.REOPEN: _reopened,
    Op.COMMENT: _unchanged,
}


def on_effect(incident: Incident | None, effect: Effect) -> Change | None:
    """Apply a rule's `effect`; None when it changes nothing (a repeat, or an episode nobody knows)."""
    match effect:
        case Raised():
            return None if incident else _raise(effect)
        case Updated():
            return _update(incident, effect) if incident and _is_active(incident) else None
        case Cleared():
            return _clear(incident, effect) if incident and _is_active(incident) else None


def _is_active(incident: Incident) -> bool:
    return incident.condition is Condition.ACTIVE


def _raise(effect: Raised) -> Change:
    default = DEFAULT_CLOCKS[effect.severity]
    acknowledge_s = effect.clocks.acknowledge_s or default.acknowledge_s
    resolve_s = effect.clocks.resolve_s or default.resolve_s
    incident = Incident(
        id=effect.incident_id,
        rev=1,
        rule=effect.rule,
        key=effect.key,
        category=effect.category,
        severity=effect.severity,
        condition=Condition.ACTIVE,
        handling=Handling.NEW,
        title=effect.title,
        why=effect.why,
        opened_us=effect.opened_us,
        detected_us=effect.at_us,
        updated_us=effect.at_us,
        ward=effect.ward,
        source=effect.source,
        lon=effect.lon,
        lat=effect.lat,
        count=effect.count,
        ack_due_us=effect.at_us + acknowledge_s * SECOND_US if acknowledge_s else None,
        resolve_due_us=effect.at_us + resolve_s * SECOND_US if resolve_s else None,
    )
    audit = Audit(
        incident_id=incident.id,
        rev=1,
        at_us=effect.at_us,
        actor=f"rule:{effect.rule}",
        op="raised",
        after=str(Handling.NEW),
        details={"severity": str(effect.severity), "rule_version": effect.why.rule_version},
    )
    return Change(incident=incident, audit=audit)


def _update(incident: Incident, effect: Updated) -> Change:
    changed = msgspec.structs.replace(
        incident, severity=effect.severity, why=effect.why, count=max(effect.count, incident.count)
    )
    details: dict[str, str | int | float | bool | None] = {"count": changed.count}
    if changed.severity is not incident.severity:
        details |= {"severity_from": str(incident.severity), "severity": str(changed.severity)}
    return _change(
        incident, changed, op="updated", actor=f"rule:{incident.rule}", at_us=effect.at_us, details=details
    )


def _clear(incident: Incident, effect: Cleared) -> Change:
    changed = msgspec.structs.replace(
        incident,
        condition=Condition.CLEARED,
        cleared_us=effect.at_us,
        count=max(effect.count, incident.count),
    )
    return _change(
        incident,
        changed,
        op="cleared",
        actor=f"rule:{incident.rule}",
        at_us=effect.at_us,
        details={"reason": effect.reason},
    )


def close_returned(incident: Incident, *, now_us: int, after_s: int) -> Change | None:
    """Close an incident that went away by itself and that nobody has taken up for `after_s` seconds.

    Critical ones wait for a person whatever happens: somebody must have looked.
    """
    cleared_us = incident.cleared_us
    if (
        incident.handling is not Handling.NEW
        or incident.severity is Severity.CRITICAL
        or cleared_us is None
        or now_us - cleared_us < after_s * SECOND_US
    ):
        return None
    return _change(
        incident,
        msgspec.structs.replace(incident, handling=Handling.CLOSED, closed_us=now_us),
        op=Op.CLOSE,
        actor=SYSTEM,
        at_us=now_us,
        details={"reason": "returned_to_normal", "after_s": after_s},
    )


def _change(
    before: Incident,
    after: Incident,
    *,
    op: str,
    actor: str,
    at_us: int,
    note: str | None = None,
    details: dict[str, str | int | float | bool | None] | None = None,
) -> Change:
    incident = msgspec.structs.replace(after, rev=before.rev + 1, updated_us=max(at_us, before.updated_us))
    return Change(
        incident=incident,
        audit=Audit(
            incident_id=incident.id,
            rev=incident.rev,
            at_us=at_us,
            actor=actor,
            op=str(op),
            before=str(before.handling),
            after=str(incident.handling),
            note=note,
            details=details or {},
        ),
    )
