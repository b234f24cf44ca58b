"""Which alarms are one happening: a new one and what is open around it in, the incident it belongs to out.

Only incidents of one ward are grouped: a ward's people see all of a happening or nothing of it, and what a
ward's alarms become does not depend on when another ward's were written. An incident is never put into one
that is less severe, nor into one that people have finished or shelved, so grouping can hide nothing that
somebody still has to look at. Decided once, when an alarm is raised; people may undo and redo it.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ioc.geo.zones import metres_between
from ioc.incidents.policies import Correlation, GroupingPolicy, length_of
from ioc.incidents.revisions import Details
from ioc.model.incidents import RANK, Handling, Incident
from ioc.model.times import SECOND_US

PLACE: Final = "place"
"""Name of the grouping by place and category."""


class Grouping(NamedTuple):
    """`head` is the incident that stands for all; `joining` are those that become part of it."""

    head: str
    joining: tuple[str, ...]
    by: str
    """The correlation that says so, or `place`."""


class Near(NamedTuple):
    """How near two incidents are: `metres` None where one has no position."""

    metres: float | None
    seconds: float


def can_lead(incident: Incident, policy: GroupingPolicy) -> bool:
    """Tell whether alarms may still be put into this incident."""
    return incident.is_open and incident.shelved_until_us is None and incident.members < policy.max_members


def group(new: Incident, around: Sequence[Incident], policy: GroupingPolicy) -> Grouping | None:
    """Return the group that `new` makes or joins, None where it stands for itself.

    Args:
        new: an incident as just raised.
        around: open incidents of its ward, `new` not among them; their order does not matter.
        policy: what belongs together.
    """
    if not policy.enabled or new.ward is None or new.handling is not Handling.NEW:
        return None
    leaders = sorted(
        (item for item in around if can_lead(item, policy) and item.ward == new.ward),
        key=lambda item: (item.detected_us, item.id),
    )
    for correlation in policy.correlations:
        found = _correlated(new, leaders, correlation, policy.max_members)
        if found:
            return found
    return _by_place(new, leaders, policy)


def _by_place(new: Incident, leaders: Iterable[Incident], policy: GroupingPolicy) -> Grouping | None:
    within_s = length_of(policy.within).us / SECOND_US
    for head in leaders:
        near = nearness(head, new)
        if (
            head.category == new.category
            and near.seconds <= within_s
            and near.metres is not None
            and near.metres <= policy.metres
            and RANK[new.severity] <= RANK[head.severity]
        ):
            return Grouping(head.id, (new.id,), PLACE)
    return None


def _correlated(
    new: Incident, leaders: Iterable[Incident], correlation: Correlation, max_members: int
) -> Grouping | None:
    if not concerns(correlation, new):
        return None
    related = [item for item in leaders if concerns(correlation, item) and _near(item, new, correlation)]
    standing = [*related, new]
    heads = [item for item in standing if not correlation.heads or item.rule in correlation.heads]
    if not heads or _size(standing) < correlation.at_least:
        return None
    # The most severe leads, since the others must not be more severe; then one that leads already.
    head = min(heads, key=lambda item: (-RANK[item.severity], -item.members, item.detected_us, item.id))
    joining = [
        item.id
        for item in standing
        if item.id != head.id
        # What somebody has taken up, or made a head of others, stays as people see it.
        and item.handling is Handling.NEW
        and not item.members
        and RANK[item.severity] <= RANK[head.severity]
    ]
    # As many as the head has room for: the new alarm, then the oldest. The others stand for themselves.
    kept = sorted(joining, key=lambda member: member != new.id)[: max_members - head.members]
    joining = [member for member in joining if member in kept]
    return Grouping(head.id, tuple(joining), correlation.name) if joining else None


def concerns(correlation: Correlation, incident: Incident) -> bool:
    """Tell whether the correlation speaks of this incident's rule or category."""
    return incident.rule in correlation.rules or incident.category in correlation.categories


def _near(one: Incident, other: Incident, correlation: Correlation) -> bool:
    near = nearness(one, other)
    if near.seconds > length_of(correlation.within).us / SECOND_US:
        return False
    if correlation.metres is None:
        return True
    return near.metres is not None and near.metres <= correlation.metres


def _size(standing: Iterable[Incident]) -> int:
    return sum(1 + item.members for item in standing)


def nearness(one: Incident, other: Incident) -> Near:
    """Return the distance of two incidents in space and between their detections."""
    metres = None
    if one.lon is not None and one.lat is not None and other.lon is not None and other.lat is not None:
        metres = metres_between(one.lon, one.lat, other.lon, other.lat)
    return Near(metres, abs(other.detected_us - one.detected_us) / SECOND_US)


def details_of(head: Incident, member: Incident, by: str) -> Details:
    """Return what the history says about a member's grouping."""
    near = nearness(head, member)
    found: Details = {"into": head.id, "by": by, "seconds": round(near.seconds, 1)}
    return found if near.metres is None else found | {"metres": round(near.metres)}
