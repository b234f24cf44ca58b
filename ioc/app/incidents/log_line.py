"""One log line per change of an incident: its id leads from a console to the log, and on to the events."""

import structlog
from prometheus_client import Counter

from ioc.incidents.proof import PROOF
from ioc.model.incidents import Change

_log = structlog.get_logger()
_disproved = Counter(
    "ioc_incident_disproved_total", "Incidents opened again because they were not over", ["reason"]
)
_OFTEN = "updated"
"""Every further event that carries an incident makes one."""


def log_change(change: Change) -> None:
    """Write what was committed; call it after the commit."""
    incident, audit = change.incident, change.audit
    if audit.actor == PROOF:
        _disproved.labels(str(audit.details["reason"])).inc()
    write = _log.debug if audit.op == _OFTEN else _log.info
    write(
        "incident",
        op=audit.op,
        incident=incident.id,
        rev=incident.rev,
        rule=incident.rule,
        ward=incident.ward,
        actor=audit.actor,
        # Text, as the mask of logs reads texts.
        events=" ".join(incident.why.event_ids),
    )
