"""Hand-over between wards, merging, shelving, pausing: what each allows and what it never loses."""

import msgspec
import pytest

from ioc.incidents.commands import GUARDS, MAX_AGENCIES, Op, Refused
from ioc.incidents.lifecycle import Context
from ioc.incidents.policies import AuthorityTable, GroupingPolicy, Policies, Responsible, derive
from ioc.model.incidents import Condition, Handling, Incident, PauseReason, Severity
from ioc.model.times import DAY_US, HOUR_US, SECOND_US, parse_us
from tests.unit.incidents.samples import NAMES, NOW_US, POLICIES, after_doing, an_incident, do
from tests.unit.incidents.test_procedures import REFUSALS as STEP_REFUSALS

TEAMS = Policies(
    ward_names=NAMES, authority=AuthorityTable(rows=(Responsible(category="traffic", team="CSGT {ward}"),))
)
THERE = {"ward": "25750", "note": "thuộc phường bên"}


def merged(incident: Incident, head: Incident) -> tuple[Incident, Incident]:
    member, grown = do(incident, Op.MERGE, context=Context(POLICIES, head), into=head.id)
    return member.incident, grown.incident


def test_a_hand_over_moves_the_incident_to_the_other_ward_and_its_team() -> None:
    before = after_doing(an_incident(policies=TEAMS), Op.ASSIGN, assignee="Tổ 1")
    (change,) = do(before, Op.REROUTE, context=Context(TEAMS), **THERE)
    after = change.incident
    assert (after.ward, after.handed_from, after.team) == ("25750", "25747", "CSGT Phường Phú Lợi")
    assert (after.handling, after.assignee, after.acknowledged_us) == (Handling.NEW, None, None)
    assert after.ack_due_us == NOW_US + SECOND_US + HOUR_US, "an hour to settle who is competent"
    assert after.resolve_due_us == before.resolve_due_us, "handing over wins no time"
    assert change.audit.details["ward_from"] == "25747"


def test_the_receiving_ward_accepts_or_sends_it_back() -> None:
    there = after_doing(an_incident(), Op.REROUTE, **THERE)
    accepted = after_doing(there, Op.ACCEPT)
    assert (accepted.ward, accepted.handed_from, accepted.handling) == ("25750", None, Handling.ACKNOWLEDGED)
    declined = after_doing(there, Op.DECLINE, note="ngoài địa bàn")
    assert (declined.ward, declined.handed_from, declined.handling) == ("25747", None, Handling.NEW)


@pytest.mark.parametrize("op", [Op.ACKNOWLEDGE, Op.START])
def test_whoever_takes_it_up_has_accepted_it(op: Op) -> None:
    assert after_doing(after_doing(an_incident(), Op.REROUTE, **THERE), op).handed_from is None


def test_the_members_of_a_group_go_where_its_head_goes() -> None:
    head, member = an_incident("head"), an_incident("member")
    part, grown = merged(member, head)
    own, followed = do(grown, Op.REROUTE, context=Context(POLICIES, None, [part]), **THERE)
    assert own.incident.id == "head"
    assert (followed.incident.ward, followed.incident.handling) == ("25750", Handling.MERGED)


def test_merging_is_counted_and_undone_without_a_trace_but_in_the_history() -> None:
    head, member = an_incident("head"), after_doing(an_incident("member"), Op.ASSIGN, assignee="Tổ 1")
    part, grown = merged(member, head)
    assert (part.handling, part.merged_into, part.merged_by) == (Handling.MERGED, "head", "manual")
    assert (grown.members, grown.members_active) == (1, 1)
    alone, shrunk = (change.incident for change in do(part, Op.UNMERGE, context=Context(POLICIES, grown)))
    assert alone == msgspec.structs.replace(member, rev=part.rev + 1, updated_us=alone.updated_us)
    assert shrunk == msgspec.structs.replace(head, rev=grown.rev + 1, updated_us=shrunk.updated_us)


def test_a_head_is_as_urgent_as_the_worst_that_people_put_into_it() -> None:
    head = an_incident("head", severity=Severity.LOW)
    worst = an_incident("worst", severity=Severity.CRITICAL)
    _, grown = merged(worst, head)
    assert grown.severity is Severity.CRITICAL
    assert (grown.ack_due_us, grown.resolve_due_us) == (worst.ack_due_us, worst.resolve_due_us)


