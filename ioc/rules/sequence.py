"""Sequence rules: steps that one key takes in order, all within a time.

A sequence is complete at an event of the last step when events of the earlier steps precede it, each strictly
later than the one before, and the first less than `within` earlier. Other events in between do not matter. Of
all ways to have taken k steps only the one that began last is kept: whatever completes another completes it
too. So the partial matches of a key are at most the steps less one, and none is missed. A completion forgets
them all, also those it did not need, and the other events of its moment: the next sequence begins after it.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ioc.model.events import Event
from ioc.model.incidents import Evidence
from ioc.model.times import SECOND_US
from ioc.rules.columns import EventColumns
from ioc.rules.explain import Finding, duration_texts
from ioc.rules.ordered import OrderedMachine, Roles
from ioc.rules.predicate import Predicate
from ioc.rules.state import Partial, SequenceState, Waiting


class SequenceMachine(OrderedMachine[SequenceState]):
    """One sequence rule."""

    @cached_property
    def predicates(self) -> Sequence[Predicate]:
        """Every predicate the rule asks."""
        assert self.rule.sequence is not None
        return tuple(step.where for step in self.rule.sequence.steps)

    def roles(self, kind: str, columns: EventColumns) -> Roles:
        """Return for each event the steps it can be, bit by bit."""
        assert self.rule.sequence is not None
        roles = np.zeros(columns.size, dtype=np.int64)
        for number, step in enumerate(self.rule.sequence.steps):
            if kind in step.types:
                roles |= columns.holds(step.where).astype(np.int64) << number
        scope = columns.within(self.compiled.fence, self.rule.wards)
        return roles if scope is None else np.where(scope, roles, 0)

    def _fresh(self) -> SequenceState:
        return SequenceState()

    def _wait(self, event: Event, time_us: int, role: int) -> Waiting:
        return Waiting(time_us, 0, role, event.id, self._explainer.seen(event))

    def _apply(self, key: str, state: SequenceState, items: Sequence[Waiting], at_us: int) -> None:
        assert self.rule.sequence is not None
        last = len(self.rule.sequence.steps) - 1
        before = {partial.taken: partial for partial in state.partials}
        best = dict(before)  # events of one moment never follow each other
        for item in items:
            if item.role >> last & 1 and last in before:
                self._complete(key, state, before[last], item, at_us)
                return
            for number in range(last):
                if not item.role >> number & 1:
                    continue
                taken = Partial(1, item.time_us, [item.id])
                if number:
                    earlier = before.get(number)
                    if earlier is None:
                        continue
                    taken = Partial(number + 1, earlier.began_us, [*earlier.ids, item.id])
                known = best.get(taken.taken)
                if known is None or taken.began_us >= known.began_us:
                    best[taken.taken] = taken
        state.partials = [best[taken] for taken in sorted(best)]

    def _complete(self, key: str, state: SequenceState, earlier: Partial, item: Waiting, at_us: int) -> None:
        assert self.rule.sequence is not None
        steps, within_us = self.rule.sequence.steps, self.rule.sequence.within_us
        span_s = (item.time_us - earlier.began_us) / SECOND_US
        limit = duration_texts(within_us)
        span = duration_texts(item.time_us - earlier.began_us)
        evidence = [Evidence(name=f"step {n}", value=step.where.text) for n, step in enumerate(steps, 1)]
        evidence.append(
            Evidence(name="span", value=span_s, op="<", threshold=within_us / SECOND_US, unit="s")
        )
        finding = Finding(
            tuple(evidence),
            f"đủ {len(steps)} bước theo thứ tự trong {span[0]} (ngưỡng < {limit[0]})",
            f"{len(steps)} steps in order within {span[1]} (threshold < {limit[1]})",
        )
        state.partials = []
        self._fire(
            key,
            state,
            item.seen,
            [*earlier.ids, item.id],
            finding,
            opened_us=item.time_us,
            when_us=item.time_us,
            at_us=at_us,
            measured=span_s,
        )

    def _turn_us(self, state: SequenceState) -> int | None:
        assert self.rule.sequence is not None
        began_us = min((partial.began_us for partial in state.partials), default=None)
        return None if began_us is None else began_us + self.rule.sequence.within_us

    def _turn(self, key: str, state: SequenceState, turn_us: int, at_us: int) -> None:
        assert self.rule.sequence is not None
        over_us = turn_us - self.rule.sequence.within_us
        state.partials = [partial for partial in state.partials if partial.began_us > over_us]

    def _remembers(self, state: SequenceState) -> bool:
        return bool(state.partials)
