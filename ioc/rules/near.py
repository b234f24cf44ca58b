"""Correlation rules: an event of ours and one of another stream, close in space and time.

They must share the key (by default the ward, by which the log is partitioned, so the answer does not depend
on the number of partitions), lie at most `metres` apart and less than `within`, whichever comes first.
Bounds: `MAX_KEPT` events of each side per key; beyond them the oldest is forgotten and counted.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from ioc.geo.zones import metres_between
from ioc.model.events import Event
from ioc.model.incidents import Evidence
from ioc.model.times import SECOND_US
from ioc.rules.columns import EventColumns
from ioc.rules.explain import Finding, duration_texts, number_texts
from ioc.rules.ordered import OrderedMachine, Roles
from ioc.rules.predicate import Predicate
from ioc.rules.rule import Nearby
from ioc.rules.state import NearState, Seen, Waiting

MAX_KEPT: Final = 100
OURS, OTHER = 1, 2


class NearMachine(OrderedMachine[NearState]):
    """One correlation rule."""

    @property
    def _near(self) -> Nearby:
        assert self.rule.near is not None
        return self.rule.near

    @cached_property
    def predicates(self) -> Sequence[Predicate]:
        """Every predicate the rule asks."""
        return tuple(item for item in (self.rule.where, self._near.where) if item is not None)

    def roles(self, kind: str, columns: EventColumns) -> Roles:
        """Return which side each event is on; it may be both."""
        roles = np.zeros(columns.size, dtype=np.int64)
        for side, types, where in (
            (OURS, self.rule.types, self.rule.where),
            (OTHER, self._near.types, self._near.where),
        ):
            if kind in types:
                roles |= side if where is None else columns.holds(where).astype(np.int64) * side
        scope = columns.within(self.compiled.fence, self.rule.wards)
        # area and ward are about our events; the other may lie just outside
        return roles if scope is None else np.where(scope, roles, roles & OTHER)

    def _fresh(self) -> NearState:
        return NearState()

    def _wait(self, event: Event, time_us: int, role: int) -> Waiting | None:
        if event.lon is None or event.lat is None:
            return None
        seen = Seen(event.source, event.ward, event.lon, event.lat, {})
        if role & OURS:
            seen = self._explainer.seen(event)
        return Waiting(time_us, 0, role, event.id, seen)

    def _apply(self, key: str, state: NearState, items: Sequence[Waiting], at_us: int) -> None:
        for item in items:
            pairs = [(item, other) for other in state.others] if item.role & OURS else []
            pairs += [(ours, item) for ours in state.ours] if item.role & OTHER else []
            found = [(_metres(ours, other), n) for n, (ours, other) in enumerate(pairs)]
            if found and min(found)[0] <= self._near.metres:
                metres, number = min(found)
                self._meet(key, state, *pairs[number], metres, item.time_us, at_us)
            for side, kept in ((OURS, state.ours), (OTHER, state.others)):
                if item.role & side:
                    kept.append(item)
                    if len(kept) > MAX_KEPT:
                        del kept[0]
                        self.counters.overflowed += 1

    def _meet(
        self, key: str, state: NearState, ours: Waiting, other: Waiting, metres: float,
        when_us: int, at_us: int,
    ) -> None:  # fmt: skip
        apart_us = abs(ours.time_us - other.time_us)
        limits = self._near.metres, self._near.within_us
        far, at_most = number_texts(round(metres)), number_texts(limits[0])
        apart, within = duration_texts(apart_us), duration_texts(limits[1])
        finding = Finding(
            (
                Evidence(name="distance", value=round(metres, 1), op="<=", threshold=limits[0], unit="m"),
                Evidence(
                    name="apart",
                    value=apart_us / SECOND_US,
                    op="<",
                    threshold=limits[1] / SECOND_US,
                    unit="s",
                ),
                Evidence(name="other", value=other.seen.source),
            ),
            f"cách {other.seen.source} {far[0]} m (ngưỡng ≤ {at_most[0]}), {apart[0]} (ngưỡng < {within[0]})",
            f"{far[1]} m from {other.seen.source} (threshold ≤ {at_most[1]}), {apart[1]} apart "
            f"(threshold < {within[1]})",
        )
        ids = [item.id for item in sorted((ours, other), key=lambda item: item.time_us)]
        self._fire(
            key,
            state,
            ours.seen,
            ids,
            finding,
            opened_us=when_us,
            when_us=when_us,
            at_us=at_us,
            measured=metres,
        )

    def _turn_us(self, state: NearState) -> int | None:
        oldest_us = min((kept[0].time_us for kept in (state.ours, state.others) if kept), default=None)
        return None if oldest_us is None else oldest_us + self._near.within_us

    def _turn(self, key: str, state: NearState, turn_us: int, at_us: int) -> None:
        over_us = turn_us - self._near.within_us
        state.ours = [item for item in state.ours if item.time_us > over_us]
        state.others = [item for item in state.others if item.time_us > over_us]

    def _remembers(self, state: NearState) -> bool:
        return bool(state.ours or state.others)


def _metres(a: Waiting, b: Waiting) -> float:
    assert a.seen.lon is not None
    assert a.seen.lat is not None
    assert b.seen.lon is not None
    assert b.seen.lat is not None
    return metres_between(a.seen.lon, a.seen.lat, b.seen.lon, b.seen.lat)
