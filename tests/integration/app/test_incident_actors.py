"""Three people act on the same incidents at once, on the real store: nothing is lost, doubled or illegal."""

import asyncio
import itertools
from collections import Counter
from contextlib import AsyncExitStack

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ioc.app.clock import now_us
from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.service import IncidentService
from ioc.incidents.commands import TRANSITIONS, Command, Conflict, KeyReused, Op, Refused
from ioc.incidents.policies import Policies
from ioc.model.incidents import Cleared, Condition, Handling, Incident, PauseReason, Severity
from ioc.model.times import DAY_US, HOUR_US, SECOND_US
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from tests.integration.app.test_incident_service import NOW_US, raised

NAMES = {"25747": "Phường Thủ Dầu Một", "25750": "Phường Phú Lợi"}
POLICIES = Policies(ward_names=NAMES)
ACTORS = ("an", "binh", "cuong")
_examples = itertools.count()
SEVERITIES = st.sampled_from(list(Severity))


class Actors(RuleBasedStateMachine):
    """Each actor acts on what they saw last, which others may have changed meanwhile."""

    dsns: Dsns

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.seen: dict[str, dict[str, Incident]] = {actor: {} for actor in ACTORS}
        self.ids: list[str] = []
        self.done: Counter[tuple[str, str, Op]] = Counter()
        self.sent: list[tuple[str, str, Command]] = []
        self.keys = itertools.count()
        # History cannot be deleted, so each example has a day of its own, on which grouping sees no other.
        self.example = next(_examples)
        self.begin_us = NOW_US + self.example * DAY_US
        self.pool = self.runner.run(self.stack.enter_async_context(open_pool(self.dsns.app, name="actors")))
        self.service = IncidentService(self.pool, lambda: POLICIES)

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    @rule(severity=SEVERITIES, far=st.booleans())
    def something_happens(self, severity: Severity, far: bool) -> None:
        number = len(self.ids)
        effect = raised(
            self.begin_us + number * SECOND_US,
            key=f"cam-{self.example}-{number}",
            severity=severity,
            lon=106.65,
            lat=11.0 + number if far else 11.0,
        )
        self.runner.run(self.apply(effect))
        self.ids.append(effect.incident_id)

    @precondition(lambda self: self.ids)
    @rule(which=st.integers(0, 20))
    def something_ends(self, which: int) -> None:
        incident = self.ids[which % len(self.ids)]
        self.runner.run(
            self.apply(Cleared(incident_id=incident, at_us=self.begin_us, reason="hold", count=1))
        )

    async def apply(self, effect: object) -> None:
        async with self.pool.connection() as connection, connection.transaction():
            await apply_effects(connection, [effect], POLICIES)  # type: ignore[list-item]

    @precondition(lambda self: self.ids)
    @rule(actor=st.sampled_from(ACTORS))
    def an_actor_looks(self, actor: str) -> None:
        self.seen[actor] = {incident.id: incident for incident, _ in self.runner.run(self.histories())}

    @precondition(lambda self: any(self.seen.values()))
    @rule(
        wishes=st.tuples(
            *[st.tuples(st.sampled_from(list(Op)), st.integers(0, 20), st.integers(0, 20))] * len(ACTORS)
        ),
    )
    def three_act_at_once(self, wishes: tuple[tuple[Op, int, int], ...]) -> None:
        wanted = []
        for actor, (op, which, other) in zip(ACTORS, wishes, strict=True):
            known = list(self.seen[actor].values())
            if known:
                incident, into = known[which % len(known)], known[other % len(known)]
                wanted.append((actor, incident, self.command(op, incident, into)))
        outcomes = self.runner.run(self.act_together(wanted))
        winners: Counter[tuple[str, int]] = Counter()
        for (actor, incident, command), outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, Incident):
                assert outcome.rev == command.expect_rev + 1
                winners[incident.id, command.expect_rev] += 1
                self.done[actor, incident.id, command.op] += 1
                self.sent.append((actor, incident.id, command))
                self.seen[actor][incident.id] = outcome
            elif isinstance(outcome, Conflict):
                assert outcome.current.rev > command.expect_rev, "it carries the present state"
                self.seen[actor][incident.id] = outcome.current
            else:
                assert outcome.rule
        assert all(count == 1 for count in winners.values()), "two acted on one revision"

    def command(self, op: Op, incident: Incident, into: Incident) -> Command:
        first = incident.checklist.open[0] if incident.checklist and incident.checklist.open else None
        return Command(
            op=op,
            expect_rev=incident.rev,
            idem=f"key-{self.example}-{next(self.keys)}",
            assignee=f"Tổ {next(self.keys)}",
            note="ghi chú",
            ward="25750" if incident.ward == "25747" else "25747",
            into=into.id if op is Op.MERGE else None,
            until_us=now_us() + HOUR_US,
            reason=PauseReason.PARTS,
            step=first.id if first else "nothing",
            answer=first.answers[next(self.keys) % len(first.answers)] if first and first.answers else None,
            override="hết ca" if next(self.keys) % 3 == 0 else None,
        )

    async def act_together(
        self, wanted: list[tuple[str, Incident, Command]]
    ) -> list[Incident | Conflict | Refused]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.act(actor, i.id, command)) for actor, i, command in wanted]
        return [task.result() for task in tasks]

    async def act(self, actor: str, incident: str, command: Command) -> Incident | Conflict | Refused:
        try:
            return await self.service.command(incident, command, actor, supervises=actor == ACTORS[0])
        except (Conflict, Refused) as outcome:
            return outcome

    @rule(which=st.integers(0, 50), changed=st.booleans())
    def a_command_is_sent_again(self, which: int, changed: bool) -> None:
        if not self.sent:
            return
        actor, incident, command = self.sent[which % len(self.sent)]
        again = msgspec.structs.replace(command, note="khác") if changed else command
        outcome = self.runner.run(self.act(actor, incident, again))
        assert isinstance(outcome, KeyReused if changed else Incident)

    @invariant()
    def the_history_tells_all_and_only_what_happened(self) -> None:
        for incident, audits in self.runner.run(self.histories()):
            assert [audit.rev for audit in audits] == list(range(1, incident.rev + 1))
            states = [audit.before for audit in audits[1:]]
            assert states == [audit.after for audit in audits[:-1]], "each row begins where the last ended"
            assert audits[-1].after == incident.handling
            own = [audit for audit in audits if audit.actor in ACTORS and "with" not in audit.details]
            for audit in own:
                if audit.op in set(Op):
                    assert audit.before in TRANSITIONS[Op(audit.op)].sources
            told = Counter((a.actor, incident.id, Op(a.op)) for a in own if a.op in set(Op))
            assert told == Counter({key: n for key, n in self.done.items() if key[1] == incident.id})

    @invariant()
    def nothing_ends_with_a_step_open_but_by_a_supervisors_reason(self) -> None:
        for incident, audits in self.runner.run(self.histories()):
            assert incident.checklist is not None
            taken = [each.step for each in incident.checklist.taken]
            assert len(taken) == len(set(taken)), "one entry a step, whoever was first"
            begun = max((audit.rev for audit in audits if audit.op == "reopen"), default=0)
            told = {a.details["step"] for a in audits[begun:] if a.op in ("step", "skip")}
            assert set(taken) == told, "the history tells every step"
            if incident.handling is Handling.RESOLVED and incident.checklist.open:
                ended = next(audit for audit in reversed(audits) if audit.op == "resolve")
                assert ended.actor == ACTORS[0] and ended.details["to"] == "supervisor"
                assert incident.level >= 1

    @invariant()
    def groups_are_whole(self) -> None:
        incidents = {incident.id: incident for incident, _ in self.runner.run(self.histories())}
        for incident in incidents.values():
            members = [other for other in incidents.values() if other.merged_into == incident.id]
            assert incident.members == len(members)
            assert incident.members_active == sum(m.condition is Condition.ACTIVE for m in members)
            assert (incident.handling is Handling.MERGED) == (incident.merged_into is not None)
            assert all(member.ward == incident.ward for member in members)

    async def histories(self) -> list[tuple[Incident, list]]:  # type: ignore[type-arg]
        return [(await self.service.get(each), await self.service.history(each)) for each in self.ids]


@pytest.mark.slow
def test_three_people_at_once_lose_double_and_break_nothing(database: Dsns) -> None:
    class OnThisDatabase(Actors):
        dsns = database

    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
