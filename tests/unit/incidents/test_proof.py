"""What is opened again after people resolved it, and what never is."""

import msgspec
import pytest

from ioc.incidents.commands import Op
from ioc.incidents.effects import on_effect, on_grouping
from ioc.incidents.policies import PolicyError, parse_policy
from ioc.incidents.proof import PROOF, came_back, ended_at_us, longest_return_us, returned, still_there
from ioc.incidents.proof_policy import ProofPolicy, Watch
from ioc.model.incidents import Cleared, Condition, Handling, Incident, Severity
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US
from tests.unit.incidents.samples import NOW_US, POLICIES, after_doing, an_incident, raise_one

DONE_US = NOW_US + 10 * MINUTE_US
FLOOD = an_incident(rule="flood-alarm", category="flood")
RESOLVED = after_doing(FLOOD, Op.RESOLVE, note="đã bơm cạn", at_us=DONE_US)


def cleared(incident: Incident, at_us: int = DONE_US + MINUTE_US) -> Incident:
    change = on_effect(incident, Cleared(incident_id=incident.id, at_us=at_us, reason="hold", count=3))
    assert change is not None
    return change.incident


def again(after_us: int = 20 * MINUTE_US, **changes: object) -> Incident:
    """The same rule and key, so long after it was resolved."""
    new = an_incident("inc-2", rule="flood-alarm", category="flood", at_us=DONE_US + after_us)
    return msgspec.structs.replace(new, **({"key": FLOOD.key} | changes))


def test_what_still_goes_on_an_hour_after_it_was_resolved_is_opened_again() -> None:
    assert still_there(RESOLVED, POLICIES, DONE_US + HOUR_US - 1) is None
    change = still_there(RESOLVED, POLICIES, DONE_US + HOUR_US)
    assert change is not None
    incident, audit = change.incident, change.audit
    assert (incident.handling, incident.resolved_us, incident.level) == (Handling.NEW, None, 1)
    assert (incident.ack_due_us, incident.resolve_due_us) == (FLOOD.ack_due_us, FLOOD.resolve_due_us)
    assert (audit.op, audit.actor, audit.before, audit.after) == ("reopen", PROOF, "resolved", "new")
    assert audit.note == "Vẫn diễn ra 60 phút sau khi báo xử lý xong."
    assert audit.details == {"reason": "persists", "seconds": 3600, "level": 1, "to": "supervisor"}


def test_it_goes_on_as_well_while_one_of_its_members_does() -> None:
    head = msgspec.structs.replace(cleared(RESOLVED), members=1, members_active=1)
    assert still_there(head, POLICIES, DONE_US + HOUR_US)


@pytest.mark.parametrize(
    "incident",
    [
        FLOOD,
        cleared(RESOLVED),
        after_doing(FLOOD, Op.REJECT, note="báo nhầm"),
        after_doing(an_incident(rule="wrong-way"), Op.RESOLVE, note="xong"),
        after_doing(an_incident(rule="citizen-report", category="citizen.light"), Op.RESOLVE, note="xong"),
    ],
    ids=["open", "over", "rejected", "not watched", "told by citizens"],
)
def test_nothing_else_is_opened_again(incident: Incident) -> None:
    assert still_there(incident, POLICIES, NOW_US + 30 * 24 * HOUR_US) is None


def test_what_was_filed_is_opened_again_as_well() -> None:
    closed = after_doing(RESOLVED, Op.CLOSE, at_us=DONE_US + SECOND_US)
    assert (closed.handling, ended_at_us(closed)) == (Handling.CLOSED, DONE_US)
    assert still_there(closed, POLICIES, DONE_US + HOUR_US)


