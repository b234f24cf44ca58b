"""Due dates, pauses, escalation and the forecast of what will be late: pure, every moment an argument.

Three clocks begin when an incident is detected: acknowledge, respond (somebody begins to work), resolve. None
starts again, whatever people do; only `resolve` can stand still, for one of the reasons of `PauseReason`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from ioc.incidents.calendar import WorkingCalendar
from ioc.incidents.policies import ClockPolicy, Policies, Step, length_of, nearness_of
from ioc.incidents.policy_shapes import most_particular
from ioc.model.incidents import Clocks, Incident, Pending, Severity, Worked
from ioc.model.times import DAY_US, HOUR_US, SECOND_US

MAX_NAMED: Final = 20
"""Incidents named per ward in a forecast."""
PACE_US: Final = DAY_US
"""How far back a ward's pace looks."""


class Due(NamedTuple):
    """When an incident's clocks end. `working`: the resolve clock runs on working days only."""

    acknowledge_us: int | None
    respond_us: int | None
    resolve_us: int | None
    working: bool


def due_dates(policies: Policies, category: str, severity: Severity, own: Clocks, start_us: int) -> Due:
    """Return the due dates of an incident detected at `start_us`; its rule's `own` times come first."""
    clocks, days = policies.clocks, policies.days
    resolve = _allowed(clocks, category, severity, "resolve")
    working = own.resolve_s is None and resolve is not None and length_of(resolve).working
    return Due(
        _due(days, start_us, own.acknowledge_s, _allowed(clocks, category, severity, "acknowledge")),
        _due(days, start_us, None, _allowed(clocks, category, severity, "respond")),
        _due(days, start_us, own.resolve_s, resolve),
        working,
    )


def _due(days: WorkingCalendar, start_us: int, own_s: int | None, allowed: str | None) -> int | None:
    if own_s is not None:
        # A rule that says 0 wants no such clock.
        return start_us + own_s * SECOND_US if own_s else None
    return None if allowed is None else after(days, start_us, allowed)


def after(days: WorkingCalendar, start_us: int, span: str) -> int:
    """Return the moment `span` after `start_us`."""
    length = length_of(span)
    return days.add(start_us, length.us) if length.working else start_us + length.us


def _allowed(policy: ClockPolicy, category: str, severity: Severity, clock: str) -> str | None:
    return most_particular(
        (2 * near + (row.severity is not None), text)
        for row in policy.rows
        if (text := getattr(row, clock)) is not None
        and (near := nearness_of(row.category, category)) is not None
        and row.severity in (None, severity)
    )


def several_agencies(incident: Incident, policies: Policies) -> Incident:
    """Return `incident` with the longer time that is allowed where several agencies are involved."""
    longer = _allowed(policies.clocks, incident.category, incident.severity, "resolve_several")
    usual = _allowed(policies.clocks, incident.category, incident.severity, "resolve")
    due_us = incident.resolve_due_us
    if longer is None or usual is None or due_us is None:
        return incident
    more = length_of(longer)
    if more.working != incident.working_clock:
        # Its rule set a time of its own, which the policy does not lengthen.
        return incident
    return msgspec.structs.replace(
        incident, resolve_due_us=_shifted(incident, policies.days, due_us, more.us - length_of(usual).us)
    )


def resumed(incident: Incident, days: WorkingCalendar, now_us: int) -> Incident:
    """Return a paused `incident` with its resolve clock running again, moved by exactly the time it stood."""
    due_us, since_us = incident.resolve_due_us, incident.paused_us
    if due_us is not None and since_us is not None:
        stood_us = days.between(since_us, now_us) if incident.working_clock else max(0, now_us - since_us)
        due_us = _shifted(incident, days, due_us, stood_us)
    return msgspec.structs.replace(incident, resolve_due_us=due_us, paused_us=None, pause_reason=None)


def _shifted(incident: Incident, days: WorkingCalendar, due_us: int, by_us: int) -> int:
    return days.add(due_us, by_us) if incident.working_clock else due_us + by_us


# escalation -------------------------------------------------------------------------------------------------


class Taken(NamedTuple):
    """An escalation step that is due, and the due date it belongs to."""

    step: Step
    at_us: int
    due_us: int


def running_due(incident: Incident, clock: str) -> int | None:
    """Return when `clock` of an incident ends, None where it does not run (met, paused, finished, merged)."""
    if not incident.is_open:
        return None
    if clock == "acknowledge":
        return incident.ack_due_us if incident.acknowledged_us is None else None
    if clock == "respond":
        return incident.respond_due_us if incident.responded_us is None else None
    return incident.resolve_due_us if incident.paused_us is None else None


