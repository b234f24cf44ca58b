"""The incident machine: what it allows, what it refuses, what never breaks."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.commands import TRANSITIONS, Command, CommandError, Conflict, Op, Refused
from ioc.incidents.effects import close_returned, on_effect
from ioc.incidents.lifecycle import on_command
from ioc.model.incidents import (
    Cleared,
    Clocks,
    Condition,
    Handling,
    Incident,
    PauseReason,
    Raised,
    Severity,
    Updated,
    Why,
)
from ioc.model.texts import Text
from ioc.model.times import SECOND_US
from tests.unit.incidents.samples import POLICIES

NOW_US = 1_700_000_000 * SECOND_US
WHY = Why(rule_version="v1", summary=Text("vì", "why"))
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
)


def raised(**changes: object) -> Incident:
    change = on_effect(None, msgspec.structs.replace(RAISED, **changes), POLICIES)
    assert change
    return change.incident


def command(op: Op, rev: int = 1, **arguments: Any) -> Command:
    return Command(op=op, expect_rev=rev, idem="k", **arguments)


def carry_out(incident: Incident, op: Op, **arguments: Any) -> Incident:
    (change, *_) = on_command(
        incident, command(op, incident.rev, **arguments), actor="an", now_us=NOW_US + SECOND_US
    )
    return change.incident


def test_a_raised_incident_is_new_active_and_has_its_clocks() -> None:
    incident = raised(clocks=Clocks(acknowledge_s=60))
    assert (incident.rev, incident.handling, incident.condition) == (1, Handling.NEW, Condition.ACTIVE)
    assert incident.ack_due_us == NOW_US + 60 * SECOND_US
    assert incident.resolve_due_us == NOW_US + 2 * 3600 * SECOND_US, "severity's default where none is stated"


def test_a_repeated_raise_changes_nothing() -> None:
    assert on_effect(raised(), RAISED) is None


def test_an_update_keeps_the_handling_and_may_raise_the_severity() -> None:
    incident = carry_out(raised(), Op.ACKNOWLEDGE)
    change = on_effect(
        incident, Updated(incident_id="inc-1", at_us=NOW_US, severity=Severity.CRITICAL, why=WHY, count=9)
    )
    assert change
    assert (change.incident.handling, change.incident.severity) == (Handling.ACKNOWLEDGED, Severity.CRITICAL)
    assert change.audit.details["severity_from"] == "high"


def test_clearing_changes_the_condition_only_and_once() -> None:
    cleared = Cleared(incident_id="inc-1", at_us=NOW_US, reason="clear_when", count=3)
    change = on_effect(raised(), cleared)
    assert change
    assert (change.incident.condition, change.incident.handling) == (Condition.CLEARED, Handling.NEW)
    assert on_effect(change.incident, cleared) is None


def test_effects_on_an_unknown_episode_change_nothing() -> None:
    assert on_effect(None, Cleared(incident_id="x", at_us=NOW_US, reason="hold", count=1)) is None


def test_the_whole_way_to_closed_leaves_every_stamp() -> None:
    incident = raised()
    incident = carry_out(incident, Op.ACKNOWLEDGE)
    incident = carry_out(incident, Op.ASSIGN, assignee="Đội CSGT số 2")
    incident = carry_out(incident, Op.START)
    incident = carry_out(incident, Op.RESOLVE, note="đã điều tiết xong")
    incident = carry_out(incident, Op.CLOSE)
    assert incident.rev == 6
    assert incident.assignee == "Đội CSGT số 2"
    assert incident.note == "đã điều tiết xong"
    assert None not in (incident.acknowledged_us, incident.resolved_us, incident.closed_us)


def test_a_stale_revision_is_a_conflict_that_carries_the_present_state() -> None:
    incident = carry_out(raised(), Op.ACKNOWLEDGE)
    with pytest.raises(Conflict) as caught:
        on_command(incident, command(Op.ASSIGN, rev=1, assignee="x"), actor="b", now_us=NOW_US)
    assert caught.value.current is incident


@pytest.mark.parametrize(
    ("op", "arguments", "rule", "field"),
    [
        (Op.RESOLVE, {}, "note_required", "args.note"),
        (Op.RESOLVE, {"note": "   "}, "note_required", "args.note"),
        (Op.COMMENT, {"note": "x" * 4001}, "note_length", "args.note"),
        (Op.ASSIGN, {}, "assignee_required", "args.assignee"),
        (Op.ASSIGN, {"assignee": "x" * 121}, "assignee_length", "args.assignee"),
        (Op.CLOSE, {}, "transition", "op"),
        (Op.REOPEN, {"note": "lại xảy ra"}, "transition", "op"),
    ],
)
def test_a_refusal_names_its_rule_and_field(op: Op, arguments: dict[str, str], rule: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        on_command(raised(), command(op, **arguments), actor="an", now_us=NOW_US)
    assert (caught.value.rule, caught.value.field) == (rule, field)


def test_reopening_does_not_win_time() -> None:
    incident = carry_out(raised(), Op.RESOLVE, note="xong")
    reopened = carry_out(incident, Op.REOPEN, note="vẫn còn")
    assert reopened.handling is Handling.NEW
    assert reopened.resolve_due_us == incident.resolve_due_us
    assert reopened.resolved_us is None


def test_only_untouched_uncritical_incidents_close_themselves_after_they_returned() -> None:
    cleared = on_effect(raised(), Cleared(incident_id="inc-1", at_us=NOW_US, reason="hold", count=1))
    assert cleared
    incident = cleared.incident
    later_us = NOW_US + 600 * SECOND_US
    assert close_returned(incident, now_us=later_us - 1, after_s=600) is None
    closed = close_returned(incident, now_us=later_us, after_s=600)
    assert closed
    assert (closed.incident.handling, closed.audit.actor) == (Handling.CLOSED, "system")
    taken = carry_out(incident, Op.ACKNOWLEDGE)
    assert close_returned(taken, now_us=later_us, after_s=600) is None
    critical = msgspec.structs.replace(incident, severity=Severity.CRITICAL)
    assert close_returned(critical, now_us=later_us, after_s=600) is None


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (Op.PAUSE, {"reason": PauseReason.PARTS}),
        (Op.SHELVE, {"until_us": NOW_US + 3600 * SECOND_US}),
        (Op.COMMENT, {}),
    ],
)
def test_an_incident_with_a_note_waits_for_a_person(op: Op, arguments: dict[str, Any]) -> None:
    spoken = carry_out(raised(), op, note="chờ đơn vị khác", **arguments)
    assert spoken.handling is Handling.NEW
    cleared = on_effect(spoken, Cleared(incident_id="inc-1", at_us=NOW_US, reason="hold", count=1))
    assert cleared
    assert close_returned(cleared.incident, now_us=NOW_US + 600 * SECOND_US, after_s=600) is None


def test_an_incident_reopened_long_after_it_cleared_is_not_closed_at_once() -> None:
    cleared = on_effect(raised(), Cleared(incident_id="inc-1", at_us=NOW_US, reason="hold", count=1))
    assert cleared
    reopened = carry_out(carry_out(cleared.incident, Op.RESOLVE, note="xong"), Op.REOPEN, note="vẫn còn ngập")
    assert reopened.handling is Handling.NEW
    assert close_returned(reopened, now_us=NOW_US + 7200 * SECOND_US, after_s=600) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Op)),
            st.integers(-1, 0),
            st.sampled_from([None, "", "ghi chú"]),
            st.sampled_from([None, "tổ 1"]),
        ),
        max_size=30,
    )
)
def test_any_commands_raise_the_revision_by_one_or_change_nothing(
    steps: list[tuple[Op, int, str | None, str | None]],
) -> None:
    incident = raised()
    for op, behind, note, assignee in steps:
        asked = Command(op=op, expect_rev=incident.rev + behind, idem="k", note=note, assignee=assignee)
        try:
            (change, *_) = on_command(incident, asked, actor="an", now_us=NOW_US)
        except CommandError:
            continue
        assert change.incident.rev == incident.rev + 1 == change.audit.rev
        assert change.audit.before == str(incident.handling)
        assert change.audit.after == str(change.incident.handling)
        if op is not Op.COMMENT:
            assert incident.handling in TRANSITIONS[op][0]
        assert change.incident.condition is incident.condition, "people do not change the world by clicking"
        incident = change.incident
