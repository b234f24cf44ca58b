"""Procedures: which one an incident gets, how it is worked through, and what it keeps from ending."""

import itertools
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.commands import Op, Refused
from ioc.incidents.effects import on_effect
from ioc.incidents.lifecycle import Context
from ioc.incidents.policies import POLICIES, Policies, ProcedurePolicy, parse_policy
from ioc.incidents.policy_shapes import PolicyError
from ioc.incidents.procedures import (
    Procedure,
    ProcedureStep,
    Wording,
    begin,
    chosen,
    due_steps,
    progress,
    ref_of,
)
from ioc.incidents.shipped_procedures import SHIPPED
from ioc.model.incidents import Change, Handling, Incident, Severity, StepKind, Taken, Updated
from tests.unit.incidents.samples import NAMES, NOW_US, WHY, after_doing, an_incident, do

RULES = Path(__file__).parents[3] / "rules"
DOCUMENT = {
    "procedures": [
        {
            "title": {"vi": "Cháy", "en": "Fire"},
            "category": "traffic",
            "steps": [
                {
                    "id": "real", "text": {"vi": "Có cháy không?", "en": "Is there fire?"}, "kind": "choice",
                    "choices": [
                        {"id": "yes", "text": {"vi": "Có", "en": "Yes"}},
                        {"id": "no", "text": {"vi": "Không", "en": "No"}},
                    ],
                },
                {"id": "call", "text": {"vi": "Gọi 114", "en": "Call 114"},
                 "when": {"step": "real", "answer": "yes"}},
                {"id": "why", "text": {"vi": "Vì sao nhầm", "en": "Why not"}, "kind": "note",
                 "when": {"step": "real", "answer": "no"}},
                {"id": "photo", "text": {"vi": "Ảnh", "en": "Photo"}, "kind": "photo", "required": False,
                 "link": "https://help.example/anh"},
            ],
        }
    ]
}  # fmt: skip
PARSED = parse_policy("procedures", DOCUMENT)
assert isinstance(PARSED, ProcedurePolicy)
IN_FORCE = Policies(ward_names=NAMES, procedures=PARSED)
HERE = Context(IN_FORCE)
SUPERVISED = Context(IN_FORCE, supervises=True)


def start() -> Incident:
    return an_incident(policies=IN_FORCE)


def step(incident: Incident, name: str, **arguments: object) -> Incident:
    return after_doing(incident, Op.STEP, context=HERE, step=name, **arguments)


def open_ids(incident: Incident) -> list[str]:
    assert incident.checklist
    return [each.id for each in incident.checklist.open]


def test_every_category_and_rule_that_is_shipped_has_a_procedure() -> None:
    shipped = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(RULES.glob("*.yaml"))]
    assert len(shipped) >= 9
    titles = {}
    for rule in shipped:
        found = chosen(SHIPPED, rule["rule"], rule["route"]["category"], Severity.HIGH)
        assert found, rule["rule"]
        titles[rule["rule"]] = found.title.en
    assert titles["wrong-way"] != titles["congestion"] == titles["stopped-vehicle"]
    assert titles["crowd"] != titles["plate-in-three-wards"]
    assert chosen(SHIPPED, "a-rule-of-ours", "citizen", Severity.LOW)


def test_the_most_particular_procedure_is_chosen() -> None:
    def procedure(name: str, **of: object) -> Procedure:
        text = Wording(name, name)
        return Procedure(title=text, steps=(ProcedureStep(id="x", text=text),), **of)  # type: ignore[arg-type]

    every, severe = procedure("every"), procedure("severe", severity=Severity.CRITICAL)
    fire = procedure("fire", category="fire")
    worst = procedure("worst", category="fire", severity=Severity.CRITICAL)
    rule = procedure("rule", rules=("smoke",))
    for order in itertools.permutations((every, severe, fire, worst, rule)):
        assert chosen(order, "x", "traffic", Severity.LOW) is every
        assert chosen(order, "x", "traffic", Severity.CRITICAL) is severe
        assert chosen(order, "x", "fire", Severity.HIGH) is fire
        assert chosen(order, "x", "fire", Severity.CRITICAL) is worst
        assert chosen(order, "smoke", "fire", Severity.CRITICAL) is rule
    assert chosen((fire,), "x", "traffic", Severity.LOW) is None


