"""The incident state machine: commands of people in, changes out.

Condition (what the world does) and handling (what people do) are separate; `commands.TRANSITIONS` is the
table of handling, `docs/incidents.md` its diagram. Several incidents change together where they are one
happening: what is merged follows its head. Everything here is pure: time, actor and policies are arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from ioc.incidents.checklist import (
    ALERT_LEVEL,
    ALERT_TO,
    begun_anew,
    is_required,
    require_done,
    skipped,
    stepped,
)
from ioc.incidents.clocks import after, resumed, several_agencies, with_next_step
from ioc.incidents.commands import (
    GUARDS,
    MAX_AGENCIES,
    MAX_ASSIGNEE_CHARS,
    MAX_NOTE_CHARS,
    MAX_SHELVE_S,
    TRANSITIONS,
    Command,
    Conflict,
    Op,
    Refused,
    photo_of,
)
from ioc.incidents.policies import Policies
from ioc.incidents.revisions import Details, revised
from ioc.incidents.routing import team_of
from ioc.model.incidents import RANK, Change, Condition, Handling, Incident
from ioc.model.times import SECOND_US, format_us

MANUAL: Final = "manual"
"""How a grouping made by a person is called."""


class Context(NamedTuple):
    """What a command may need besides its incident.

    `head` is the incident it is, or shall be, part of; `members` are those that are part of it. `photo_known`
    says whether the picture that the command names is there and free for the incident, `supervises` that the
    person may end it while steps of its procedure are open.
    """

    policies: Policies = Policies()
    head: Incident | None = None
    members: Sequence[Incident] = ()
    photo_known: bool = True
    supervises: bool = False


class _Step(NamedTuple):
    """What all steps of one command share."""

    command: Command
    actor: str
    now_us: int
    context: Context


def on_command(
    incident: Incident,
    command: Command,
    *,
    actor: str,
    now_us: int,
    context: Context = Context(),  # noqa: B008 - immutable
) -> list[Change]:
    """Carry out `command` and return the new revisions with their audit rows, the incident's own first.

    Raises:
        Conflict: `expect_rev` is not the present revision.
        Refused: the state machine or a bound forbids it; `GUARDS` lists the rules.
    """
    if command.expect_rev != incident.rev:
        raise Conflict(incident)
    target = _target(incident, command)
    note = _checked_note(command)
    step = _Step(command, actor, now_us, context)
    if photo_of(command) is not None and not context.photo_known:
        raise _refused("photo_unknown", "args.photo")
    changed = _ACTS[command.op](incident, step)
    if target is not None:
        changed = _moved(changed, target, incident)
    own = revised(
        incident,
        with_next_step(msgspec.structs.replace(changed, note=note or incident.note), context.policies.clocks),
        op=command.op,
        actor=actor,
        at_us=now_us,
        note=_told(note, command),
        details=_details(incident, changed, command),
    )
    follow = _FOLLOWS.get(command.op)
    return [own, *(follow(own.incident, step, actor) if follow else ())]


def _target(incident: Incident, command: Command) -> Handling | None:
    transition = TRANSITIONS[command.op]
    if incident.handling not in transition.sources:
        legal = ", ".join(sorted(transition.sources))
        raise Refused(
            "transition",
            f"{command.op} ({transition.letter}) is not possible from {incident.handling}; only from {legal}",
        )
    if incident.handling in transition.keeps:
        return None
    return incident.resumes or Handling.NEW if command.op is Op.UNMERGE else transition.target


def _checked_note(command: Command) -> str | None:
    note = (command.note or "").strip() or None
    if note is None and "note" in TRANSITIONS[command.op].needs:
        raise Refused(
            "note_required", f"{command.op} needs a note that says why or what was done", "args.note"
        )
    for field, text in (("args.note", note), ("args.override", command.override)):
        if text and len(text) > MAX_NOTE_CHARS:
            raise _refused("note_length", field)
    return note


def _told(note: str | None, command: Command) -> str | None:
    """Return the note of the history: a supervisor's reason stands in it, to be masked like any other."""
    reason = (command.override or "").strip() if command.op is Op.RESOLVE else ""
    return f"{note}\n{reason}" if note and reason else note


