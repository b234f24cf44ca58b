"""Incidents for the tests of the pure core."""

import msgspec

from ioc.incidents.commands import Command, Op
from ioc.incidents.effects import on_effect
from ioc.incidents.lifecycle import Context, on_command
from ioc.incidents.policies import Policies, ProcedurePolicy
from ioc.model.incidents import Change, Incident, Raised, Severity, Why
from ioc.model.texts import Text
from ioc.model.times import SECOND_US

NOW_US = 1_700_000_000 * SECOND_US
WHY = Why(rule_version="v1", summary=Text("vì", "why"))
NAMES = {"25747": "Phường Thủ Dầu Một", "25750": "Phường Phú Lợi"}
POLICIES = Policies(ward_names=NAMES, procedures=ProcedurePolicy(procedures=()))
"""Without procedures, so that an incident may end at once."""
RAISED = Raised(
    incident_id="inc-1",
    rule="congestion",
    key="det-1",
    category="traffic",
    severity=Severity.HIGH,
    title=Text("Ùn tắc", "Congestion"),
    why=WHY,
    opened_us=NOW_US - 30 * SECOND_US,
    at_us=NOW_US,
    ward="25747",
    lon=106.65,
    lat=10.98,
)


def raise_one(incident_id: str = "inc-1", policies: Policies = POLICIES, **changes: object) -> Change:
    effect = msgspec.structs.replace(RAISED, incident_id=incident_id, key=incident_id, **changes)
    change = on_effect(None, effect, policies)
    assert change
    return change


def an_incident(incident_id: str = "inc-1", policies: Policies = POLICIES, **changes: object) -> Incident:
    return raise_one(incident_id, policies, **changes).incident


def do(
    incident: Incident,
    op: Op,
    *,
    context: Context = Context(POLICIES),  # noqa: B008
    at_us: int = NOW_US + SECOND_US,
    **arguments: object,
) -> list[Change]:
    command = Command(op=op, expect_rev=incident.rev, idem="k", **arguments)
    return on_command(incident, command, actor="an", now_us=at_us, context=context)


def after_doing(incident: Incident, op: Op, **arguments: object) -> Incident:
    return do(incident, op, **arguments)[0].incident