def test_an_alarm_that_comes_back_becomes_part_of_what_was_resolved() -> None:
    new = raise_one("inc-2", rule="flood-alarm", category="flood", at_us=DONE_US + 20 * MINUTE_US)
    new = msgspec.structs.replace(new, incident=msgspec.structs.replace(new.incident, key=FLOOD.key))
    ended = cleared(RESOLVED)
    back = came_back(new.incident, [ended], POLICIES)
    assert back is not None
    assert back.audit.note == "Xảy ra lại 20 phút sau khi báo xử lý xong."
    known = {ended.id: back.incident}
    changes = on_grouping(new, returned(back, new.incident), known, POLICIES)
    member, head = (change.incident for change in changes)
    assert (member.handling, member.merged_into, member.merged_by) == (Handling.MERGED, FLOOD.id, "returned")
    assert (head.handling, head.members, head.members_active) == (Handling.NEW, 1, 1)
    assert (head.condition, head.rev) == (Condition.CLEARED, ended.rev + 2)


@pytest.mark.parametrize(
    "new",
    [
        again(6 * HOUR_US + 1),
        again(0),
        again(-MINUTE_US),
        again(key="elsewhere"),
        again(rule="flood-report"),
        again(ward="25750"),
        again(lat=10.99),
        again(severity=Severity.CRITICAL),
    ],
    ids=[
        "late",
        "same moment",
        "before",
        "other key",
        "other rule",
        "other ward",
        "other place",
        "more severe",
    ],
)
def test_an_alarm_that_says_nothing_about_the_result_stands_for_itself(new: Incident) -> None:
    assert came_back(new, [cleared(RESOLVED)], POLICIES) is None


def test_the_latest_of_several_results_is_the_one_that_did_not_last() -> None:
    earlier = msgspec.structs.replace(RESOLVED, id="inc-0", resolved_us=DONE_US - HOUR_US)
    back = came_back(again(), [earlier, RESOLVED], POLICIES)
    assert back is not None
    assert back.incident.id == RESOLVED.id


def test_a_full_incident_takes_no_alarm_that_comes_back() -> None:
    full = msgspec.structs.replace(RESOLVED, members=POLICIES.grouping.max_members)
    assert came_back(again(), [full], POLICIES) is None


def test_a_rule_decides_before_its_category_and_that_before_every_one() -> None:
    rows = (
        Watch(persists="3h"),
        Watch(category="flood", persists="2h", returns="1h"),
        Watch(rule="flood-alarm", persists="1h"),
    )
    policies = msgspec.structs.replace(POLICIES, proof=ProofPolicy(rows=rows))
    by_category = msgspec.structs.replace(RESOLVED, rule="flood-report")
    by_none = msgspec.structs.replace(RESOLVED, rule="crowd", category="security")
    for incident, hours in ((RESOLVED, 1), (by_category, 2), (by_none, 3)):
        due_us = DONE_US + hours * HOUR_US
        assert still_there(incident, policies, due_us - 1) is None
        assert still_there(incident, policies, due_us)
    assert came_back(again(), [RESOLVED], policies), "the rule's row states no time to come back within"
    assert longest_return_us(policies.proof) == HOUR_US


def test_no_time_says_never_and_the_whole_can_be_switched_off() -> None:
    never = ProofPolicy(rows=(Watch(persists="1h", returns="6h"), Watch(category="flood", persists="0s")))
    off = ProofPolicy(enabled=False)
    for proof in (never, off):
        policies = msgspec.structs.replace(POLICIES, proof=proof)
        assert still_there(RESOLVED, policies, DONE_US + 24 * HOUR_US) is None
    assert came_back(again(), [RESOLVED], msgspec.structs.replace(POLICIES, proof=off)) is None
    assert longest_return_us(off) == 0


@pytest.mark.parametrize(
    ("row", "field"),
    [({"persists": "1wd"}, "rows[0].persists"), ({"returns": "31d"}, "rows[0].returns")],
)
def test_a_time_that_cannot_be_names_its_field(row: dict[str, str], field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy("proof", {"rows": [row]})
    assert caught.value.field == field