def _refused(rule: str, field: str = "op") -> Refused:
    return Refused(rule, GUARDS[rule], field)


def _moved(changed: Incident, target: Handling, before: Incident) -> Incident:
    """Return `changed` in handling `target`; whoever moves an incident takes it off the shelf."""
    resting = target is before.handling or target is Handling.MERGED
    return msgspec.structs.replace(
        changed,
        handling=target,
        shelved_until_us=changed.shelved_until_us if resting else None,
    )


# what each command does to its incident ---------------------------------------------------------------------


def _acknowledged(incident: Incident, step: _Step) -> Incident:
    # Whoever takes up what another ward handed over has accepted it.
    return msgspec.structs.replace(
        incident, acknowledged_us=incident.acknowledged_us or step.now_us, handed_from=None
    )


def _stepped(incident: Incident, step: _Step) -> Incident:
    policies = step.context.policies
    return _acknowledged(stepped(incident, step.command, step.actor, step.now_us, policies), step)


def _skipped(incident: Incident, step: _Step) -> Incident:
    policies = step.context.policies
    return _acknowledged(skipped(incident, step.command, step.actor, step.now_us, policies), step)


def _named(step: _Step) -> str:
    name = (step.command.assignee or "").strip()
    if not name:
        raise _refused("assignee_required", "args.assignee")
    if len(name) > MAX_ASSIGNEE_CHARS:
        raise _refused("assignee_length", "args.assignee")
    return name


def _assigned(incident: Incident, step: _Step) -> Incident:
    return msgspec.structs.replace(_acknowledged(incident, step), assignee=_named(step))


def _started(incident: Incident, step: _Step) -> Incident:
    return msgspec.structs.replace(
        _acknowledged(incident, step), responded_us=incident.responded_us or step.now_us
    )


def _resolved(incident: Incident, step: _Step) -> Incident:
    photo = photo_of(step.command)
    ended = require_done(incident, step.command, supervises=step.context.supervises)
    done = _started(_running(ended, step), step)
    return msgspec.structs.replace(done, resolved_us=step.now_us, photo=photo or incident.photo)


def _running(incident: Incident, step: _Step) -> Incident:
    """Return `incident` with its clock running, as whatever ends its handling leaves it."""
    if incident.paused_us is None:
        return incident
    return resumed(incident, step.context.policies.days, step.now_us)


def _closed(incident: Incident, step: _Step) -> Incident:
    return msgspec.structs.replace(_running(incident, step), closed_us=step.now_us, handed_from=None)


def _reopened(incident: Incident, step: _Step) -> Incident:
    # The clocks do not start again: reopening is no way to win time. The procedure does: it was not done.
    return msgspec.structs.replace(
        begun_anew(incident, step.context.policies),
        acknowledged_us=None,
        responded_us=None,
        resolved_us=None,
        closed_us=None,
    )


def _rerouted(incident: Incident, step: _Step) -> Incident:
    ward, names = (step.command.ward or "").strip(), step.context.policies.ward_names
    if not ward:
        raise _refused("ward_required", "args.ward")
    if ward == incident.ward:
        raise _refused("ward_same", "args.ward")
    if ward not in names:
        raise _refused("ward_unknown", "args.ward")
    return _in_ward(incident, ward, incident.ward, step)


def _declined(incident: Incident, step: _Step) -> Incident:
    back = _handed_over(incident)
    return _in_ward(incident, back, None, step)


def _accepted(incident: Incident, step: _Step) -> Incident:
    _handed_over(incident)
    return _acknowledged(incident, step)


def _handed_over(incident: Incident) -> str:
    if incident.handed_from is None:
        raise _refused("not_handed_over")
    return incident.handed_from


def _in_ward(incident: Incident, ward: str, handed_from: str | None, step: _Step) -> Incident:
    """Return `incident` in another ward, which has not looked at it yet.

    Only the clock for looking at it begins anew, since nobody there could; the others run on.
    """
    policies = step.context.policies
    return msgspec.structs.replace(
        incident,
        ward=ward,
        handed_from=handed_from,
        team=team_of(policies.authority, incident.category, ward, policies.ward_names),
        assignee=None,
        acknowledged_us=None,
        shelved_until_us=None,
        ack_due_us=after(policies.days, step.now_us, policies.clocks.accept),
    )


