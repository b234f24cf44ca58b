"""What rules and the passing of time do to incidents: pure, like what people do (`lifecycle`)."""

from collections.abc import Mapping
from typing import Final

import msgspec

from ioc.incidents.checklist import with_procedure
from ioc.incidents.clocks import due_dates, steps_of, with_next_step
from ioc.incidents.commands import Op
from ioc.incidents.grouping import Grouping, details_of
from ioc.incidents.lifecycle import alone_again, as_member, joined, left
from ioc.incidents.policies import Policies
from ioc.incidents.revisions import Details, revised
from ioc.incidents.routing import team_of
from ioc.model.incidents import (
    RANK,
    Audit,
    Change,
    Cleared,
    Condition,
    Effect,
    Handling,
    Incident,
    Raised,
    Severity,
    Updated,
)
from ioc.model.times import SECOND_US, format_us

SYSTEM: Final = "system"
GROUPING: Final = "system:grouping"
DEFAULT: Final = Policies()


def on_effect(incident: Incident | None, effect: Effect, policies: Policies = DEFAULT) -> Change | None:
    """Apply a rule's `effect`; None when it changes nothing (a repeat, or an episode nobody knows)."""
    match effect:
        case Raised():
            return None if incident else _raise(effect, policies)
        case Updated():
            return _update(incident, effect, policies) if incident and _is_active(incident) else None
        case Cleared():
            return _clear(incident, effect) if incident and _is_active(incident) else None


def _is_active(incident: Incident) -> bool:
    return incident.condition is Condition.ACTIVE


def _raise(effect: Raised, policies: Policies) -> Change:
    due = due_dates(policies, effect.category, effect.severity, effect.clocks, effect.at_us)
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
        team=team_of(policies.authority, effect.category, effect.ward, policies.ward_names),
        ack_due_us=due.acknowledge_us,
        respond_due_us=due.respond_us,
        resolve_due_us=due.resolve_us,
        working_clock=due.working,
    )
    audit = Audit(
        incident_id=incident.id,
        rev=1,
        at_us=effect.at_us,
        actor=f"rule:{effect.rule}",
        op="raised",
        after=str(Handling.NEW),
        details={
            "severity": str(effect.severity),
            "rule_version": effect.why.rule_version,
            "team": incident.team,
        },
    )
    incident = with_procedure(incident, policies)
    return Change(incident=with_next_step(incident, policies.clocks), audit=audit)


def _update(incident: Incident, effect: Updated, policies: Policies) -> Change:
    # A head is never less severe than what it stands for.
    severity = max(incident.severity, effect.severity, key=RANK.__getitem__)
    worse = RANK[effect.severity] > RANK[incident.severity]
    changed = msgspec.structs.replace(
        incident,
        severity=severity if incident.members else effect.severity,
        why=effect.why,
        count=max(effect.count, incident.count),
        # Shelved was what it used to be.
        shelved_until_us=None if worse else incident.shelved_until_us,
    )
    details: Details = {"count": changed.count}
    if changed.severity is not incident.severity:
        details |= {"severity_from": str(incident.severity), "severity": str(changed.severity)}
        changed = with_procedure(changed, policies)
    return revised(
        incident,
        with_next_step(changed, policies.clocks),
        op="updated",
        actor=f"rule:{incident.rule}",
        at_us=effect.at_us,
        details=details,
    )


def _clear(incident: Incident, effect: Cleared) -> Change:
    changed = msgspec.structs.replace(
        incident,
        condition=Condition.CLEARED,
        cleared_us=effect.at_us,
        count=max(effect.count, incident.count),
    )
    return revised(
        incident,
        changed,
        op="cleared",
        actor=f"rule:{incident.rule}",
        at_us=effect.at_us,
        details={"reason": effect.reason},
    )


# grouping ---------------------------------------------------------------------------------------------------


