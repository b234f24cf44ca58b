"""The hand-over of a shift: nothing passes unseen, nothing is decided twice, nothing is forgotten."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ioc.incidents.shift import (
    MAX_NOTE_CHARS,
    SHIFT_GUARDS,
    Outcome,
    ShiftCommand,
    ShiftConflict,
    ShiftOp,
    ShiftRefused,
    on_list,
    on_shift_command,
)
from ioc.incidents.shift_report import build_report, render_html
from ioc.model.incidents import Severity
from ioc.model.shifts import Item, ItemKind, Listed, Shift, ShiftState, Verdict
from ioc.model.texts import Text
from tests.unit.incidents.samples import NAMES, NOW_US

RUNNING = Shift(id=7, lead="an", began_us=NOW_US)
INCIDENT = Listed(
    ref="inc-1",
    kind=ItemKind.INCIDENT,
    title=Text("Ùn tắc <hầm>", "Congestion"),
    since_us=NOW_US,
    severity=Severity.HIGH,
    ward="25747",
    due_us=NOW_US - 1,
)
RULE = Listed(ref="rule:crowd", kind=ItemKind.RULE, title=Text("Đám đông", "Crowd"), since_us=NOW_US)


class Desk:
    """A shift with its list, as the service keeps it."""

    def __init__(self, shift: Shift = RUNNING) -> None:
        self.shift = shift
        self.items: dict[str, Item] = {}

    def take(self, outcome: Outcome) -> Outcome:
        self.shift = outcome.shift
        self.items |= {item.listed.ref: item for item in outcome.items}
        if outcome.dropped:
            self.items.clear()
        return outcome

    def do(self, actor: str, op: ShiftOp, *, rev: int | None = None, **arguments: object) -> Outcome:
        seen = self.shift.rev if rev is None else rev
        command = ShiftCommand(op=op, expect_rev=seen, idem="k", **arguments)  # type: ignore[arg-type]
        return self.take(on_shift_command(self.shift, self.items, command, actor=actor, now_us=NOW_US))

    def lists(self, *listed: Listed, left_out: int = 0) -> "Desk":
        self.take(on_list(self.shift, self.items, listed, left_out, NOW_US))
        return self

    def verdicts(self) -> dict[str, Verdict]:
        return {ref: item.verdict for ref, item in self.items.items()}


def handing_over(*listed: Listed) -> Desk:
    desk = Desk()
    desk.do("an", ShiftOp.START)
    return desk.lists(*listed)


def opened(*listed: Listed) -> Desk:
    desk = handing_over(*listed)
    desk.do("binh", ShiftOp.OPEN)
    return desk


def test_a_shift_passes_when_every_item_is_accepted_or_questioned() -> None:
    desk = opened(INCIDENT, RULE)
    desk.do("an", ShiftOp.NOTE, items=("inc-1",), note="CSGT đang tới")
    desk.do("binh", ShiftOp.ACCEPT, items=("inc-1",))
    with pytest.raises(ShiftRefused, match="1 items are neither"):
        desk.do("binh", ShiftOp.PASS)
    desk.do("binh", ShiftOp.QUESTION, items=("rule:crowd",), note="vì sao tắt?")
    done = desk.do("binh", ShiftOp.PASS)
    assert (done.next_lead, done.shift.state, done.shift.passed_us) == ("binh", ShiftState.PASSED, NOW_US)
    assert desk.items["inc-1"].note == "CSGT đang tới"


def test_what_arises_meanwhile_is_added_and_not_accepted_unseen() -> None:
    desk = opened(INCIDENT)
    seen = desk.shift.rev
    desk.lists(INCIDENT, RULE)
    desk.do("binh", ShiftOp.ACCEPT_REST, rev=seen)
    assert desk.verdicts() == {"inc-1": Verdict.ACCEPTED, "rule:crowd": Verdict.OPEN}
    with pytest.raises(ShiftRefused, match="1 items"):
        desk.do("binh", ShiftOp.PASS)
    with pytest.raises(ShiftConflict):
        desk.do("binh", ShiftOp.ACCEPT, rev=seen, items=("rule:crowd",))


def test_what_ends_needs_no_decision_and_what_comes_back_needs_one() -> None:
    desk = opened(INCIDENT, RULE)
    desk.do("binh", ShiftOp.ACCEPT_REST)
    desk.lists(RULE)
    assert desk.items["inc-1"].gone
    desk.lists(INCIDENT, RULE)
    assert desk.items["inc-1"].is_undecided and not desk.items["rule:crowd"].is_undecided


def test_what_a_list_too_long_leaves_out_has_not_ended() -> None:
    desk = opened(INCIDENT, RULE).lists(RULE, left_out=1)
    assert not desk.items["inc-1"].gone and desk.shift.left_out == 1
    assert desk.lists(RULE).items["inc-1"].gone


def test_an_accepted_item_that_grows_worse_has_to_be_decided_again() -> None:
    desk = opened(INCIDENT)
    desk.do("binh", ShiftOp.ACCEPT_REST)
    desk.lists(msgspec.structs.replace(INCIDENT, due_us=NOW_US + 1))
    assert not desk.items["inc-1"].is_undecided, "a later due date changes no decision"
    desk.lists(msgspec.structs.replace(INCIDENT, severity=Severity.CRITICAL))
    assert desk.items["inc-1"].is_undecided
    desk.do("binh", ShiftOp.ACCEPT_REST)
    desk.lists(msgspec.structs.replace(INCIDENT, severity=Severity.CRITICAL, kind=ItemKind.SHELVED))
    assert desk.items["inc-1"].is_undecided


def test_an_unchanged_list_is_no_revision() -> None:
    desk = handing_over(INCIDENT)
    rev = desk.shift.rev
    assert desk.lists(INCIDENT).shift.rev == rev


def test_whoever_takes_over_starts_for_a_lead_who_is_not_there() -> None:
    desk = Desk()
    desk.do("binh", ShiftOp.START, note="an nghỉ ốm")
    assert (desk.shift.incoming, desk.shift.absent) == ("binh", "an nghỉ ốm")
    with pytest.raises(ShiftRefused, match="somebody else takes"):
        desk.do("cuong", ShiftOp.OPEN)


def test_a_cancelled_hand_over_leaves_nothing() -> None:
    desk = opened(INCIDENT)
    desk.do("an", ShiftOp.CANCEL)
    assert (desk.shift.state, desk.shift.incoming, desk.items) == (ShiftState.RUNNING, None, {})


REFUSALS: list[tuple[Desk, str, ShiftOp, dict[str, object], str]] = [
    (handing_over(), "an", ShiftOp.START, {}, "not_running"),
    (Desk(), "binh", ShiftOp.OPEN, {}, "not_handing_over"),
    (Desk(), "binh", ShiftOp.START, {"note": " "}, "absent_required"),
    (handing_over(), "an", ShiftOp.OPEN, {}, "same_person"),
    (opened(INCIDENT), "an", ShiftOp.ACCEPT_REST, {}, "same_person"),
    (opened(INCIDENT), "cuong", ShiftOp.ACCEPT, {"items": ("inc-1",)}, "not_incoming"),
    (handing_over(INCIDENT), "binh", ShiftOp.ACCEPT_REST, {}, "not_opened"),
    (handing_over(INCIDENT), "binh", ShiftOp.PASS, {}, "not_opened"),
    (opened(INCIDENT), "cuong", ShiftOp.CANCEL, {}, "not_involved"),
    (opened(INCIDENT), "cuong", ShiftOp.NOTE, {"items": ("inc-1",), "note": "x"}, "not_involved"),
    (opened(INCIDENT), "binh", ShiftOp.ACCEPT, {}, "items_required"),
    (opened(INCIDENT), "binh", ShiftOp.ACCEPT, {"items": tuple(map(str, range(501)))}, "items_required"),
    (opened(INCIDENT), "binh", ShiftOp.ACCEPT, {"items": ("inc-9",)}, "item_unknown"),
    (opened(), "binh", ShiftOp.ACCEPT_REST, {}, "nothing_left"),
    (opened(INCIDENT), "binh", ShiftOp.QUESTION, {"items": ("inc-1",)}, "reason_required"),
    (opened(INCIDENT), "an", ShiftOp.NOTE, {"items": ("inc-1",), "note": ""}, "note_required"),
    (opened(INCIDENT), "an", ShiftOp.NOTE, {"items": ("inc-1",), "note": "x" * (MAX_NOTE_CHARS + 1)},
     "note_length"),
    (opened(INCIDENT), "binh", ShiftOp.PASS, {}, "items_open"),
]  # fmt: skip


@pytest.mark.parametrize(("desk", "actor", "op", "arguments", "named"), REFUSALS)
def test_every_refusal_names_its_rule(
    desk: Desk, actor: str, op: ShiftOp, arguments: dict[str, object], named: str
) -> None:
    with pytest.raises(ShiftRefused) as caught:
        desk.do(actor, op, **arguments)
    assert caught.value.rule == named


def test_no_rule_is_left_out_above() -> None:
    assert {named for *_, named in REFUSALS} == set(SHIFT_GUARDS)


def test_the_report_tells_all_and_prints_safely_in_both_languages() -> None:
    desk = opened(INCIDENT, RULE).lists(INCIDENT, RULE, left_out=3)
    desk.do("binh", ShiftOp.ACCEPT, items=("inc-1",))
    desk.do("binh", ShiftOp.QUESTION, items=("rule:crowd",), note="<script>")
    report = build_report(desk.do("binh", ShiftOp.PASS).shift, desk.items.values(), 5, 4)
    assert (report.accepted, report.questioned, report.left_out, report.raised) == (1, 1, 3, 5)
    assert [line.overdue for line in report.lines] == [True, False]
    vi, en = (render_html(report, "abc", lang, NAMES) for lang in ("vi", "en"))
    assert "Biên bản giao ca · Ca số 7" in vi and "Phường Thủ Dầu Một" in vi and "quá hạn" in vi
    assert "Hand-over report · Shift 7" in en and "Disabled rule" in en
    for page in (vi, en):
        assert "<script>" not in page and "&lt;script&gt;" in page and "abc" in page


class HandOver(RuleBasedStateMachine):
    """Two leads and a world that goes on: whatever they do, nothing passes undecided or unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = handing_over()
        self.world: dict[str, Listed] = {}
        self.seen_rev: dict[str, int] = {"an": 1, "binh": 1}
        self.shown: set[str] = set()
        self.passed = False

    @rule(ref=st.sampled_from("abcd"), severity=st.sampled_from(list(Severity)), there=st.booleans())
    def the_world_changes(self, ref: str, severity: Severity, there: bool) -> None:
        self.world.pop(ref, None)
        if there:
            self.world[ref] = msgspec.structs.replace(INCIDENT, ref=ref, severity=severity)
        if not self.passed:
            self.desk.lists(*self.world.values())

    @rule(actor=st.sampled_from(["an", "binh"]))
    def somebody_looks(self, actor: str) -> None:
        self.seen_rev[actor] = self.desk.shift.rev
        if actor == "binh":
            self.shown |= set(self.desk.items)

    @precondition(lambda self: not self.passed)
    @rule(
        actor=st.sampled_from(["an", "binh"]),
        op=st.sampled_from(sorted(set(ShiftOp) - {ShiftOp.START, ShiftOp.CANCEL})),
        ref=st.sampled_from("abcd"),
    )
    def somebody_acts(self, actor: str, op: ShiftOp, ref: str) -> None:
        before = dict(self.desk.items)
        try:
            outcome = self.desk.do(actor, op, rev=self.seen_rev[actor], items=(ref,), note="lời")
        except (ShiftRefused, ShiftConflict):
            assert self.desk.items == before
            return
        decided = [item for item in outcome.items if item.verdict is not Verdict.OPEN and item.by == actor]
        for item in decided if op is not ShiftOp.NOTE else ():
            assert actor == "binh"
            assert before[item.listed.ref].rev <= self.seen_rev["binh"], "decided as it was seen"
            assert item.listed.ref in self.shown
        if outcome.next_lead:
            self.passed = True
            assert all(i.gone or i.verdict is not Verdict.OPEN for i in self.desk.items.values())
            assert {ref for ref, item in self.desk.items.items() if not item.gone} == set(self.world)

    @invariant()
    def revisions_never_fall(self) -> None:
        assert all(item.rev <= self.desk.shift.rev for item in self.desk.items.values())


HandOver.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestHandOver = HandOver.TestCase
