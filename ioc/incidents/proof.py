"""Proof that what people resolved is over: what raised an incident has the last word on it.

An incident that still goes on some time after it was resolved is opened again, and so is one whose alarm
comes back soon after; the new alarm then becomes part of it, so that a case keeps its history. Only what was
resolved counts: whoever rejects an alarm says that there is nothing, and is believed.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from ioc.incidents.checklist import ALERT_LEVEL, ALERT_TO, alerted
from ioc.incidents.commands import Command, Op
from ioc.incidents.grouping import Grouping, can_lead, nearness
from ioc.incidents.lifecycle import Context, on_command
from ioc.incidents.policies import Policies, length_of, nearness_of
from ioc.incidents.policy_shapes import most_particular
from ioc.incidents.proof_policy import ProofPolicy, Watch
from ioc.incidents.revisions import Details
from ioc.model.incidents import RANK, Change, Condition, Handling, Incident
from ioc.model.times import MINUTE_US, SECOND_US

PROOF: Final = "system:proof"
RETURNED: Final = "returned"
"""How the grouping is called that puts an alarm into the incident that it disproves."""
ENDED: Final = (Handling.RESOLVED, Handling.CLOSED)

_NOTES: Final = {
    "persists": "Vẫn diễn ra {after} sau khi báo xử lý xong.",
    RETURNED: "Xảy ra lại {after} sau khi báo xử lý xong.",
}


def still_there(incident: Incident, policies: Policies, now_us: int) -> Change | None:
    """Open an incident again that goes on long after it was resolved; None where it does not."""
    after_us = _stated_us(policies.proof, incident, "persists")
    ended_us = ended_at_us(incident)
    goes_on = incident.condition is Condition.ACTIVE or incident.members_active > 0
    if not (after_us and ended_us is not None and goes_on and now_us - ended_us >= after_us):
        return None
    return _reopened(incident, "persists", now_us - ended_us, policies, now_us)


def came_back(new: Incident, ended: Iterable[Incident], policies: Policies) -> Change | None:
    """Open the incident again that `new` shows not to be over, None where there is none.

    Like every grouping it stays within one ward and place, and never hides what is more severe.

    Args:
        new: an incident as just raised.
        ended: incidents that may be meant; what is of another rule, key or ward is left out.
        policies: what is in force.
    """
    within_us = _stated_us(policies.proof, new, "returns")
    if not within_us or new.handling is not Handling.NEW:
        return None
    meant = [
        (ended_us, incident)
        for incident in ended
        if (incident.rule, incident.key, incident.ward) == (new.rule, new.key, new.ward)
        and (ended_us := ended_at_us(incident)) is not None
        and 0 < new.detected_us - ended_us <= within_us
        and RANK[new.severity] <= RANK[incident.severity]
        and _is_there(incident, new, policies.grouping.metres)
    ]
    if not meant:
        return None
    ended_us, incident = max(meant, key=lambda each: (each[0], each[1].id))
    back = _reopened(incident, RETURNED, new.detected_us - ended_us, policies, new.detected_us)
    return back if can_lead(back.incident, policies.grouping) else None


def _is_there(incident: Incident, new: Incident, metres: float) -> bool:
    """Whether both are at one place: a key may be a whole ward, or something that moves."""
    apart = nearness(incident, new).metres
    return apart is None or apart <= metres


def returned(back: Change, new: Incident) -> Grouping:
    """Return the group of what `came_back` opened again and the alarm that shows it."""
    return Grouping(back.incident.id, (new.id,), RETURNED)


def longest_return_us(policy: ProofPolicy) -> int:
    """Return how far back an alarm may concern what was resolved, microseconds; 0 for not at all."""
    if not policy.enabled:
        return 0
    return max((length_of(row.returns).us for row in policy.rows if row.returns), default=0)


def ended_at_us(incident: Incident) -> int | None:
    """Return when people resolved it, None where they did not or have opened it again."""
    return incident.resolved_us if incident.handling in ENDED else None


def _stated_us(policy: ProofPolicy, incident: Incident, field: Literal["persists", "returns"]) -> int:
    """Return the time of the most particular row that states one, 0 for never."""
    rows = policy.rows if policy.enabled else ()
    ranked = ((_rank(row, incident), getattr(row, field)) for row in rows)
    text = most_particular((rank, text) for rank, text in ranked if rank is not None and text is not None)
    return length_of(text).us if text else 0


def _rank(row: Watch, incident: Incident) -> int | None:
    near = nearness_of(row.category, incident.category)
    if near is None or row.rule not in (None, incident.rule):
        return None
    return near + (3 if row.rule else 0)


def _reopened(incident: Incident, reason: str, since_us: int, policies: Policies, at_us: int) -> Change:
    minutes = max(1, round(since_us / MINUTE_US))
    after = f"{minutes} phút" if minutes < 120 else f"{round(minutes / 60)} giờ"
    note = _NOTES[reason].format(after=after)
    command = Command(op=Op.REOPEN, expect_rev=incident.rev, idem=PROOF, note=note)
    (change,) = on_command(incident, command, actor=PROOF, now_us=at_us, context=Context(policies=policies))
    details: Details = {"reason": reason, "seconds": since_us // SECOND_US}
    details |= {"level": ALERT_LEVEL, "to": ALERT_TO}
    return Change(
        incident=alerted(change.incident), audit=msgspec.structs.replace(change.audit, details=details)
    )