def on_grouping(
    raised: Change, grouping: Grouping, known: Mapping[str, Incident], policies: Policies
) -> list[Change]:
    """Return what becomes of a new incident, its head and the others that join.

    A new incident that joins is part of its head from its first revision on, so that it never shows as one
    more. The last revision of each incident stands last.

    Args:
        raised: the new incident's first revision.
        grouping: what `grouping.group` found.
        known: every other incident that it names.
        policies: what is in force.
    """
    new, at_us = raised.incident, raised.audit.at_us
    everyone = {**known, new.id: new}
    head = everyone[grouping.head]
    changes = [] if new.id in grouping.joining else [raised]
    heads: list[Change] = []
    for member_id in grouping.joining:
        member = everyone[member_id]
        details = details_of(head, member, grouping.by)
        part = with_next_step(as_member(member, head, grouping.by), policies.clocks)
        if member is new:
            audit = msgspec.structs.replace(
                raised.audit, after=str(Handling.MERGED), details=raised.audit.details | details
            )
            changes.append(Change(incident=part, audit=audit))
        else:
            changes.append(revised(member, part, op=Op.MERGE, actor=GROUPING, at_us=at_us, details=details))
        grown = joined(head, part, at_us, GROUPING, policies)
        heads.append(grown)
        head = grown.incident
    return changes + heads


def on_member_change(member: Incident, head: Incident, policies: Policies, before: Incident) -> list[Change]:
    """Return what follows for the group when a rule has changed `member` from `before`.

    One that grows worse than its head stands for itself again: it would be hidden otherwise.
    """
    at_us = member.updated_us
    if RANK[member.severity] > RANK[head.severity]:
        alone = with_next_step(alone_again(member), policies.clocks)
        details: Details = {"from": head.id, "reason": "more_severe_than_head"}
        return [
            revised(member, alone, op=Op.UNMERGE, actor=GROUPING, at_us=at_us, details=details),
            left(head, before, at_us, GROUPING),
        ]
    if _is_active(before) and not _is_active(member):
        fewer = msgspec.structs.replace(head, members_active=head.members_active - 1)
        return [
            revised(
                head, fewer, op="member_cleared", actor=GROUPING, at_us=at_us, details={"member": member.id}
            )
        ]
    return []


# time -------------------------------------------------------------------------------------------------------


def close_returned(incident: Incident, *, now_us: int, after_s: int) -> Change | None:
    """Close an incident that went away by itself and that nobody has taken up for `after_s` seconds.

    Critical ones wait for a person whatever happens: somebody must have looked. So does one that stands for
    others of which some still go on, one with a legal clock (a citizen is owed an answer), and one with a
    note: whoever reopened, rerouted, declined, shelved, paused or commented on it did not leave it alone.
    """
    cleared_us = incident.cleared_us
    if (
        incident.handling is not Handling.NEW
        or incident.note is not None
        or incident.severity is Severity.CRITICAL
        or incident.members_active
        or incident.working_clock
        or cleared_us is None
        or now_us - cleared_us < after_s * SECOND_US
    ):
        return None
    return revised(
        incident,
        msgspec.structs.replace(incident, handling=Handling.CLOSED, closed_us=now_us, escalate_us=None),
        op=Op.CLOSE,
        actor=SYSTEM,
        at_us=now_us,
        details={"reason": "returned_to_normal", "after_s": after_s},
    )


def escalate(incident: Incident, policies: Policies, now_us: int) -> Change | None:
    """Take every step of escalation that is due at `now_us`, as one revision; None where nothing changed.

    A policy that has changed since may leave none due: the revision then only notes the next moment.
    """
    due = [taken for taken in steps_of(incident, policies.clocks) if taken.at_us <= now_us]
    if not due:
        restamped = with_next_step(incident, policies.clocks)
        if restamped is incident:
            return None
        return revised(incident, restamped, op="clocks", actor=SYSTEM, at_us=now_us)
    top = max(due, key=lambda taken: taken.step.level)
    changed = msgspec.structs.replace(
        incident, escalated_us=due[-1].at_us, level=max(incident.level, top.step.level)
    )
    return revised(
        incident,
        with_next_step(changed, policies.clocks),
        op="escalate",
        actor=SYSTEM,
        at_us=now_us,
        details={
            "level": top.step.level,
            "to": top.step.to,
            "clock": top.step.clock,
            "due": format_us(top.due_us),
            "overdue": top.due_us <= now_us,
        },
    )


def unshelve_due(incident: Incident, now_us: int) -> Change | None:
    """Take an incident off the shelf whose time has come."""
    if incident.shelved_until_us is None or incident.shelved_until_us > now_us:
        return None
    return revised(
        incident,
        msgspec.structs.replace(incident, shelved_until_us=None),
        op=Op.UNSHELVE,
        actor=SYSTEM,
        at_us=now_us,
        details={"reason": "time_is_up"},
    )
