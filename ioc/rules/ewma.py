"""Early warning: `ewma_z(x)` is how many standard deviations a reading lies from what is usual for its key.

The usual mean and variance are weighted by age: a reading's weight falls to 1/e within the rule's window. A
reading is judged before it is learnt, and learnt as at most three deviations away, so that one outlier does
not become usual. There is no verdict before both halves of the warm-up are over: `at least` readings are
learnt (30 if not stated) and the key's first reading is `after` old (no such time if not stated). A deviation
below 1 % of the mean counts as 1 %, so that a constant signal does not warn of noise. After an episode the
key rests for `cooldown`, the refractory time (10 min if not stated). What is usual is forgotten after
`FORGET_WINDOWS` windows without a reading: then the warm-up begins again. Bounds: five numbers per key.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from ioc.model.events import Event
from ioc.model.incidents import Evidence
from ioc.rules.columns import EventColumns
from ioc.rules.compile import CompiledRule
from ioc.rules.explain import Finding, number_texts
from ioc.rules.machine import NEVER_US
from ioc.rules.ordered import OrderedMachine, Roles
from ioc.rules.predicate import Predicate
from ioc.rules.predicate.values import number_reader
from ioc.rules.rule import FORGET_WINDOWS, Having, reaches
from ioc.rules.state import EwmaState, Waiting

MOST_LEARNT_Z: Final = 3.0
LEAST_DEVIATION: Final = 0.01


class EwmaMachine(OrderedMachine[EwmaState]):
    """One early-warning rule."""

    def __init__(self, compiled: CompiledRule, *, max_keys: int, watermark_us: int = NEVER_US) -> None:
        super().__init__(compiled, max_keys=max_keys, watermark_us=watermark_us)
        argument = self._having.argument
        assert argument is not None
        self._read = number_reader(argument)

    @property
    def _having(self) -> Having:
        assert self.rule.having is not None
        return self.rule.having

    @property
    def predicates(self) -> Sequence[Predicate]:
        """Every predicate the rule asks."""
        return () if self.rule.where is None else (self.rule.where,)

    def roles(self, kind: str, columns: EventColumns) -> Roles:
        """Return 1 for the readings the rule learns from."""
        where = self.rule.where
        mask = np.ones(columns.size, dtype=np.bool_) if where is None else columns.holds(where)
        scope = columns.within(self.compiled.fence, self.rule.wards)
        return (mask if scope is None else mask & scope).astype(np.int64)

    def _fresh(self) -> EwmaState:
        return EwmaState()

    def _wait(self, event: Event, time_us: int, role: int) -> Waiting | None:
        number = self._read(event)
        if not math.isfinite(number):
            return None
        return Waiting(time_us, 0, role, event.id, self._explainer.seen(event), number)

    def _apply(self, key: str, state: EwmaState, items: Sequence[Waiting], at_us: int) -> None:
        for item in items:
            deviation = max(math.sqrt(state.variance), LEAST_DEVIATION * abs(state.mean))
            z = state.z = (item.number - state.mean) / deviation if deviation else 0.0
            having = self._having
            warm = state.n >= having.samples and item.time_us - state.since_us >= having.warm_up_us
            if warm and reaches(z, having.op, having.threshold):
                self._warn(key, state, item, z, deviation, at_us)
            self._learn(state, item, deviation)

    def _learn(self, state: EwmaState, item: Waiting, deviation: float) -> None:
        number = item.number
        if not state.n:
            state.since_us = item.time_us
        if state.n >= self._having.samples and deviation:
            most = MOST_LEARNT_Z * deviation
            number = min(max(number, state.mean - most), state.mean + most)
        aged = 1 - math.exp(-max(item.time_us - state.read_us, 0) / self._having.window_us)
        # while there are few readings each weighs as much as any other
        weight = max(aged, 1 / (state.n + 1)) if state.n < self._having.samples else aged
        delta = number - state.mean
        state.mean += weight * delta
        state.variance = (1 - weight) * (state.variance + weight * delta * delta)
        state.n, state.read_us = state.n + 1, item.time_us

    def _warn(
        self, key: str, state: EwmaState, item: Waiting, z: float, deviation: float, at_us: int
    ) -> None:
        mean, spread, read = number_texts(state.mean), number_texts(deviation), number_texts(item.number)
        finding = Finding(
            (
                Evidence(name="reading", value=item.number),
                Evidence(name="usual mean", value=state.mean),
                Evidence(name="usual deviation", value=deviation),
            ),
            f"đo được {read[0]}, thường là {mean[0]} ± {spread[0]}",
            f"measured {read[1]}, usually {mean[1]} ± {spread[1]}",
        )
        self._fire(
            key,
            state,
            item.seen,
            [item.id],
            finding,
            opened_us=item.time_us,
            when_us=item.time_us,
            at_us=at_us,
            measured=z,
        )

    def _turn_us(self, state: EwmaState) -> int | None:
        return state.read_us + FORGET_WINDOWS * self._having.window_us if state.n else None

    def _turn(self, key: str, state: EwmaState, turn_us: int, at_us: int) -> None:
        state.mean, state.variance, state.n, state.read_us, state.since_us = 0.0, 0.0, 0, 0, 0

    def _remembers(self, state: EwmaState) -> bool:
        return state.n > 0
