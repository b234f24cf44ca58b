"""A duty crew's decisions: incidents and the time in, commands out; reads no clock and opens no socket.

When the crew does what follows from the incident's id and the seed alone. It takes up about seven in ten
soon, each a little later than a person who is watching would, and leaves the others until they have gone
away; a citizen never waits for that. It lets go for good of whatever somebody else has moved, unless it was
citizens who were not satisfied.
"""

import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from simulators.crew_texts import AT_WORK, NOTED, TAKEN_UP, note_of, team_of
from simulators.times import SECOND_US, parse_us

EAGER_SHARE: Final = 0.7
MAX_COMMANDS: Final = 8
"""Commands a round; a long queue is worked off over many rounds."""
MAX_KEPT: Final = 5_000
"""Incidents remembered; those not seen for longest are forgotten first."""
_TARGET: Final = {
    "acknowledge": "acknowledged",
    "assign": "assigned",
    "start": "in_progress",
    "resolve": "resolved",
    "close": "closed",
}
_URGENCY: Final = {
    op: rank for rank, op in enumerate(("step", "resolve", "start", "assign", "close", "acknowledge"))
}
ITSELF: Final = "supervisor"
"""As whom the crew logs in: the assignee of what it looks into without sending a team."""
STEP_S: Final = 4.0
"""Between two steps of a procedure."""
_USUAL_SHARE: Final = 0.7
"""How often a question of a procedure is answered by its first answer."""


_BY_CITIZENS: Final = "Người dân "
"""How the note of an incident begins that citizens have opened again."""


class OpenStep(msgspec.Struct, frozen=True):
    """A step without which an incident cannot be resolved; `answers` of those that ask something."""

    id: str
    kind: str
    answers: tuple[str, ...] = ()


