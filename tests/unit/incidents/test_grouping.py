"""What becomes one incident, and what never does."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.effects import close_returned, on_effect, on_grouping, on_member_change
from ioc.incidents.grouping import Grouping, group
from ioc.incidents.policies import GroupingPolicy
from ioc.model.incidents import Cleared, Condition, Handling, Incident, Severity, Updated
from ioc.model.times import MINUTE_US, SECOND_US
from tests.unit.incidents.samples import NOW_US, POLICIES, WHY, an_incident, raise_one

POLICY = GroupingPolicy()
DEGREE_M = 111_195


def near(incident_id: str, metres: float = 100, seconds: float = 60, **changes: object) -> Incident:
    """An incident so far north of the sample and so long after it."""
    return an_incident(
        incident_id, lat=10.98 + metres / DEGREE_M, at_us=NOW_US + round(seconds * SECOND_US), **changes
    )


HEAD = an_incident("head")


def test_a_second_alarm_at_the_place_becomes_part_of_the_first() -> None:
    assert group(near("new"), [HEAD], POLICY) == Grouping("head", ("new",), "place")


@pytest.mark.parametrize(
    "new",
    [
        near("new", metres=160),
        near("new", seconds=601),
        near("new", ward="25750"),
        near("new", ward=None),
        near("new", category="fire"),
        near("new", severity=Severity.CRITICAL),
        an_incident("new", lon=None, lat=None),
    ],
    ids=["far", "late", "other ward", "no ward", "other category", "more severe", "no place"],
)
def test_what_differs_stands_for_itself(new: Incident) -> None:
    assert group(new, [HEAD], POLICY) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"handling": Handling.RESOLVED},
        {"handling": Handling.MERGED},
        {"shelved_until_us": NOW_US},
        {"members": POLICY.max_members},
    ],
    ids=["finished", "part of another", "shelved", "full"],
)
def test_nothing_is_put_where_nobody_would_see_it(changes: dict[str, object]) -> None:
    assert group(near("new"), [msgspec.structs.replace(HEAD, **changes)], POLICY) is None


def test_grouping_can_be_switched_off() -> None:
    assert group(near("new"), [HEAD], GroupingPolicy(enabled=False)) is None


def test_the_jam_joins_its_cause_even_where_the_cause_is_seen_later() -> None:
    jam, cause = near("jam", 250), an_incident("cause", rule="wrong-way", severity=Severity.CRITICAL)
    assert group(jam, [cause], POLICY) == Grouping("cause", ("jam",), "blocked-road")
    assert group(cause, [jam], POLICY) == Grouping("cause", ("jam",), "blocked-road")


def test_what_somebody_has_taken_up_stays_as_they_see_it() -> None:
    jam = near("jam", 250)
    taken = msgspec.structs.replace(jam, handling=Handling.ASSIGNED)
    cause = an_incident("cause", rule="wrong-way", severity=Severity.CRITICAL)
    assert group(cause, [taken], POLICY) is None


def test_four_silent_devices_of_a_ward_are_one_outage() -> None:
    silent = [
        near(f"cam-{n}", n * 1_000, n * 60, rule="camera-silent", category="equipment", severity=Severity.LOW)
        for n in range(4)
    ]
    assert group(silent[2], silent[:2], POLICY) is None
    assert group(silent[3], silent[:3], POLICY) == Grouping("cam-0", ("cam-1", "cam-2", "cam-3"), "outage")
    fifth = near("cam-4", 9_000, 300, category="equipment", severity=Severity.LOW)
    grown = msgspec.structs.replace(silent[0], members=3)
    assert group(fifth, [grown], POLICY) == Grouping("cam-0", ("cam-4",), "outage")


@pytest.mark.parametrize(("members", "joining"), [(0, ("i-1", "new")), (1, ("new",))])
def test_a_correlation_joins_no_more_than_its_head_has_room_for(
    members: int, joining: tuple[str, ...]
) -> None:
    policy = GroupingPolicy(max_members=2)
    low = {"rule": "camera-silent", "category": "equipment", "severity": Severity.LOW}
    head, *others = (near(f"i-{n}", n * 1_000, n * 60, **low) for n in range(4))
    around = [msgspec.structs.replace(head, members=members), *others]
    assert group(near("new", 5_000, 300, **low), around, policy) == Grouping("i-0", joining, "outage")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 400),
            st.integers(0, 900),
            st.sampled_from(list(Severity)),
            st.sampled_from([("congestion", "traffic"), ("wrong-way", "traffic"), ("x", "equipment")]),
            st.sampled_from([Handling.NEW, Handling.ASSIGNED, Handling.RESOLVED]),
        ),
        max_size=8,
    ),
    st.integers(0, 2**32),
    st.integers(1, 4),
)
def test_grouping_depends_on_no_order_and_hides_nothing(
    facts: list[tuple[int, int, Severity, tuple[str, str], Handling]], seed: int, most: int
) -> None:
    policy = GroupingPolicy(max_members=most)
    around = [
        msgspec.structs.replace(
            near(f"i-{n}", metres, seconds, severity=severity, rule=rule, category=category),
            handling=handling,
        )
        for n, (metres, seconds, severity, (rule, category), handling) in enumerate(facts)
    ]
    new = near("new", 200, 450, severity=Severity.MEDIUM, category="equipment", rule="x")
    found = group(new, around, policy)
    shuffled = random.Random(seed).sample(around, len(around))
    assert group(new, shuffled, policy) == found
    if found:
        everyone = {item.id: item for item in (*around, new)}
        head = everyone[found.head]
        assert head.is_open and found.head not in found.joining
        assert head.members + len(found.joining) <= most
        for member in (everyone[member] for member in found.joining):
            assert member.handling is Handling.NEW and not member.members
            assert list(Severity).index(member.severity) >= list(Severity).index(head.severity)
            assert member.ward == head.ward


# what becomes of them -------------------------------------------------------------------------------------


def pair() -> tuple[Incident, Incident]:
    """A head and the member that grouping put into it."""
    raised = raise_one("new", at_us=NOW_US + MINUTE_US)
    member, head = on_grouping(raised, Grouping("head", ("new",), "place"), {"head": HEAD}, POLICIES)
    return member.incident, head.incident


def test_a_grouped_alarm_is_part_of_its_head_from_its_first_revision() -> None:
    raised = raise_one("new", at_us=NOW_US + MINUTE_US)
    member, head = on_grouping(raised, Grouping("head", ("new",), "place"), {"head": HEAD}, POLICIES)
    assert (member.incident.rev, member.audit.op, member.incident.handling) == (1, "raised", Handling.MERGED)
    assert member.audit.details["into"] == "head"
    assert member.audit.details["metres"] == 0
    assert (head.incident.rev, head.incident.members, head.incident.members_active) == (2, 1, 1)
    assert member.incident.escalate_us is None, "its head's clocks run"


def test_a_new_cause_takes_over_what_came_before_it() -> None:
    raised = raise_one("cause", severity=Severity.CRITICAL, at_us=NOW_US + MINUTE_US)
    own, jam, head = on_grouping(
        raised, Grouping("cause", ("head",), "blocked-road"), {"head": HEAD}, POLICIES
    )
    assert (own.incident.rev, jam.incident.merged_into, head.incident.rev) == (1, "cause", 2)
    assert jam.audit.actor == "system:grouping"


def test_a_member_that_grows_worse_than_its_head_stands_for_itself_again() -> None:
    member, head = pair()
    change = on_effect(
        member,
        Updated(incident_id="new", at_us=NOW_US + MINUTE_US, severity=Severity.CRITICAL, why=WHY, count=9),
        POLICIES,
    )
    assert change
    alone, shrunk = on_member_change(change.incident, head, POLICIES, member)
    assert (alone.incident.handling, alone.incident.merged_into) == (Handling.NEW, None)
    assert (shrunk.incident.members, shrunk.incident.members_active) == (0, 0)
    assert alone.incident.escalate_us is not None


def test_a_head_does_not_close_itself_while_a_member_goes_on() -> None:
    member, head = pair()
    over = Cleared(incident_id="head", at_us=NOW_US, reason="hold", count=1)
    change = on_effect(head, over, POLICIES)
    assert change
    later_us = NOW_US + 3600 * SECOND_US
    assert close_returned(change.incident, now_us=later_us, after_s=600) is None
    ended = on_effect(member, msgspec.structs.replace(over, incident_id="new"), POLICIES)
    assert ended
    (fewer,) = on_member_change(ended.incident, change.incident, POLICIES, member)
    assert ended.incident.condition is Condition.CLEARED
    closed = close_returned(fewer.incident, now_us=later_us, after_s=600)
    assert closed


def test_a_head_does_not_sink_below_what_it_stands_for() -> None:
    _, head = pair()
    change = on_effect(
        head, Updated(incident_id="head", at_us=NOW_US, severity=Severity.LOW, why=WHY, count=1), POLICIES
    )
    assert change
    assert change.incident.severity is Severity.HIGH