def test_a_shelved_incident_comes_back_when_somebody_moves_it() -> None:
    until = NOW_US + HOUR_US
    shelved = after_doing(an_incident(), Op.SHELVE, until_us=until, note="chờ triều rút")
    assert (shelved.shelved_until_us, shelved.handling) == (until, Handling.NEW)
    assert after_doing(shelved, Op.COMMENT, note="vẫn chờ").shelved_until_us == until
    assert after_doing(shelved, Op.START).shelved_until_us is None
    assert after_doing(shelved, Op.UNSHELVE).shelved_until_us is None
    assert shelved.resolve_due_us == an_incident().resolve_due_us, "shelving stops no clock"


def test_a_pause_moves_the_due_date_by_exactly_its_length() -> None:
    incident = an_incident()
    paused = after_doing(incident, Op.PAUSE, reason=PauseReason.AGENCY, note="chờ điện lực")
    running = after_doing(paused, Op.RESUME, at_us=NOW_US + SECOND_US + 5 * HOUR_US)
    assert incident.resolve_due_us is not None
    assert running.resolve_due_us == incident.resolve_due_us + 5 * HOUR_US
    assert (running.paused_us, running.pause_reason) == (None, None)


def test_a_pause_over_a_weekend_costs_a_working_day_clock_only_its_working_time() -> None:
    friday = parse_us("2026-11-27T16:00:00+07:00")
    incident = an_incident(category="citizen", at_us=friday, opened_us=friday)
    assert incident.working_clock
    paused = after_doing(incident, Op.PAUSE, reason=PauseReason.CITIZEN, note="chờ bổ sung", at_us=friday)
    monday = parse_us("2026-11-30T08:00:00+07:00")
    running = after_doing(paused, Op.RESUME, at_us=monday)
    days = POLICIES.days
    assert incident.resolve_due_us is not None
    assert running.resolve_due_us == days.add(incident.resolve_due_us, 16 * HOUR_US), "8 h Friday, 8 h Monday"


def test_resolving_ends_a_pause() -> None:
    paused = after_doing(an_incident(), Op.PAUSE, reason=PauseReason.PARTS, note="chờ đèn")
    done = after_doing(paused, Op.RESOLVE, note="xong", photo="2026/11/anh-1.jpg")
    assert (done.paused_us, done.handling, done.photo) == (None, Handling.RESOLVED, "2026/11/anh-1.jpg")


def test_several_agencies_get_fifteen_working_days_once() -> None:
    start = parse_us("2026-11-02T08:00:00+07:00")
    one = an_incident(category="citizen", at_us=start, opened_us=start)
    assert one.resolve_due_us == POLICIES.days.add(start, 10 * DAY_US)
    two = after_doing(one, Op.INVOLVE, assignee="Điện lực", note="cột điện")
    assert two.resolve_due_us == POLICIES.days.add(start, 15 * DAY_US)
    three = after_doing(two, Op.INVOLVE, assignee="Sở Xây dựng", note="vỉa hè")
    assert (three.resolve_due_us, three.agencies) == (two.resolve_due_us, ("Điện lực", "Sở Xây dựng"))


def test_a_time_set_by_the_rule_is_not_lengthened() -> None:
    incident = an_incident()
    several = after_doing(incident, Op.INVOLVE, assignee="Điện lực", note="cột điện")
    assert several.resolve_due_us == incident.resolve_due_us


FULL = derive(Policies(ward_names=NAMES, grouping=GroupingPolicy(max_members=1)))
HEAD, MEMBER = an_incident("head"), an_incident("member")
CLOSED = after_doing(an_incident("head"), Op.REJECT, note="báo nhầm")


