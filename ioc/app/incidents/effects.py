"""What rules want done, carried out on the stored incidents inside the transaction of the log position."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.errors import SerializationFailure, UniqueViolation

from ioc.incidents.effects import DEFAULT, on_effect, on_grouping, on_member_change
from ioc.incidents.grouping import group
from ioc.incidents.policies import GroupingPolicy, Policies, length_of
from ioc.incidents.proof import came_back, longest_return_us, returned
from ioc.incidents.proof_policy import ProofPolicy
from ioc.model.incidents import Change, Cleared, Condition, Effect, Incident, Raised
from ioc.model.times import from_us
from ioc.store import incidents as rows

LEAST_DEGREE_M: Final = 110_000.0
"""A degree of latitude is nowhere shorter: boxes are rather too large than too small."""


async def apply_effects(
    connection: AsyncConnection[Any], effects: Sequence[Effect], policies: Policies = DEFAULT
) -> list[Change]:
    """Carry out the effects of rules inside the caller's transaction and return what changed.

    A key may come from another partition than before, for instance when a camera's ward was corrected. That
    partition's episode is then over: it is cleared where the new one is raised.

    Raises:
        psycopg.errors.SerializationFailure: another partition raised one of the keys in the same instant; the
            same may succeed in a moment.
    """
    raised = [effect for effect in effects if isinstance(effect, Raised)]
    keys = [(effect.rule, effect.key) for effect in raised]
    ids = [effect.incident_id for effect in effects]
    if raised:
        ids += await rows.read_active_ids(connection, keys)
        ids += await _around(connection, raised, policies.grouping)
        ids += await _ended(connection, raised, policies.proof)
    work = _Work(await rows.lock_groups(connection, ids), policies)
    for effect in work.with_rivals_cleared(effects):
        work.apply(effect)
    try:
        await rows.write_changes(connection, work.changes)
    except UniqueViolation as error:
        raise SerializationFailure("another partition raised the same key in the same instant") from error
    return work.changes


async def _around(
    connection: AsyncConnection[Any], raised: Sequence[Raised], policy: GroupingPolicy
) -> list[str]:
    """Return the ids of what the new alarms may belong to, and perhaps of more: `group` decides."""
    wards = sorted({effect.ward for effect in raised if effect.ward is not None})
    if not wards or not policy.enabled:
        return []
    wide = [item for item in policy.correlations if item.metres is None]
    spans = [policy.within, *(correlation.within for correlation in policy.correlations)]
    within_us = max(length_of(span).us for span in spans)
    around = rows.Around(
        wards=tuple(wards),
        since=from_us(min(effect.at_us for effect in raised) - within_us),
        until=from_us(max(effect.at_us for effect in raised) + within_us),
        box=box_around(
            [effect.lon for effect in raised if effect.lon is not None],
            [effect.lat for effect in raised if effect.lat is not None],
            max([policy.metres, *(item.metres or 0 for item in policy.correlations)]),
        ),
        rules=tuple(rule for item in wide for rule in item.rules),
        categories=tuple(category for item in wide for category in item.categories),
    )
    return await rows.read_around(connection, around)


async def _ended(
    connection: AsyncConnection[Any], raised: Sequence[Raised], policy: ProofPolicy
) -> list[str]:
    """Return the ids of what was resolved and the new alarms may show not to be over."""
    within_us = longest_return_us(policy)
    if not within_us:
        return []
    since = from_us(min(effect.at_us for effect in raised) - within_us)
    return await rows.read_ended_ids(connection, [(effect.rule, effect.key) for effect in raised], since)


def box_around(
    lons: Sequence[float], lats: Sequence[float], metres: float
) -> tuple[float, float, float, float] | None:
    """Return a box (west, south, east, north in degrees) that holds everything within `metres` of points."""
    if not lons or not lats:
        return None
    margin = metres / LEAST_DEGREE_M
    wider = margin / max(0.01, math.cos(math.radians(max(map(abs, lats)))))
    return min(lons) - wider, min(lats) - margin, max(lons) + wider, max(lats) + margin


class _Work:
    """The incidents of one transaction, as its effects change them one by one."""

    def __init__(self, known: dict[str, Incident], policies: Policies) -> None:
        self.changes: list[Change] = []
        self._known = known
        self._policies = policies
        self._active = {(i.rule, i.key): i.id for i in known.values() if i.condition is Condition.ACTIVE}

    def with_rivals_cleared(self, effects: Sequence[Effect]) -> Iterator[Effect]:
        """Yield `effects`, before each new episode the end of the one it replaces."""
        for effect in effects:
            if isinstance(effect, Raised) and effect.incident_id not in self._known:
                rival = self._active.get((effect.rule, effect.key))
                if rival and self._known[rival].condition is Condition.ACTIVE:
                    yield Cleared(incident_id=rival, at_us=effect.at_us, reason="superseded", count=0)
                self._active[effect.rule, effect.key] = effect.incident_id
            yield effect

    def apply(self, effect: Effect) -> None:
        """Carry out one effect and what follows from it for groups."""
        before = self._known.get(effect.incident_id)
        change = on_effect(before, effect, self._policies)
        if change is None:
            return
        if before is None:
            self._take(self._grouped(change))
            return
        self._take([change])
        head = self._known.get(before.merged_into or "")
        if head is not None:
            self._take(on_member_change(change.incident, head, self._policies, before))

    def _grouped(self, raised: Change) -> Sequence[Change]:
        around = list(self._known.values())
        back = came_back(raised.incident, around, self._policies)
        if back is not None:
            known = self._known | {back.incident.id: back.incident}
            return [back, *on_grouping(raised, returned(back, raised.incident), known, self._policies)]
        grouping = group(raised.incident, around, self._policies.grouping)
        if grouping is None:
            return [raised]
        return on_grouping(raised, grouping, self._known, self._policies)

    def _take(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._known[change.incident.id] = change.incident
        self.changes += changes