def test_doing_a_step_claims_the_incident_and_no_more() -> None:
    claimed = step(start(), "real", answer="yes")
    assert (claimed.handling, claimed.assignee) == (Handling.ASSIGNED, "an")
    assert claimed.acknowledged_us == NOW_US + 1_000_000
    assert claimed.responded_us is None, "nobody is at the place yet"
    assert after_doing(claimed, Op.REJECT, note="báo nhầm").handling is Handling.REJECTED
    theirs = after_doing(start(), Op.ASSIGN, context=HERE, assignee="Đội 2")
    assert step(theirs, "real", answer="no").assignee == "Đội 2"
    at_work = step(after_doing(theirs, Op.START, context=HERE), "real", answer="no")
    assert at_work.handling is Handling.IN_PROGRESS


def test_an_answer_opens_its_branch_and_a_corrected_one_closes_it() -> None:
    before = start()
    assert before.checklist and (before.checklist.done, before.checklist.total) == (0, 2)
    assert open_ids(before) == ["real"]
    yes = step(before, "real", answer="yes")
    assert open_ids(yes) == ["call"]
    assert yes.checklist and (yes.checklist.done, yes.checklist.total) == (1, 3)
    done = step(yes, "call")
    assert open_ids(done) == []
    no = step(done, "real", answer="no")
    assert open_ids(no) == ["why"]
    assert no.checklist and (no.checklist.done, no.checklist.total) == (1, 3), (
        "the other branch counts no more"
    )


def test_it_cannot_end_while_a_required_step_is_open() -> None:
    incident = step(start(), "real", answer="yes")
    with pytest.raises(Refused, match="open: call") as caught:
        do(incident, Op.RESOLVE, context=HERE, note="xong")
    assert caught.value.rule == "steps_open"
    assert step(incident, "call").checklist
    assert after_doing(step(incident, "call"), Op.RESOLVE, note="xong").handling is Handling.RESOLVED


def told(change: Change) -> tuple[object, object, int]:
    return change.audit.details.get("level"), change.audit.details.get("to"), change.incident.level


def test_a_supervisors_reason_ends_it_and_is_told() -> None:
    (change,) = do(start(), Op.RESOLVE, context=SUPERVISED, note="xong", override="camera hỏng")
    assert change.incident.handling is Handling.RESOLVED
    assert told(change) == (1, "supervisor", 1)
    assert (change.audit.note, change.audit.details["open"]) == ("xong\ncamera hỏng", "real")
    whole = step(step(start(), "real", answer="yes"), "call")
    (quiet,) = do(whole, Op.RESOLVE, context=SUPERVISED, note="xong", override="không cần")
    assert told(quiet) == (None, None, 0), "nothing was overridden"


def test_a_skipped_required_step_is_told_and_an_optional_one_is_not() -> None:
    (change,) = do(start(), Op.SKIP, context=HERE, step="real", note="mất hình")
    assert told(change) == (1, "supervisor", 1)
    assert change.audit.details["step"] == "real" and change.audit.note == "mất hình"
    assert open_ids(change.incident) == []
    (optional,) = do(start(), Op.SKIP, context=HERE, step="photo", note="đêm tối")
    assert told(optional) == (None, None, 0)
    later = step(change.incident, "real", answer="yes")
    assert open_ids(later) == ["call"], "what was skipped may still be done"


def test_a_new_version_changes_nothing_for_what_has_begun() -> None:
    incident = step(start(), "real", answer="yes")
    other = Policies(ward_names=NAMES, texts={ref_of(PARSED.procedures[0]): PARSED.procedures[0]})
    (change,) = do(incident, Op.STEP, context=Context(other), step="call")
    assert open_ids(change.incident) == []
    worse = Updated(incident_id="inc-1", at_us=NOW_US, severity=Severity.CRITICAL, why=WHY, count=9)
    begun = on_effect(incident, worse, other)
    assert begun and begun.incident.checklist == incident.checklist
    untouched = on_effect(start(), worse, other)
    assert untouched and untouched.incident.checklist
    assert untouched.incident.checklist.ref == ref_of(SHIPPED[2]), (
        "before its first step it follows the severity"
    )


def test_reopening_begins_the_procedure_anew() -> None:
    done = step(step(start(), "real", answer="yes"), "call")
    ended = after_doing(done, Op.RESOLVE, note="xong")
    again = after_doing(ended, Op.REOPEN, context=HERE, note="cháy lại")
    assert open_ids(again) == ["real"]


def test_a_merged_incident_takes_no_steps_and_keeps_its_own_for_later() -> None:
    member, head = step(start(), "real", answer="yes"), an_incident("head", IN_FORCE)
    part = do(member, Op.MERGE, context=Context(IN_FORCE, head), into="head")[0].incident
    with pytest.raises(Refused, match="not possible from merged"):
        step(part, "call")
    alone = do(part, Op.UNMERGE, context=HERE)[0].incident
    assert alone.checklist == member.checklist