def _merged(incident: Incident, step: _Step) -> Incident:
    head = step.context.head
    if not step.command.into or head is None:
        raise _refused("into_required", "args.into")
    if head.id == incident.id:
        raise _refused("into_self", "args.into")
    if not head.is_open:
        raise _refused("into_closed", "args.into")
    if head.members >= step.context.policies.grouping.max_members:
        raise _refused("into_full", "args.into")
    if incident.members:
        raise _refused("has_members")
    return as_member(incident, head, MANUAL)


def as_member(incident: Incident, head: Incident, by: str) -> Incident:
    """Return `incident` as part of `head`, remembering what it goes back to."""
    return msgspec.structs.replace(
        incident,
        handling=Handling.MERGED,
        merged_into=head.id,
        merged_by=by,
        resumes=incident.handling,
        ward=head.ward,
        shelved_until_us=None,
    )


def _unmerged(incident: Incident, _step: _Step) -> Incident:
    return alone_again(incident)


def alone_again(incident: Incident) -> Incident:
    """Return a merged `incident` as one for itself, in the handling it had."""
    return msgspec.structs.replace(
        incident, handling=incident.resumes or Handling.NEW, merged_into=None, merged_by=None, resumes=None
    )


def _shelved(incident: Incident, step: _Step) -> Incident:
    until_us = step.command.until_us
    if until_us is None:
        raise _refused("until_required", "args.until")
    if not step.now_us < until_us <= step.now_us + MAX_SHELVE_S * SECOND_US:
        raise _refused("until_bound", "args.until")
    return msgspec.structs.replace(incident, shelved_until_us=until_us)


def _unshelved(incident: Incident, _step: _Step) -> Incident:
    if incident.shelved_until_us is None:
        raise _refused("not_shelved")
    return msgspec.structs.replace(incident, shelved_until_us=None)


def _paused(incident: Incident, step: _Step) -> Incident:
    if step.command.reason is None:
        raise _refused("reason_required", "args.reason")
    if incident.paused_us is not None:
        raise _refused("already_paused")
    return msgspec.structs.replace(incident, paused_us=step.now_us, pause_reason=step.command.reason)


def _resumed(incident: Incident, step: _Step) -> Incident:
    if incident.paused_us is None:
        raise _refused("not_paused")
    return resumed(incident, step.context.policies.days, step.now_us)


def _involved(incident: Incident, step: _Step) -> Incident:
    agency = _named(step)
    if agency in incident.agencies or agency == incident.team:
        raise _refused("agency_known", "args.assignee")
    if len(incident.agencies) >= MAX_AGENCIES:
        raise _refused("agencies_bound", "args.assignee")
    # The first one makes them several; a further one wins no more time.
    timed = incident if incident.agencies else several_agencies(incident, step.context.policies)
    return msgspec.structs.replace(timed, agencies=(*incident.agencies, agency))


def _unchanged(incident: Incident, _step: _Step) -> Incident:
    return incident


_ACTS: Final[Mapping[Op, Callable[[Incident, _Step], Incident]]] = {
    Op.ACKNOWLEDGE: _acknowledged,
    Op.ASSIGN: _assigned,
    Op.START: _started,
    Op.RESOLVE: _resolved,
    Op.CLOSE: _closed,
    Op.REJECT: _closed,
    Op.REOPEN: _reopened,
    Op.REROUTE: _rerouted,
    Op.ACCEPT: _accepted,
    Op.DECLINE: _declined,
    Op.MERGE: _merged,
    Op.UNMERGE: _unmerged,
    Op.SHELVE: _shelved,
    Op.UNSHELVE: _unshelved,
    Op.PAUSE: _paused,
    Op.RESUME: _resumed,
    Op.INVOLVE: _involved,
    Op.COMMENT: _unchanged,
    Op.STEP: _stepped,
    Op.SKIP: _skipped,
}


