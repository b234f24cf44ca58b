"""What a citizen is told of the incident that their report became. Pure.

The history a citizen sees is made of the incident's own, without names, notes and reasons; where the incident
was merged into another, that one's history goes on in its stead.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.incidents.commands import Op
from ioc.incidents.policy_shapes import length_of
from ioc.model.incidents import Audit, Handling, Incident

MERGED: Final = Handling.MERGED.value


class ReportStatus(StrEnum):
    """How far a report has come."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    FORWARDED = "forwarded"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    REJECTED = "rejected"
    REOPENED = "reopened"


FINISHED: Final = frozenset({ReportStatus.DONE, ReportStatus.REJECTED})
_BY_HANDLING: Final = {
    "new": ReportStatus.RECEIVED,
    "acknowledged": ReportStatus.ACCEPTED,
    "assigned": ReportStatus.ACCEPTED,
    "in_progress": ReportStatus.IN_PROGRESS,
    "resolved": ReportStatus.DONE,
    "closed": ReportStatus.DONE,
    "rejected": ReportStatus.REJECTED,
}
_BY_OP: Final = {Op.REROUTE.value: ReportStatus.FORWARDED, Op.REOPEN.value: ReportStatus.REOPENED}


class Step(msgspec.Struct, frozen=True):
    """From `at_us` on the report stood so."""

    status: ReportStatus
    at_us: int


def steps_of(received_us: int, own: Sequence[Audit], head: Sequence[Audit] = ()) -> list[Step]:
    """Return the history of a report, the earliest first; never empty.

    Args:
        received_us: when it came.
        own: the history of its incident, oldest first; empty while there is none.
        head: that of the incident which stands for it now.
    """
    merged_us = next((audit.at_us for audit in reversed(own) if audit.after == MERGED), None)
    told = [audit for audit in own if audit.after != MERGED]
    if head and merged_us is not None:
        told = [audit for audit in told if audit.at_us < merged_us]
        # Where the other incident stood when it took over is where this report stands from then on.
        before = [audit for audit in head if audit.at_us < merged_us]
        told += [msgspec.structs.replace(before[-1], at_us=merged_us, op="")] if before else []
        told += [audit for audit in head if audit.at_us >= merged_us]
    steps = [Step(ReportStatus.RECEIVED, received_us)]
    for audit in told:
        status = _BY_OP.get(audit.op) or _BY_HANDLING.get(audit.after or "")
        if status is not None and status is not steps[-1].status:
            steps.append(Step(status, max(audit.at_us, received_us)))
    return steps


def status_of(handling: str) -> ReportStatus:
    """Return how far a report has come whose incident is in `handling`; one that is merged has its head's."""
    return _BY_HANDLING.get(handling, ReportStatus.ACCEPTED)


def resolution_of(audits: Iterable[Audit]) -> tuple[int, int] | None:
    """Return the revision and time of the last resolution or rejection in an incident's history."""
    ends = [audit for audit in audits if audit.op in (Op.RESOLVE, Op.REJECT)]
    return (ends[-1].rev, ends[-1].at_us) if ends else None


def may_reopen(incident: Incident, ended_us: int, now_us: int, policy: CitizenPolicy) -> bool:
    """Tell whether what citizens say may open an incident again that ended at `ended_us`."""
    finished = incident.handling in (Handling.RESOLVED, Handling.CLOSED, Handling.REJECTED)
    return finished and now_us - ended_us <= length_of(policy.reopen_within).us
