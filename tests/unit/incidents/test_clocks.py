"""Due dates from policy and rule, escalation, and the forecast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.clocks import due_dates, forecast, paces, steps_of
from ioc.incidents.commands import Op
from ioc.incidents.effects import escalate, on_effect, unshelve_due
from ioc.incidents.policies import Allowed, ClockPolicy, Policies, Step
from ioc.model.incidents import Cleared, Clocks, Handling, PauseReason, Pending, Severity, Worked
from ioc.model.times import DAY_US, HOUR_US, MINUTE_US, SECOND_US, parse_us
from tests.unit.incidents.samples import NOW_US, POLICIES, after_doing, an_incident

ROWS = Policies(
    clocks=ClockPolicy(
        rows=(
            Allowed(resolve="4h"),
            Allowed(severity=Severity.HIGH, resolve="3h"),
            Allowed(category="flood", resolve="2h", acknowledge="7m"),
            Allowed(category="flood", severity=Severity.HIGH, resolve="1h"),
        )
    )
)


@pytest.mark.parametrize(
    ("category", "severity", "hours"),
    [
        ("noise", Severity.LOW, 4),
        ("noise", Severity.HIGH, 3),
        ("flood", Severity.LOW, 2),
        ("flood", Severity.HIGH, 1),
    ],
)
def test_the_most_particular_row_decides(category: str, severity: Severity, hours: int) -> None:
    due = due_dates(ROWS, category, severity, Clocks(), NOW_US)
    assert due.resolve_us == NOW_US + hours * HOUR_US


def test_a_row_that_states_no_time_leaves_it_to_the_next() -> None:
    assert due_dates(ROWS, "flood", Severity.HIGH, Clocks(), 0).acknowledge_us == 7 * MINUTE_US
    assert due_dates(ROWS, "noise", Severity.HIGH, Clocks(), 0).acknowledge_us is None


def test_the_rules_own_times_come_first_and_none_means_no_clock() -> None:
    due = due_dates(POLICIES, "citizen", Severity.LOW, Clocks(acknowledge_s=0, resolve_s=90), NOW_US)
    assert (due.acknowledge_us, due.resolve_us, due.working) == (None, NOW_US + 90 * SECOND_US, False)


def test_the_shipped_clocks_of_citizens_reports_are_those_of_1022() -> None:
    start = parse_us("2026-02-09T08:00:00+07:00")
    due = due_dates(POLICIES, "citizen", Severity.MEDIUM, Clocks(), start)
    assert due.acknowledge_us == start + 5 * MINUTE_US
    assert due.resolve_us == parse_us("2026-03-02T08:00:00+07:00"), "ten working days, across Tết"
    assert due.working
    assert POLICIES.clocks.accept == "1h"


@given(st.integers(0, 400 * DAY_US), st.integers(0, 400 * DAY_US))
def test_what_was_detected_later_is_due_no_earlier(one: int, other: int) -> None:
    early, late = sorted((NOW_US + one, NOW_US + other))
    for category in ("citizen", "traffic"):
        first = due_dates(POLICIES, category, Severity.HIGH, Clocks(), early)
        second = due_dates(POLICIES, category, Severity.HIGH, Clocks(), late)
        assert all(
            a is not None and b is not None and a <= b for a, b in zip(first[:3], second[:3], strict=True)
        )


# escalation ------------------------------------------------------------------------------------------------


def test_an_incident_nobody_acknowledges_climbs_step_by_step() -> None:
    incident = an_incident()
    assert incident.escalate_us == incident.ack_due_us
    assert incident.ack_due_us is not None
    assert escalate(incident, POLICIES, incident.ack_due_us - 1) is None
    first = escalate(incident, POLICIES, incident.ack_due_us)
    assert first
    assert (first.incident.level, first.audit.details["to"], first.audit.details["overdue"]) == (
        1, "supervisor", True,
    )  # fmt: skip
    assert escalate(first.incident, POLICIES, incident.ack_due_us) is None, "each step once"
    second = escalate(first.incident, POLICIES, incident.ack_due_us + 10 * MINUTE_US)
    assert second
    assert (second.incident.level, second.audit.details["to"]) == (2, "leader")


def test_a_warning_before_the_due_date_says_that_it_is_not_late_yet() -> None:
    taken = after_doing(an_incident(), Op.START)
    assert taken.resolve_due_us is not None
    change = escalate(taken, POLICIES, taken.resolve_due_us - 15 * MINUTE_US)
    assert change
    assert (change.audit.details["clock"], change.audit.details["overdue"]) == ("resolve", False)


def test_a_short_clock_is_warned_of_halfway_and_not_at_once() -> None:
    incident = after_doing(an_incident(clocks=Clocks(resolve_s=600)), Op.START)
    assert incident.escalate_us == NOW_US + 300 * SECOND_US


@pytest.mark.parametrize("op", [Op.RESOLVE, Op.REJECT])
def test_what_is_finished_is_not_escalated(op: Op) -> None:
    assert after_doing(an_incident(), op, note="xong").escalate_us is None


def test_a_clock_that_stands_still_is_not_escalated() -> None:
    paused = after_doing(after_doing(an_incident(), Op.START), Op.PAUSE, reason=PauseReason.PARTS, note="chờ")
    assert steps_of(paused, POLICIES.clocks) == []
    assert paused.escalate_us is None


def test_a_policy_that_changed_only_moves_the_next_step() -> None:
    incident = an_incident()
    later = Policies(clocks=ClockPolicy(steps=(Step(clock="resolve", at="0s", to="leader", level=2),)))
    assert incident.escalate_us is not None
    change = escalate(incident, later, incident.escalate_us)
    assert change
    assert (change.audit.op, change.incident.escalate_us) == ("clocks", incident.resolve_due_us)
    assert change.incident.level == 0


def test_a_shelved_incident_comes_back_when_its_time_is_up() -> None:
    shelved = after_doing(an_incident(), Op.SHELVE, until_us=NOW_US + HOUR_US, note="chờ")
    assert unshelve_due(shelved, NOW_US + HOUR_US - 1) is None
    back = unshelve_due(shelved, NOW_US + HOUR_US)
    assert back
    assert (back.incident.shelved_until_us, back.audit.actor) == (None, "system")


# forecast --------------------------------------------------------------------------------------------------


def due_in(
    hours: float, number: int = 0, ward: str = "25747", is_paused: bool = False, age_h: float = 24.0
) -> Pending:
    due_us, detected_us = (NOW_US + round(each * HOUR_US) for each in (hours, -age_h))
    return Pending(f"inc-{hours}-{number}", ward, due_us, is_paused, detected_us)


def worked(resolved: int, hours_ago: float) -> Worked:
    return Worked(resolved, NOW_US - round(hours_ago * HOUR_US))


def test_a_pace_counts_the_hours_in_which_there_was_work() -> None:
    """Twelve resolved: within a day 0.5 an hour, since six hours ago 2, since ten minutes ago 12."""
    for hours_ago, per_hour in ((24, 0.5), (40, 0.5), (6, 2.0), (1 / 6, 12.0)):
        assert paces([], {"25747": worked(12, hours_ago)}, NOW_US) == {"25747": per_hour}
    waiting = due_in(1, age_h=12)
    assert paces([waiting], {"25747": worked(12, 6)}, NOW_US) == {"25747": 1.0}, "it has had that one longer"


def test_a_ward_with_its_first_incident_is_as_quick_as_the_others_until_it_has_had_their_time() -> None:
    """The city: 9 resolved in 18 hours of wards, or one in two hours."""
    others: dict[str | None, Worked] = {"25750": worked(8, 12), "25760": worked(1, 5)}
    assert paces([due_in(1, age_h=0.1)], others, NOW_US)["25747"] == 0.5
    assert paces([due_in(1, age_h=3.0)], others, NOW_US)["25747"] == 0.0, "it has had time enough for one"
    assert paces([due_in(1, age_h=0.1)], {}, NOW_US) == {"25747": 0.0}, "nobody is known to resolve anything"
    new = [due_in(2.5, age_h=0.1)]
    (ward,) = forecast(new, paces(new, others, NOW_US), NOW_US, 24 * HOUR_US)
    assert ward.will_breach == 0


def test_a_ward_that_works_too_slowly_will_be_late_with_the_tail_of_its_queue() -> None:
    """Two an hour: done after 0.5, 1, 1.5 h; due after 0.6, 0.7, 2 h. The second one is late."""
    queue = [due_in(2), due_in(0.6), due_in(0.7)]
    (ward,) = forecast(queue, {"25747": 2.0}, NOW_US, 24 * HOUR_US)
    assert (ward.open, ward.overdue, ward.will_breach) == (3, 0, 1)
    assert ward.incidents == (queue[2].id,)
    assert ward.first_breach_us == queue[2].due_us


def test_what_is_late_already_stands_before_the_others_and_is_counted_apart() -> None:
    (ward,) = forecast([due_in(-1), due_in(0.8)], {"25747": 1.0}, NOW_US, 24 * HOUR_US)
    assert (ward.overdue, ward.will_breach) == (1, 1), "the second one waits for the first"


def test_a_ward_that_resolves_nothing_will_be_late_with_all_that_falls_due() -> None:
    (ward,) = forecast([due_in(1), due_in(30)], {}, NOW_US, 24 * HOUR_US)
    assert (ward.open, ward.will_breach) == (2, 1), "what is due beyond the horizon is not forecast"


def test_a_clock_that_stands_still_is_in_no_forecast() -> None:
    (ward,) = forecast([due_in(1, is_paused=True)], {}, NOW_US, 24 * HOUR_US)
    assert (ward.open, ward.paused, ward.will_breach) == (1, 1, 0)


def test_the_worst_ward_comes_first() -> None:
    queue = [due_in(1), due_in(1, 1, ward="25750"), due_in(2, 2, ward="25750")]
    assert [item.ward for item in forecast(queue, {}, NOW_US, 24 * HOUR_US)] == ["25750", "25747"]


def test_a_condition_that_ends_stops_no_clock() -> None:
    incident = an_incident()
    change = on_effect(incident, Cleared(incident_id="inc-1", at_us=NOW_US, reason="hold", count=1), POLICIES)
    assert change
    assert change.incident.handling is Handling.NEW
    assert change.incident.escalate_us == incident.escalate_us
