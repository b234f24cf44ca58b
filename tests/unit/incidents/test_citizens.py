"""What a citizen is told follows the incident, through merging and handing over, and tells of nobody."""

import msgspec
import pytest

from ioc.incidents.citizen_policy import CitizenPolicy
from ioc.incidents.citizens import ReportStatus, may_reopen, resolution_of, steps_of
from ioc.incidents.policies import PolicyError, parse_policy
from ioc.model.incidents import Audit, Handling
from ioc.model.times import DAY_US
from tests.unit.incidents.samples import an_incident


def told(*rows: tuple[int, str, str]) -> list[Audit]:
    return [
        Audit(incident_id="inc-1", rev=n + 1, at_us=at_us, actor="Trần An", op=op, after=after, note="nội bộ")
        for n, (at_us, op, after) in enumerate(rows)
    ]


def names(steps: object) -> list[tuple[str, int]]:
    return [(step.status.value, step.at_us) for step in steps]  # type: ignore[attr-defined]


def test_a_report_without_an_incident_has_been_received() -> None:
    assert names(steps_of(5, [])) == [("received", 5)]


def test_the_way_through_a_ward_is_told_step_by_step() -> None:
    own = told(
        (10, "raised", "new"), (20, "acknowledge", "acknowledged"), (30, "assign", "assigned"),
        (40, "reroute", "new"), (50, "start", "in_progress"), (60, "comment", "in_progress"),
        (70, "resolve", "resolved"), (80, "close", "closed"), (90, "reopen", "new"),
    )  # fmt: skip
    assert names(steps_of(5, own)) == [
        ("received", 5), ("accepted", 20), ("forwarded", 40), ("in_progress", 50),
        ("done", 70), ("reopened", 90),
    ]  # fmt: skip


def test_a_merged_incident_goes_on_as_the_one_that_stands_for_it() -> None:
    own = told((10, "raised", "new"), (40, "merge", "merged"))
    head = told((1, "raised", "new"), (20, "start", "in_progress"), (60, "resolve", "resolved"))
    assert names(steps_of(10, own, head)) == [("received", 10), ("in_progress", 40), ("done", 60)]


def test_the_last_resolution_is_the_one_that_is_judged() -> None:
    audits = told(
        (1, "raised", "new"), (2, "resolve", "resolved"), (3, "reopen", "new"), (4, "reject", "rejected")
    )
    assert resolution_of(audits) == (4, 4)
    assert resolution_of(audits[:1]) is None


def test_only_what_is_finished_and_not_long_ago_is_opened_again() -> None:
    policy = CitizenPolicy()
    done = msgspec.structs.replace(an_incident(), handling=Handling.CLOSED)
    assert may_reopen(done, 0, 15 * DAY_US, policy)
    assert not may_reopen(done, 0, 15 * DAY_US + 1, policy)
    assert not may_reopen(an_incident(), 0, 1, policy)


@pytest.mark.parametrize(
    ("doc", "field", "rule"),
    [
        ({"reopen_within": "10wd"}, "reopen_within", "elapsed"),
        ({"duplicates": {"offer_from": 0.9}}, "duplicates.merge_from", "order"),
        ({"services": []}, "services", "policy_shape"),
    ],
)
def test_a_policy_that_cannot_be_says_why(doc: dict[str, object], field: str, rule: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        parse_policy("citizens", doc)
    assert (refusal.value.field, refusal.value.rule) == (field, rule)


def test_every_state_of_an_incident_has_a_status_for_citizens() -> None:
    for handling in Handling:
        if handling is not Handling.MERGED:
            assert steps_of(0, told((1, "x", handling.value)))[-1].status in set(ReportStatus)


LIST = {"code": "depth", "name": {"vi": "a", "en": "a"}, "datatype": "singlevaluelist"}
CHOICE = {"key": "knee", "name": {"vi": "b", "en": "b"}}


@pytest.mark.parametrize(
    ("attributes", "place", "rule"),
    [
        ([LIST], "attributes[0].values", "values"),
        ([LIST | {"datatype": "text", "values": [CHOICE]}], "attributes[0].values", "values"),
        ([LIST | {"values": [CHOICE, CHOICE]}], "attributes[0].values", "unique"),
        ([LIST | {"values": [CHOICE]}] * 2, "attributes[1].code", "unique"),
    ],
)
def test_attributes_that_no_form_can_ask_for_are_refused(
    attributes: list[dict[str, object]], place: str, rule: str
) -> None:
    text = {"vi": "a", "en": "a"}
    service = {"code": "a", "name": text, "description": text, "group": "a", "attributes": attributes}
    with pytest.raises(PolicyError) as caught:
        parse_policy("citizens", {"services": [service]})
    assert (caught.value.field, caught.value.rule) == (f"services[0].{place}", rule)
