"""A new revision of an incident with the audit row that explains it: the one place that makes either."""

import msgspec

from ioc.model.incidents import Audit, Change, Incident

Details = dict[str, str | int | float | bool | None]


def revised(
    before: Incident,
    after: Incident,
    *,
    op: str,
    actor: str,
    at_us: int,
    note: str | None = None,
    details: Details | None = None,
) -> Change:
    """Return `after` as the revision that follows `before`."""
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