REFUSALS: list[tuple[Op, Incident, Context, dict[str, object], str]] = [
    (Op.ACCEPT, MEMBER, Context(POLICIES), {}, "not_handed_over"),
    (Op.DECLINE, MEMBER, Context(POLICIES), {"note": "x"}, "not_handed_over"),
    (Op.REROUTE, MEMBER, Context(POLICIES), {"note": "x"}, "ward_required"),
    (Op.REROUTE, MEMBER, Context(POLICIES), {"ward": "25747", "note": "x"}, "ward_same"),
    (Op.REROUTE, MEMBER, Context(POLICIES), {"ward": "1", "note": "x"}, "ward_unknown"),
    (Op.REROUTE, MEMBER, Context(POLICIES), {"ward": "25750"}, "note_required"),
    (Op.MERGE, MEMBER, Context(POLICIES), {}, "into_required"),
    (Op.MERGE, MEMBER, Context(POLICIES), {"into": "gone"}, "into_required"),
    (Op.MERGE, MEMBER, Context(POLICIES, MEMBER), {"into": "member"}, "into_self"),
    (Op.MERGE, MEMBER, Context(POLICIES, CLOSED), {"into": "head"}, "into_closed"),
    (
        Op.MERGE,
        MEMBER,
        Context(FULL, msgspec.structs.replace(HEAD, members=1)),
        {"into": "head"},
        "into_full",
    ),
    (
        Op.MERGE,
        msgspec.structs.replace(MEMBER, members=2),
        Context(POLICIES, HEAD),
        {"into": "head"},
        "has_members",
    ),
    (Op.UNMERGE, MEMBER, Context(POLICIES), {}, "transition"),
    (Op.SHELVE, MEMBER, Context(POLICIES), {"note": "x"}, "until_required"),
    (Op.SHELVE, MEMBER, Context(POLICIES), {"note": "x", "until_us": NOW_US}, "until_bound"),
    (Op.SHELVE, MEMBER, Context(POLICIES), {"note": "x", "until_us": NOW_US + 2 * DAY_US}, "until_bound"),
    (Op.UNSHELVE, MEMBER, Context(POLICIES), {}, "not_shelved"),
    (Op.PAUSE, MEMBER, Context(POLICIES), {"note": "x"}, "reason_required"),
    (Op.RESUME, MEMBER, Context(POLICIES), {}, "not_paused"),
    (
        Op.PAUSE,
        msgspec.structs.replace(MEMBER, paused_us=1),
        Context(POLICIES),
        {"note": "x", "reason": PauseReason.PARTS},
        "already_paused",
    ),
    (Op.INVOLVE, MEMBER, Context(POLICIES), {"note": "x"}, "assignee_required"),
    (
        Op.INVOLVE,
        msgspec.structs.replace(MEMBER, agencies=("A",)),
        Context(POLICIES),
        {"note": "x", "assignee": "A"},
        "agency_known",
    ),
    (
        Op.INVOLVE,
        msgspec.structs.replace(MEMBER, agencies=tuple(map(str, range(MAX_AGENCIES)))),
        Context(POLICIES),
        {"note": "x", "assignee": "A"},
        "agencies_bound",
    ),
    (Op.RESOLVE, MEMBER, Context(POLICIES), {"note": "x", "photo": "../a b"}, "photo_reference"),
    (Op.RESOLVE, MEMBER, Context(POLICIES), {"note": "x", "photo": "a" * 201}, "photo_reference"),
    (Op.RESOLVE, MEMBER, Context(POLICIES, photo_known=False), {"note": "x", "photo": "a"}, "photo_unknown"),
    (Op.ASSIGN, MEMBER, Context(POLICIES), {}, "assignee_required"),
    (Op.ASSIGN, MEMBER, Context(POLICIES), {"assignee": "x" * 121}, "assignee_length"),
    (Op.COMMENT, MEMBER, Context(POLICIES), {"note": "x" * 4_001}, "note_length"),
]


@pytest.mark.parametrize(("op", "incident", "context", "arguments", "rule"), REFUSALS)
def test_every_refusal_names_its_rule(
    op: Op, incident: Incident, context: Context, arguments: dict[str, object], rule: str
) -> None:
    with pytest.raises(Refused) as caught:
        do(incident, op, context=context, **arguments)
    assert caught.value.rule == rule


def test_no_rule_of_the_machine_is_left_out_above() -> None:
    assert {rule for *_, rule in (*REFUSALS, *STEP_REFUSALS)} == set(GUARDS)


def test_a_member_follows_its_head_and_nothing_else_is_done_to_it() -> None:
    part, _ = merged(MEMBER, HEAD)
    for op in set(Op) - {Op.UNMERGE, Op.COMMENT}:
        with pytest.raises(Refused, match="not possible from merged"):
            do(part, op, note="x", assignee="x", ward="25750", into="head")
    assert part.condition is Condition.ACTIVE