def steps_of(incident: Incident, policy: ClockPolicy) -> list[Taken]:
    """Return the steps that lie ahead of an incident as things are, in order of time."""
    taken_us = incident.escalated_us
    ahead = []
    for step in policy.steps:
        due_us = running_due(incident, step.clock)
        if due_us is None:
            continue
        # A warning of a short clock waits for half of it: at once it would warn of nothing.
        halfway_us = incident.detected_us + max(0, due_us - incident.detected_us) // 2
        at_us = max(due_us + length_of(step.at).us, halfway_us)
        if taken_us is None or at_us > taken_us:
            ahead.append(Taken(step, at_us, due_us))
    return sorted(ahead, key=lambda taken: (taken.at_us, taken.step.level, taken.step.clock))


def with_next_step(incident: Incident, policy: ClockPolicy) -> Incident:
    """Return `incident` knowing when it is to be escalated next."""
    ahead = steps_of(incident, policy)
    next_us = ahead[0].at_us if ahead else None
    if next_us == incident.escalate_us:
        return incident
    return msgspec.structs.replace(incident, escalate_us=next_us)


# forecast ---------------------------------------------------------------------------------------------------


class WardForecast(msgspec.Struct, frozen=True, kw_only=True):
    """How one ward's open incidents stand, and how they will within the horizon."""

    ward: str | None
    open: int
    overdue: int
    will_breach: int
    """Not late yet, but at the present pace they will be."""
    paused: int
    per_hour: float
    """Resolved an hour, lately: the pace the forecast assumes."""
    first_breach_us: int | None
    incidents: tuple[str, ...]
    """The first of those that will be late, at most `MAX_NAMED`, the earliest due date first."""


def paces(
    incidents: Iterable[Pending], worked: Mapping[str | None, Worked], now_us: int
) -> dict[str | None, float]:
    """Return how many incidents an hour each ward resolves while it has any.

    A ward's hours begin with the first incident that it still has or resolved lately, so that neither a quiet
    night nor a young installation slows it; less than one counts as one. A ward that has resolved nothing,
    and has not yet had the time that the wards take on average, is taken to be as quick as those.

    Args:
        incidents: the open ones.
        worked: what was resolved within `PACE_US` before now, by ward.
        now_us: the present.
    """
    begun = {ward: each.since_us for ward, each in worked.items()}
    for incident in incidents:
        begun[incident.ward] = min(begun.get(incident.ward, now_us), incident.detected_us)
    spent = {ward: min(PACE_US, now_us - since_us) / HOUR_US for ward, since_us in begun.items()}
    counted = {ward: max(1.0, hours) for ward, hours in spent.items()}
    usual = sum(each.resolved for each in worked.values()) / (sum(counted.values()) or 1.0)
    return {
        ward: worked[ward].resolved / counted[ward]
        if ward in worked
        else (usual if hours * usual < 1.0 else 0.0)
        for ward, hours in spent.items()
    }


def forecast(
    incidents: Iterable[Pending], pace: Mapping[str | None, float], now_us: int, horizon_us: int
) -> list[WardForecast]:
    """Return per ward what will be late within `horizon_us`, the worst ward first.

    A ward is taken to work on what is due first, at its pace (`paces`): the k-th of its queue is done
    k / pace hours from now. A ward without pace finishes nothing.

    Args:
        incidents: the open ones.
        pace: resolved incidents an hour, by ward.
        now_us: the present.
        horizon_us: how far to look.
    """
    queues: dict[str | None, list[Pending]] = {}
    for incident in incidents:
        queues.setdefault(incident.ward, []).append(incident)
    found = [_ward(ward, queue, pace.get(ward, 0.0), now_us, horizon_us) for ward, queue in queues.items()]
    return sorted(found, key=lambda item: (-item.will_breach, -item.overdue, item.ward or ""))


def _ward(
    ward: str | None, queue: Sequence[Pending], per_hour: float, now_us: int, horizon_us: int
) -> WardForecast:
    timed = sorted(
        (incident.due_us, incident.id)
        for incident in queue
        if incident.due_us is not None and not incident.is_paused
    )
    late: list[tuple[int, str]] = []
    overdue = 0
    for place, (due_us, incident_id) in enumerate(timed, start=1):
        if due_us <= now_us:
            overdue += 1
        elif due_us <= now_us + horizon_us:
            done_us = now_us + round(place / per_hour * HOUR_US) if per_hour > 0 else None
            if done_us is None or done_us > due_us:
                late.append((due_us, incident_id))
    return WardForecast(
        ward=ward,
        open=len(queue),
        overdue=overdue,
        will_breach=len(late),
        paused=sum(incident.is_paused for incident in queue),
        per_hour=per_hour,
        first_breach_us=late[0][0] if late else None,
        incidents=tuple(incident_id for _, incident_id in late[:MAX_NAMED]),
    )
