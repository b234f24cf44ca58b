"""Working through an incident's procedure: what `step` and `skip` do to it, and what keeps it open. Pure."""

from typing import Final

import msgspec

from ioc.incidents.commands import GUARDS, Command, Refused, photo_of
from ioc.incidents.policies import Policies
from ioc.incidents.procedures import Procedure, ProcedureStep, begin, chosen, due_steps, find, with_step
from ioc.model.incidents import Checklist, Incident, StepKind, Taken

ALERT_LEVEL: Final = 1
"""How far a skipped or overridden step escalates its incident."""
ALERT_TO: Final = "supervisor"


def with_procedure(incident: Incident, policies: Policies) -> Incident:
    """Return `incident` with the procedure that fits it, unless somebody has begun with another."""
    if incident.checklist is not None and incident.checklist.taken:
        return incident
    found = chosen(policies.procedures.procedures, incident.rule, incident.category, incident.severity)
    return msgspec.structs.replace(incident, checklist=begin(found) if found else None)


def begun_anew(incident: Incident, policies: Policies) -> Incident:
    """Return `incident` with nothing of its procedure done."""
    if incident.checklist is None or not incident.checklist.taken:
        return incident
    procedure = _text_of(incident.checklist, policies)
    return msgspec.structs.replace(incident, checklist=begin(procedure))


def stepped(incident: Incident, command: Command, actor: str, at_us: int, policies: Policies) -> Incident:
    """Return `incident` with a step done. A second time corrects the first.

    Raises:
        Refused: there is no such step, or what its kind asks for is missing.
    """
    checklist, procedure, step = _step_of(incident, command, policies)
    answer = photo = None
    if step.kind is StepKind.CHOICE:
        answer = _answer_of(step, command)
    elif step.kind is StepKind.NOTE and not (command.note or "").strip():
        raise Refused("note_required", "this step asks for a note", "args.note")
    elif step.kind is StepKind.PHOTO:
        photo = photo_of(command)
        if photo is None:
            raise _refused("photo_required", "args.photo")
    entry = Taken(step=step.id, by=actor, at_us=at_us, answer=answer, photo=photo)
    return _claimed(incident, with_step(procedure, checklist, entry), actor)


def skipped(incident: Incident, command: Command, actor: str, at_us: int, policies: Policies) -> Incident:
    """Return `incident` with a step skipped; a required one is told to the supervisors.

    Raises:
        Refused: there is no such step, or it has been done.
    """
    checklist, procedure, step = _step_of(incident, command, policies)
    if any(each.step == step.id for each in checklist.taken):
        raise _refused("step_taken", "args.step")
    entry = Taken(step=step.id, by=actor, at_us=at_us, skipped=True)
    after = _claimed(incident, with_step(procedure, checklist, entry), actor)
    return alerted(after) if step.required else after


def require_done(incident: Incident, command: Command, *, supervises: bool) -> Incident:
    """Return `incident` if nothing of its procedure forbids to end it, escalated where that is overridden.

    Raises:
        Refused: a required step is open and no supervisor gave a reason.
    """
    open_steps = incident.checklist.open if incident.checklist else ()
    if not open_steps:
        return incident
    if not (command.override or "").strip():
        names = ", ".join(step.id for step in open_steps)
        raise Refused(
            "steps_open", f"{GUARDS['steps_open']}; open: {names}", "args.override" if supervises else "op"
        )
    if not supervises:
        raise _refused("override_role", "args.override")
    return alerted(incident)


def alerted(incident: Incident) -> Incident:
    """Return `incident` escalated at least to the supervisors."""
    return msgspec.structs.replace(incident, level=max(incident.level, ALERT_LEVEL))


def is_required(incident: Incident, step: str | None) -> bool:
    """Return whether a step is one of those without which the incident cannot end."""
    return incident.checklist is not None and any(each.id == step for each in incident.checklist.open)


def _step_of(
    incident: Incident, command: Command, policies: Policies
) -> tuple[Checklist, Procedure, ProcedureStep]:
    if incident.checklist is None:
        raise _refused("no_procedure")
    if not command.step:
        raise _refused("step_required", "args.step")
    procedure = _text_of(incident.checklist, policies)
    due = due_steps(procedure, incident.checklist.taken)
    step = next((each for each in due if each.id == command.step), None)
    if step is None:
        raise _refused("step_unknown", "args.step")
    return incident.checklist, procedure, step


def _text_of(checklist: Checklist, policies: Policies) -> Procedure:
    procedure = find(checklist.ref, policies.procedures.procedures, policies.texts)
    if procedure is None:
        raise _refused("procedure_unknown")
    return procedure


def _answer_of(step: ProcedureStep, command: Command) -> str:
    known = [choice.id for choice in step.choices]
    if command.answer not in known:
        raise Refused("answer", f"{GUARDS['answer']}: {', '.join(known)}", "args.answer")
    return command.answer


def _claimed(incident: Incident, checklist: Checklist, actor: str) -> Incident:
    return msgspec.structs.replace(incident, checklist=checklist, assignee=incident.assignee or actor)


def _refused(rule: str, field: str = "op") -> Refused:
    return Refused(rule, GUARDS[rule], field)