class Checklist(msgspec.Struct, frozen=True):
    """How far an incident's procedure has come."""

    done: int
    open: tuple[OpenStep, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What the crew reads of an incident; times are RFC 3339."""

    id: str
    rev: int
    category: str
    condition: str
    handling: str
    detected: str
    updated: str
    ward: str | None = None
    cleared: str | None = None
    assignee: str | None = None
    note: str | None = None
    checklist: Checklist | None = None

    @property
    def open_step(self) -> OpenStep | None:
        """What has to be done next before it can be resolved."""
        return self.checklist.open[0] if self.checklist and self.checklist.open else None

    @property
    def cleared_us(self) -> int | None:
        """When its condition ended, None while it lasts."""
        return parse_us(self.cleared) if self.condition == "cleared" and self.cleared else None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One command for one incident. The same order sent twice is carried out once."""

    incident: str
    op: str
    expect_rev: int
    assignee: str | None = None
    note: str | None = None
    step: str | None = None
    answer: str | None = None

    @property
    def idem(self) -> str:
        """Its idempotency key."""
        return f"crew-{self.incident}-{self.expect_rev}-{self.op}"


class Pace(msgspec.Struct, frozen=True):
    """How the crew treats one incident; all but the first are seconds."""

    eager: bool
    acknowledge_s: float
    """After detection, if eager."""
    quiet_s: float
    """After it has gone away untouched."""
    glance_s: float
    """From acknowledging to resolving what has gone away before a team was sent."""
    assign_s: float
    start_s: float
    work_s: float
    after_clear_s: float
    longest_s: float
    """From detection to resolving what does not go away."""
    close_s: float


def pace_of(incident: str, seed: int) -> Pace:
    """Return the pace for an incident's id; the same arguments give the same pace."""
    rng = random.Random(f"{seed}/{incident}")
    return Pace(
        eager=rng.random() < EAGER_SHARE,
        acknowledge_s=rng.uniform(35, 90),
        quiet_s=rng.uniform(120, 180),
        glance_s=rng.uniform(10, 30),
        assign_s=rng.uniform(15, 40),
        start_s=rng.uniform(20, 60),
        work_s=rng.uniform(25, 60),
        after_clear_s=rng.uniform(15, 60),
        longest_s=rng.uniform(270, 360),
        close_s=rng.uniform(50, 75),
    )


def next_step(case: Case, since_us: int, pace: Pace) -> tuple[int, str] | None:
    """Return when (microseconds) and what the crew does next; None if nothing, as things are.

    Args:
        case: a new incident, or one that the crew has brought to where it is.
        since_us: when the crew did so; of no account for a new one.
        pace: the incident's.
    """
    planned = _planned(case, since_us, pace)
    if planned is None or planned[1] != "resolve" or case.open_step is None:
        return planned
    begun = case.checklist is not None and case.checklist.done > 0
    return _after(since_us, STEP_S) if begun else planned[0], "step"


def _planned(case: Case, since_us: int, pace: Pace) -> tuple[int, str] | None:
    """Return the next move as if there were no procedures."""
    detected_us, cleared_us = parse_us(case.detected), case.cleared_us
    match case.handling:
        case "new":
            eager = pace.eager or case.category.startswith("citizen")
            due = [_after(detected_us, pace.acknowledge_s)] if eager else []
            due += [] if cleared_us is None else [_after(cleared_us, pace.quiet_s)]
            return (min(due), "acknowledge") if due else None
        case "acknowledged" if cleared_us is not None:
            return _after(since_us, pace.glance_s), "resolve"
        case "acknowledged":
            return _after(since_us, pace.assign_s), "assign"
        case "assigned" if cleared_us is not None and case.assignee == ITSELF:
            return _after(since_us, pace.glance_s), "resolve"
        case "assigned":
            return _after(since_us, pace.start_s), "start"
        case "in_progress":
            over_us = _after(detected_us, pace.longest_s)
            if cleared_us is not None:
                over_us = min(over_us, _after(cleared_us, pace.after_clear_s))
            return max(over_us, _after(since_us, pace.work_s)), "resolve"
        case "resolved":
            return _after(since_us, pace.close_s), "close"
        case _:
            return None


def _targets(order: Order) -> tuple[str, ...]:
    return ("assigned", "in_progress") if order.op == "step" else (_TARGET[order.op],)


class _Kept(msgspec.Struct, frozen=True):
    """An incident as the crew left it. `case` None: somebody else's, for good."""

    case: Case | None
    since_us: int = 0


_THEIRS: Final = _Kept(None)


class Counts(msgspec.Struct):
    """What the crew has done; `handled` are incidents it resolved."""

    handled: int = 0
    commands: int = 0
    conflicts: int = 0
    left: int = 0
    """Incidents that somebody else had taken."""


class Crew:
    """What the crew knows. Per round: `orders`, then for each one of `done`, `conflicted`, `refused`.

    An order without any of the three (the answer was lost) is given again, word for word, in the next round.
    """

    def __init__(self, seed: int, wards: Mapping[str, str], limit: int = MAX_KEPT) -> None:
        """Work with `seed`, and with the names of `wards` by code; remember at most `limit` incidents."""
        self.counts = Counts()
        self._seed = seed
        self._wards = wards
        self._limit = limit
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._unanswered: dict[str, Order] = {}
        self._first = True

    def orders(self, cases: Sequence[Case], now_us: int) -> list[Order]:
        """Return what to do now about `cases` (the open incidents), at most `MAX_COMMANDS`.

        First what finishes work begun, then what fell due last: a queue left from yesterday must not keep
        the crew from today's incidents.
        """
        due: list[tuple[int, str, Case]] = []
        ours = [case for case in cases if case.id not in self._unanswered and self._is_ours(case)]
        self._first = False
        ours += [case for case in self._resolved() if case.id not in self._unanswered]
        for case in ours:
            kept = self._kept.get(case.id, _THEIRS)
            step = next_step(case, kept.since_us, pace_of(case.id, self._seed))
            if step and step[0] <= now_us:
                due.append((*step, case))
        due.sort(key=lambda item: (_URGENCY[item[1]], -item[0], item[2].id))
        again = list(self._unanswered.values())
        fresh = [self._order(case, op) for _, op, case in due[: max(0, MAX_COMMANDS - len(again))]]
        self._unanswered |= {order.incident: order for order in fresh}
        return again + fresh

    def done(self, order: Order, case: Case) -> None:
        """`order` was carried out; `case` is the incident now."""
        self._unanswered.pop(order.incident, None)
        self.counts.commands += 1
        self.counts.handled += order.op == "resolve"
        if case.handling not in _targets(order) or (order.assignee and order.assignee != case.assignee):
            # The answer to a repeated order tells what others have done since.
            self._leave(case.id)
        elif order.op == "close":
            self._keep(case.id, _THEIRS)
        else:
            self._keep(case.id, _Kept(case, parse_us(case.updated)))

    def conflicted(self, order: Order, current: Case | None) -> None:
        """The incident had changed; `current` is what it is now, if the answer told."""
        self._unanswered.pop(order.incident, None)
        self.counts.conflicts += 1
        kept = self._kept.get(order.incident)
        if kept and kept.case and kept.case.handling == "resolved":
            # Resolved ones are in no list of open incidents: this is the only look at it.
            if current is None:
                self._leave(order.incident)
            elif self._is_ours(current):
                self._keep(order.incident, _Kept(current, kept.since_us))

    def refused(self, order: Order) -> None:
        """The service will never carry out `order`: leave the incident alone."""
        self._unanswered.pop(order.incident, None)
        self._leave(order.incident)

    def _resolved(self) -> list[Case]:
        return [kept.case for kept in self._kept.values() if kept.case and kept.case.handling == "resolved"]

    def _order(self, case: Case, op: str) -> Order:
        texts = random.Random(f"{self._seed}/{case.id}/{op}")
        note = assignee = None
        if op == "acknowledge":
            note = TAKEN_UP
        elif op == "assign":
            assignee = team_of(case.category, case.ward, self._wards)
        elif op == "start":
            note = AT_WORK
        elif op == "resolve":
            sent = case.handling != "acknowledged" and case.assignee != ITSELF
            note = note_of(case.category, sent=sent, cleared=case.condition == "cleared", rng=texts)
        elif op == "step" and case.open_step is not None:
            return self._step_order(case, case.open_step)
        return Order(incident=case.id, op=op, expect_rev=case.rev, assignee=assignee, note=note)

    def _step_order(self, case: Case, step: OpenStep) -> Order:
        rng = random.Random(f"{self._seed}/{case.id}/{step.id}")
        usual = not step.answers or rng.random() < _USUAL_SHARE
        return Order(
            incident=case.id,
            op="step",
            expect_rev=case.rev,
            step=step.id,
            note=NOTED if step.kind == "note" else None,
            answer=(step.answers[0] if usual else rng.choice(step.answers)) if step.answers else None,
        )

    def _is_ours(self, case: Case) -> bool:
        """Tell whether nobody but the crew has moved `case`, and note who it belongs to."""
        if case.handling == "new" and (case.note or "").startswith(_BY_CITIZENS):
            self._kept.pop(case.id, None)
            return True
        kept = self._kept.get(case.id)
        if kept is None:
            if case.handling == "new" and case.note is None and case.assignee is None:
                return True
            if self._first and self._left_behind(case):
                self._keep(case.id, _Kept(case, parse_us(case.updated)))
                return True
        elif kept.case and (kept.case.handling, kept.case.assignee) == (case.handling, case.assignee):
            self._kept.move_to_end(case.id)
            return True
        if kept is None or kept.case:
            self._leave(case.id)
        else:
            self._kept.move_to_end(case.id)
        return False

    def _left_behind(self, case: Case) -> bool:
        """Tell whether a crew that ran before this one must have brought `case` to where it is."""
        if case.handling == "acknowledged":
            return case.assignee is None and case.note == TAKEN_UP
        team = team_of(case.category, case.ward, self._wards)
        return case.handling in ("assigned", "in_progress") and case.assignee == team

    def _leave(self, incident: str) -> None:
        self.counts.left += 1
        self._keep(incident, _THEIRS)

    def _keep(self, incident: str, kept: _Kept) -> None:
        self._kept[incident] = kept
        self._kept.move_to_end(incident)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)


def _after(time_us: int, seconds: float) -> int:
    return time_us + round(seconds * SECOND_US)