BARE = msgspec.structs.replace(start(), checklist=None)
REFUSALS: list[tuple[Op, Incident, Context, dict[str, object], str]] = [
    (Op.STEP, BARE, HERE, {"step": "real"}, "no_procedure"),
    (Op.STEP, start(), HERE, {}, "step_required"),
    (Op.STEP, start(), HERE, {"step": "nothing"}, "step_unknown"),
    (Op.STEP, start(), HERE, {"step": "call"}, "step_unknown"),
    (Op.STEP, start(), HERE, {"step": "real"}, "answer"),
    (Op.STEP, start(), HERE, {"step": "real", "answer": "maybe"}, "answer"),
    (Op.STEP, start(), HERE, {"step": "photo"}, "photo_required"),
    (Op.STEP, start(), HERE, {"step": "photo", "photo": "../x"}, "photo_reference"),
    (Op.STEP, step(start(), "real", answer="no"), HERE, {"step": "why"}, "note_required"),
    (Op.STEP, start(), Context(Policies(procedures=ProcedurePolicy(procedures=()))), {"step": "real"},
     "procedure_unknown"),
    (Op.SKIP, start(), HERE, {"step": "real"}, "note_required"),
    (Op.SKIP, step(start(), "real", answer="no"), HERE, {"step": "real", "note": "x"}, "step_taken"),
    (Op.RESOLVE, start(), HERE, {"note": "x"}, "steps_open"),
    (Op.RESOLVE, start(), SUPERVISED, {"note": "x", "override": "  "}, "steps_open"),
    (Op.RESOLVE, start(), HERE, {"note": "x", "override": "vội"}, "override_role"),
    (Op.RESOLVE, start(), SUPERVISED, {"note": "x", "override": "x" * 4_001}, "note_length"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "incident", "context", "arguments", "rule"), REFUSALS)
def test_every_refusal_names_its_rule(
    op: Op, incident: Incident, context: Context, arguments: dict[str, object], rule: str
) -> None:
    with pytest.raises(Refused) as caught:
        do(incident, op, context=context, **arguments)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"title": {"vi": "x"}}, "procedures[0].title", "policy_shape"),
        ({"steps": []}, "procedures[0].steps", "policy_shape"),
        ({"steps": [{"id": "a", "text": {"vi": "x", "en": "x"}}] * 2}, "procedures[0].steps[1].id", "unique"),
        ({"steps": [{"id": "a", "text": {"vi": "x", "en": "x"}, "kind": "choice"}]},
         "procedures[0].steps[0].choices", "choices"),
        ({"steps": [{"id": "a", "text": {"vi": "x", "en": "x"}, "when": {"step": "b", "answer": "c"}}]},
         "procedures[0].steps[0].when", "branch"),
        ({"steps": [{"id": "a", "text": {"vi": "x", "en": "x"}, "link": "javascript:x"}]},
         "procedures[0].steps[0].link", "policy_shape"),
    ],
)  # fmt: skip
def test_a_procedure_that_cannot_be_names_field_and_rule(
    change: dict[str, object], field: str, rule: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy("procedures", {"procedures": [DOCUMENT["procedures"][0] | change]})
    assert (caught.value.field, caught.value.rule) == (field, rule)


def test_the_shipped_policy_passes_its_own_check() -> None:
    shipped = POLICIES["procedures"]()
    assert parse_policy("procedures", msgspec.to_builtins(shipped)) == shipped


@given(data=st.data(), procedure=st.sampled_from(SHIPPED))
def test_any_way_through_a_shipped_procedure_comes_to_its_end(
    data: st.DataObject, procedure: Procedure
) -> None:
    """Whatever is answered, each step takes one from the open ones or opens a branch, and it ends."""
    checklist, taken = begin(procedure), list[Taken]()
    for _ in procedure.steps:
        if not checklist.open:
            break
        first = checklist.open[0]
        answer = data.draw(st.sampled_from(first.answers)) if first.kind is StepKind.CHOICE else None
        taken.append(Taken(step=first.id, by="an", at_us=NOW_US, answer=answer))
        checklist = progress(procedure, taken)
        assert checklist.done == len(taken) <= checklist.total
    assert checklist.open == ()
    assert {each.id for each in due_steps(procedure, taken) if each.required} <= {t.step for t in taken}
