"""Fence rules: what one subject does at the border of areas, position by position.

    inside      open while the subject is in an area
    dwells 90s  open once it has been in the same area so long, until it leaves
    enters, leaves, crosses     at the transition; `crosses` also sees a leg that passes through unseen

A move from one area straight into another is a leave, then an entry; at equal times a position outside is
applied before one inside. A subject stays inside until it is `margin_m` beyond the border. Its first position
makes no transition with `initial: unknown`; with `initial: outside` it is an entry. After `lost` without a
position the subject is forgotten and its episode cleared. Bounds: one state per subject; a leg longer than
5 min is not drawn.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ioc.geo.zones import Zones
from ioc.model.events import Event
from ioc.model.incidents import Evidence
from ioc.model.times import MINUTE_US, SECOND_US
from ioc.rules.columns import EventColumns
from ioc.rules.explain import Finding, duration_texts
from ioc.rules.ordered import OrderedMachine, Roles
from ioc.rules.predicate import Predicate
from ioc.rules.rule import FenceWatch
from ioc.rules.state import FenceState, Waiting

MAX_LEG_US: Final = 5 * MINUTE_US
_TEXTS: Final = {
    "inside": ("ở trong {}", "inside {}"),
    "dwells": ("ở trong {} từ {} (ngưỡng {})", "inside {} for {} (threshold {})"),
    "enters": ("vào {}", "entered {}"),
    "leaves": ("rời {}", "left {}"),
    "crosses": ("qua ranh {}", "crossed the border of {}"),
}


class FenceMachine(OrderedMachine[FenceState]):
    """One fence rule."""

    @property
    def _watch(self) -> FenceWatch:
        assert self.rule.fence is not None
        return self.rule.fence

    @property
    def _zones(self) -> Zones:
        assert self.compiled.zones is not None
        return self.compiled.zones

    @property
    def predicates(self) -> Sequence[Predicate]:
        """Every predicate the rule asks."""
        return () if self.rule.where is None else (self.rule.where,)

    def roles(self, kind: str, columns: EventColumns) -> Roles:
        """Return 1 for the positions the rule follows."""
        where = self.rule.where
        mask = np.ones(columns.size, dtype=np.bool_) if where is None else columns.holds(where)
        scope = columns.within(None, self.rule.wards)
        return (mask if scope is None else mask & scope).astype(np.int64)

    def _fresh(self) -> FenceState:
        return FenceState()

    def _wait(self, event: Event, time_us: int, role: int) -> Waiting | None:
        if event.lon is None or event.lat is None:
            return None
        inside = self._zones.code_of(event.lon, event.lat) is not None
        return Waiting(time_us, int(inside), role, event.id, self._explainer.seen(event))

    def _apply(self, key: str, state: FenceState, items: Sequence[Waiting], at_us: int) -> None:
        for item in items:
            self._move(key, state, item, at_us)

    def _move(self, key: str, state: FenceState, item: Waiting, at_us: int) -> None:
        lon, lat = item.seen.lon, item.seen.lat
        assert lon is not None
        assert lat is not None
        known = state.place is not None or self._watch.initial == "outside"
        before = state.inside
        code = self._zones.code_of(lon, lat, before)
        passed = self._passed(state, item, before, code)
        state.place, state.seen_us, state.position = (lon, lat), item.time_us, item
        when = self._watch.when
        if before is not None and code != before:
            self._leave(key, state, item, before, at_us)
        if code is not None and code != before:
            state.inside, state.entered_us = code, item.time_us
            if known and when in ("enters", "crosses"):
                self._happened(key, state, item, code, at_us)
        for other in passed if when == "crosses" else ():
            self._happened(key, state, item, other, at_us)
        if code is not None:
            self._stay(key, state, item, code, at_us)

    def _passed(
        self, state: FenceState, item: Waiting, before: str | None, code: str | None
    ) -> Sequence[str]:
        if state.place is None or self._watch.when != "crosses" or item.time_us - state.seen_us > MAX_LEG_US:
            return ()
        assert item.seen.lon is not None
        assert item.seen.lat is not None
        cut = self._zones.cut(*state.place, item.seen.lon, item.seen.lat)
        return [other for other in cut if other not in (before, code)]

    def _leave(self, key: str, state: FenceState, item: Waiting, before: str, at_us: int) -> None:
        state.inside = None
        if self._watch.when in ("leaves", "crosses"):
            self._happened(key, state, item, before, at_us)
        elif self._watch.lasting and state.episode is not None:
            state.ends_us = item.time_us
            if not self.rule.hold_us:
                self._end(key, state, "left", item.time_us, at_us)

    def _stay(self, key: str, state: FenceState, item: Waiting, code: str, at_us: int) -> None:
        going_on = state.episode is not None and state.ends_us is None
        long_enough = item.time_us - state.entered_us >= self._watch.dwell_us
        if self._watch.lasting and (long_enough or going_on):
            self._happened(key, state, item, code, at_us)

    def _happened(
        self, key: str, state: FenceState, item: Waiting, code: str, at_us: int, when_us: int | None = None
    ) -> None:
        watch, name = self._watch, self._zones.name(code)
        moment_us = item.time_us if when_us is None else when_us
        evidence = [Evidence(name="fence", value=code, op=watch.when)]
        inside_us = moment_us - state.entered_us
        vi, en = _TEXTS[watch.when]
        stayed, limit = duration_texts(inside_us), duration_texts(watch.dwell_us)
        if watch.when == "dwells":
            threshold = watch.dwell_us / SECOND_US
            evidence.append(
                Evidence(name="inside", value=inside_us / SECOND_US, op=">=", threshold=threshold, unit="s")
            )
        self._fire(
            key,
            state,
            item.seen,
            [item.id],
            Finding(
                tuple(evidence),
                vi.format(name.vi, stayed[0], limit[0]),
                en.format(name.en, stayed[1], limit[1]),
            ),
            opened_us=state.entered_us if watch.lasting else moment_us,
            when_us=moment_us,
            at_us=at_us,
            measured=inside_us / SECOND_US if watch.lasting else None,
        )

    # time -------------------------------------------------------------------------------------------------

    def _end_us(self, state: FenceState) -> int | None:
        if not self._watch.lasting:
            return super()._end_us(state)
        return None if state.episode is None or state.ends_us is None else state.ends_us + self.rule.hold_us

    def _turn_us(self, state: FenceState) -> int | None:
        if state.place is None:
            return None
        lost_us = state.seen_us + self._watch.lost_us
        if self._watch.when != "dwells" or state.inside is None or state.episode is not None:
            return lost_us
        dwelt_us = state.entered_us + self._watch.dwell_us
        if state.cool_us is not None:
            dwelt_us = max(dwelt_us, state.cool_us)
        return min(lost_us, dwelt_us)

    def _turn(self, key: str, state: FenceState, turn_us: int, at_us: int) -> None:
        if turn_us < state.seen_us + self._watch.lost_us:
            assert state.inside is not None
            assert state.position is not None
            self._happened(key, state, state.position, state.inside, at_us, turn_us)
            return
        if self._watch.lasting and state.episode is not None:
            self._end(key, state, "no further positions", turn_us, at_us)
        state.inside = state.place = state.position = None

    def _remembers(self, state: FenceState) -> bool:
        return state.place is not None