def _details(before: Incident, after_: Incident, command: Command) -> Details:
    """Return what the history keeps of a command besides its note."""
    found: Details = {}
    if command.op in (Op.ASSIGN, Op.INVOLVE):
        found["assignee"] = after_.assignee if command.op is Op.ASSIGN else after_.agencies[-1]
    if before.ward != after_.ward:
        found |= {"ward_from": before.ward, "ward": after_.ward, "team": after_.team}
    if command.op is Op.MERGE:
        found |= {"into": after_.merged_into, "by": MANUAL}
    if command.op is Op.UNMERGE:
        found["from"] = before.merged_into
    if command.op is Op.SHELVE and after_.shelved_until_us is not None:
        found["until"] = format_us(after_.shelved_until_us)
    if command.op is Op.PAUSE:
        found["reason"] = str(command.reason)
    if before.resolve_due_us != after_.resolve_due_us and after_.resolve_due_us is not None:
        found["resolve_due"] = format_us(after_.resolve_due_us)
    if command.photo and command.op in (Op.RESOLVE, Op.STEP):
        found["photo"] = command.photo
    return found | _details_of_procedure(before, after_, command)


def _details_of_procedure(before: Incident, after_: Incident, command: Command) -> Details:
    found: Details = {}
    if command.op in (Op.STEP, Op.SKIP):
        found["step"] = command.step
    if command.op is Op.STEP and command.answer:
        found["answer"] = command.answer
    overridden = command.op is Op.RESOLVE and before.checklist is not None and before.checklist.open
    if overridden and before.checklist is not None:
        found["open"] = ", ".join(step.id for step in before.checklist.open)
    if overridden or (command.op is Op.SKIP and is_required(before, command.step)):
        found |= {"level": ALERT_LEVEL, "to": ALERT_TO}
    return found


# what changes with it ---------------------------------------------------------------------------------------


def _head_grows(member: Incident, step: _Step, actor: str) -> list[Change]:
    head = step.context.head
    assert head is not None, "merge was checked"
    return [joined(head, member, step.now_us, actor, step.context.policies)]


def _head_shrinks(member: Incident, step: _Step, actor: str) -> list[Change]:
    head = step.context.head
    return [] if head is None else [left(head, member, step.now_us, actor)]


def _members_follow(head: Incident, step: _Step, actor: str) -> list[Change]:
    return [
        revised(
            member,
            msgspec.structs.replace(member, ward=head.ward, team=head.team),
            op=step.command.op,
            actor=actor,
            at_us=step.now_us,
            details={"with": head.id, "ward_from": member.ward, "ward": head.ward},
        )
        for member in step.context.members
    ]


_FOLLOWS: Final[Mapping[Op, Callable[[Incident, _Step, str], list[Change]]]] = {
    Op.MERGE: _head_grows,
    Op.UNMERGE: _head_shrinks,
    Op.REROUTE: _members_follow,
    Op.DECLINE: _members_follow,
}


def joined(head: Incident, member: Incident, at_us: int, actor: str, policies: Policies) -> Change:
    """Return `head` with one member more; it is never less severe than what it stands for."""
    details: Details = {"member": member.id}
    grown = msgspec.structs.replace(
        head,
        members=head.members + 1,
        members_active=head.members_active + (member.condition is Condition.ACTIVE),
    )
    if RANK[member.severity] > RANK[head.severity]:
        details |= {"severity_from": str(head.severity), "severity": str(member.severity)}
        grown = _as_urgent_as(grown, member)
    grown = with_next_step(grown, policies.clocks)
    return revised(head, grown, op="joined", actor=actor, at_us=at_us, details=details)


def _as_urgent_as(head: Incident, member: Incident) -> Incident:
    due_us = member.resolve_due_us
    sooner = due_us is not None and (head.resolve_due_us is None or due_us < head.resolve_due_us)
    return msgspec.structs.replace(
        head,
        severity=member.severity,
        ack_due_us=min(filter(None, (head.ack_due_us, member.ack_due_us)), default=None),
        resolve_due_us=due_us if sooner else head.resolve_due_us,
        working_clock=member.working_clock if sooner else head.working_clock,
    )


def left(head: Incident, member: Incident, at_us: int, actor: str) -> Change:
    """Return `head` with one member less."""
    shrunk = msgspec.structs.replace(
        head,
        members=head.members - 1,
        members_active=head.members_active - (member.condition is Condition.ACTIVE),
    )
    return revised(head, shrunk, op="left", actor=actor, at_us=at_us, details={"member": member.id})
