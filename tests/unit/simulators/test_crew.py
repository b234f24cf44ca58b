"""The duty crew decides by id, seed and time alone, and keeps its hands off what others have taken."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import pytest

from simulators.city.build import load_wards
from simulators.crew import (
    EAGER_SHARE,
    ITSELF,
    MAX_COMMANDS,
    Case,
    Checklist,
    Crew,
    OpenStep,
    Order,
    pace_of,
)
from simulators.crew_texts import team_of
from simulators.times import SECOND_US, format_us
from tests.unit.simulators.conftest import START_US

WARDS = {ward.code: ward.name for ward in load_wards()}
TARGET = {
    "acknowledge": "acknowledged",
    "assign": "assigned",
    "start": "in_progress",
    "resolve": "resolved",
    "close": "closed",
}
OPEN = ("new", "acknowledged", "assigned", "in_progress")


def ids(eager: bool, count: int, seed: int = 1) -> list[str]:
    names = (f"inc-{number:05d}" for number in range(10_000))
    return [name for name in names if pace_of(name, seed).eager is eager][:count]


def new(incident: str, at_s: float = 0, category: str = "traffic") -> Case:
    at = text(at_s)
    return Case(
        id=incident, rev=1, category=category, condition="active", handling="new", detected=at, updated=at,
        ward="25942",
    )  # fmt: skip


def text(at_s: float) -> str:
    return format_us(time_us(at_s))


def time_us(at_s: float) -> int:
    return START_US + round(at_s * SECOND_US)


def cleared(case: Case, at_s: float) -> Case:
    return msgspec.structs.replace(case, rev=case.rev + 1, condition="cleared", cleared=text(at_s))


def carried_out(case: Case, order: Order, at_s: float) -> Case:
    if order.op == "step":
        return stepped(case, order, at_s)
    return msgspec.structs.replace(
        case,
        rev=case.rev + 1,
        handling=TARGET[order.op],
        updated=text(at_s),
        assignee=order.assignee or case.assignee,
        note=order.note or case.note,
    )


class Desk:
    """A service that does what it is told, and the log of what it was told when."""

    def __init__(self, crew: Crew, cases: Iterable[Case], clears_s: float | None = None) -> None:
        self.crew = crew
        self.cases = {case.id: case for case in cases}
        self.clears_s = clears_s
        self.log: list[tuple[float, Order]] = []

    def round(self, at_s: float) -> list[Order]:
        if self.clears_s is not None and at_s >= self.clears_s:
            for case in list(self.cases.values()):
                if case.condition == "active":
                    self.cases[case.id] = cleared(case, self.clears_s)
        shown = [case for case in self.cases.values() if case.handling in OPEN]
        orders = self.crew.orders(shown, time_us(at_s))
        for order in orders:
            case = self.cases[order.incident]
            self.log.append((at_s, order))
            if order.expect_rev != case.rev:
                self.crew.conflicted(order, case)
                continue
            self.cases[case.id] = carried_out(case, order, at_s)
            self.crew.done(order, self.cases[case.id])
        return orders

    def play(self, from_s: int, until_s: int) -> "Desk":
        for at_s in range(from_s, until_s, 5):
            self.round(at_s)
        return self

    def ops(self) -> list[str]:
        return [order.op for _, order in self.log]


STEPS = (OpenStep("verify", "choice", ("yes", "no")), OpenStep("tell", "confirm"), OpenStep("say", "note"))


def stepped(case: Case, order: Order, at_s: float) -> Case:
    """Return `case` after a step as the service leaves it: claimed, and one step less to do."""
    assert case.checklist and order.step == case.checklist.open[0].id
    handling = "in_progress" if case.handling == "in_progress" else "assigned"
    return msgspec.structs.replace(
        case,
        rev=case.rev + 1,
        handling=handling,
        updated=text(at_s),
        assignee=case.assignee or ITSELF,
        checklist=Checklist(case.checklist.done + 1, case.checklist.open[1:]),
    )


def crew(seed: int = 1) -> Crew:
    return Crew(seed, WARDS)


def test_decisions_follow_from_id_seed_and_time() -> None:
    def told(seed: int) -> list[tuple[float, Order]]:
        cases = [new(f"inc-{number:05d}") for number in range(8)]
        return Desk(crew(seed), cases, clears_s=150).play(0, 600).log

    assert told(1) == told(1)
    assert told(1) != told(2)
    eager = sum(pace_of(f"inc-{number}", 1).eager for number in range(2_000))
    assert eager / 2_000 == pytest.approx(EAGER_SHARE, abs=0.04)


def test_an_eager_incident_goes_all_the_way_in_time() -> None:
    (incident,) = ids(True, 1)
    desk = Desk(crew(), [new(incident)], clears_s=200).play(0, 600)
    assert desk.ops() == ["acknowledge", "assign", "start", "resolve", "close"]
    at = {order.op: at_s for at_s, order in desk.log}
    assert 35 <= at["acknowledge"] <= 95
    assert at["resolve"] >= 200
    assert 50 <= at["close"] - at["resolve"] <= 80
    by_op = {order.op: order for _, order in desk.log}
    assert by_op["assign"].assignee == "Đội CSGT Dĩ An"
    assert by_op["resolve"].note
    assert desk.crew.counts.handled == 1


@pytest.mark.parametrize("eager", [True, False])
def test_every_step_of_the_procedure_is_done_before_an_incident_is_resolved(eager: bool) -> None:
    (incident,) = ids(eager, 1)
    case = msgspec.structs.replace(new(incident), checklist=Checklist(0, STEPS))
    desk = Desk(crew(), [case], clears_s=200).play(0, 900)
    before = ["acknowledge", "assign", "start"] if eager else ["acknowledge"]
    assert desk.ops() == [*before, "step", "step", "step", "resolve", "close"]
    asked, confirmed, noted = (order for _, order in desk.log if order.op == "step")
    assert asked.answer in STEPS[0].answers
    assert (confirmed.answer, confirmed.note) == (None, None)
    assert noted.note


def test_the_others_stay_untouched_until_two_minutes_after_they_cleared() -> None:
    cases = [new(incident) for incident in ids(False, 5)]
    desk = Desk(crew(), cases, clears_s=300).play(0, 900)
    assert Counter(desk.ops()) == {"acknowledge": 5, "resolve": 5, "close": 5}
    assert min(at_s for at_s, _ in desk.log) >= 300 + 120
    notes = {order.note for _, order in desk.log if order.op == "resolve"}
    assert all(note and note.startswith("Đã kiểm tra qua camera") for note in notes)
    assert not Desk(crew(), [new(incident) for incident in ids(False, 5)]).play(0, 3_600).log


def test_only_what_is_cleared_or_old_is_resolved() -> None:
    cases = [new(incident, category="flood") for incident in ids(True, 4)]
    lasting = Desk(crew(), cases).play(0, 900)
    resolved = [at_s for at_s, order in lasting.log if order.op == "resolve"]
    assert len(resolved) == 4
    assert min(resolved) >= 270
    assert max(resolved) <= 365
    soon = Desk(crew(), cases, clears_s=240).play(0, 900)
    assert min(at_s for at_s, order in soon.log if order.op == "resolve") >= 240


@pytest.mark.parametrize("handling", ["acknowledged", "assigned", "in_progress"])
def test_what_others_have_taken_is_never_touched(handling: str) -> None:
    (incident,) = ids(True, 1)
    working = crew()
    working.orders([], time_us(0))
    theirs = msgspec.structs.replace(new(incident), rev=2, handling=handling, assignee="Bình")
    desk = Desk(working, [theirs], clears_s=60).play(0, 1_200)
    assert not desk.log
    desk.cases[incident] = msgspec.structs.replace(new(incident), rev=9)  # given back: still not ours
    assert not desk.play(1_200, 1_800).log


@pytest.mark.parametrize("trace", [{"note": "để tôi xem"}, {"assignee": "Bình"}])
def test_a_new_incident_that_somebody_has_been_at_is_theirs(trace: dict[str, str]) -> None:
    (incident,) = ids(True, 1)
    case = msgspec.structs.replace(new(incident), **trace)
    assert not Desk(crew(), [case], clears_s=60).play(0, 900).log


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_crew_lets_go_of_what_somebody_moves_on(steps: int) -> None:
    (incident,) = ids(True, 1)
    desk, at_s = Desk(crew(), [new(incident)], clears_s=200), 0
    while len(desk.log) < steps:
        desk.round(at_s)
        at_s += 5
    case = desk.cases[incident]
    moved = {"new": "acknowledged"} | dict.fromkeys(("acknowledged", "assigned"), "in_progress")
    handling = moved.get(case.handling, "new" if case.handling == "resolved" else "assigned")
    desk.cases[incident] = msgspec.structs.replace(
        case, rev=case.rev + 1, handling=handling, assignee="Bình", note="tôi nhận"
    )
    assert not [order for at_s in range(at_s, 1_500, 5) for order in desk.round(at_s)]
    assert desk.crew.counts.left == 1


def test_a_resolved_incident_that_somebody_reopens_before_the_crew_sees_it_is_theirs() -> None:
    (incident,) = ids(True, 1)
    desk, at_s = Desk(crew(), [new(incident)], clears_s=100), 0
    while "resolve" not in desk.ops():
        desk.round(at_s)
        at_s += 5
    case = desk.cases[incident]
    reopened = msgspec.structs.replace(case, rev=case.rev + 1, handling="new")
    (close,) = desk.crew.orders([], time_us(at_s + 100))
    desk.crew.conflicted(close, reopened)
    desk.cases[incident] = reopened
    assert not [order for at_s in range(at_s + 100, 1_500, 5) for order in desk.round(at_s)]


def test_what_citizens_tell_is_taken_up_at_once_and_again_while_they_are_not_satisfied() -> None:
    for incident in (*ids(True, 1), *ids(False, 1)):
        case = msgspec.structs.replace(new(incident), category="citizen.road")
        desk = Desk(crew(), [case]).play(0, 900)
        assert desk.ops() == ["acknowledge", "assign", "start", "resolve", "close"]
        again = {"handling": "new", "note": "Người dân chưa hài lòng với kết quả.", "rev": 20}
        desk.cases[incident] = msgspec.structs.replace(desk.cases[incident], **again)
        desk.play(900, 1_800)
        assert desk.ops()[5:] == ["acknowledge", "assign", "start", "resolve", "close"]


def test_after_a_conflict_it_looks_again_and_asks_with_the_new_revision() -> None:
    (incident,) = ids(True, 1)
    working, case = crew(), new(incident)
    (order,) = working.orders([case], time_us(100))
    updated = msgspec.structs.replace(case, rev=2)
    working.conflicted(order, updated)
    (again,) = working.orders([updated], time_us(105))
    assert (again.op, again.expect_rev) == (order.op, 2)
    assert again.idem != order.idem
    assert working.counts.conflicts == 1


def test_a_close_that_met_a_new_revision_is_asked_again() -> None:
    (incident,) = ids(True, 1)
    desk = Desk(crew(), [new(incident, category="flood")])
    at_s = 0
    while "resolve" not in desk.ops():
        desk.round(at_s)
        at_s += 5
    desk.clears_s = at_s  # the world goes on while it is resolved
    desk.play(at_s, at_s + 200)
    assert desk.ops()[-2:] == ["close", "close"]
    assert desk.cases[incident].handling == "closed"


def test_an_order_without_an_answer_is_given_again_word_for_word() -> None:
    (incident,) = ids(True, 1)
    working, case = crew(), new(incident)
    (order,) = working.orders([case], time_us(100))
    done = carried_out(case, order, 100)
    assert working.orders([done], time_us(105)) == [order]  # it was carried out; the crew cannot know
    working.done(order, done)
    assert [step.op for step in working.orders([done], time_us(200))] == ["assign"]


def test_a_repeated_order_that_finds_others_at_work_lets_go() -> None:
    (incident,) = ids(True, 1)
    working, case = crew(), new(incident)
    (order,) = working.orders([case], time_us(100))
    theirs = msgspec.structs.replace(case, rev=4, handling="assigned", assignee="Bình")
    working.done(order, theirs)
    assert not working.orders([theirs], time_us(900))


def test_what_the_service_refuses_is_left_alone() -> None:
    (incident,) = ids(True, 1)
    working, case = crew(), new(incident)
    (order,) = working.orders([case], time_us(100))
    working.refused(order)
    assert not working.orders([case], time_us(900))


def test_a_long_queue_is_worked_off_a_few_commands_a_round() -> None:
    cases = [new(f"inc-{number:05d}") for number in range(300)]
    desk = Desk(crew(), cases, clears_s=100)
    assert max(len(desk.round(at_s)) for at_s in range(0, 3_600, 5)) <= MAX_COMMANDS
    assert {case.handling for case in desk.cases.values()} == {"closed"}


def test_the_memory_is_bounded_and_forgets_those_not_seen_for_longest() -> None:
    working = Crew(1, WARDS, limit=10)
    working.orders([], time_us(0))
    seen = msgspec.structs.replace(new("inc-seen"), handling="assigned", assignee="Bình")
    for number in range(100):
        other = msgspec.structs.replace(seen, id=f"inc-{number}")
        working.orders([seen, other], time_us(number))
    assert len(working._kept) == 10
    assert "inc-seen" in working._kept


def test_a_crew_started_again_goes_on_with_its_own() -> None:
    (incident,) = ids(True, 1)
    desk, at_s = Desk(crew(), [new(incident)], clears_s=250), 0
    while not desk.log:
        desk.round(at_s)
        at_s += 5
    for _ in range(3):
        desk.crew, before = crew(), len(desk.log)
        while len(desk.log) == before:
            desk.round(at_s)
            at_s += 5
    assert desk.ops() == ["acknowledge", "assign", "start", "resolve"]


@pytest.mark.parametrize(
    ("category", "ward", "start"),
    [
        ("traffic", "25942", "Đội CSGT Dĩ An"),
        ("security", "25747", "Công an phường Thủ Dầu Một"),
        ("security", "25777", "Công an xã Dầu Tiếng"),
        ("flood", "25942", "Đội thoát nước số "),
        ("fire", "25942", "Đội PCCC và CNCH số "),
        ("traffic", None, "Tổ phản ứng nhanh số "),
        ("anything", "99999", "Tổ phản ứng nhanh số "),
    ],
)
def test_teams_fit_the_category_and_the_ward(category: str, ward: str | None, start: str) -> None:
    assert team_of(category, ward, WARDS).startswith(start)
