"""Changing the rules: compile first, then store a version, then tell every partition through the log."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ioc.app.near_names import no_such
from ioc.app.rules.sets import RuleSet, RuleSets, announce
from ioc.eventlog.port import EventLog
from ioc.geo.index import AreaIndex
from ioc.model.times import HOUR_US, SECOND_US
from ioc.rules.compile import Program, compile_rules
from ioc.rules.errors import InvalidRules, RuleError
from ioc.rules.rule import Rule
from ioc.rules.schema import parse_rules
from ioc.store.audit import Area, record
from ioc.store.pool import Pool
from ioc.store.rule_state import read_status
from ioc.store.rule_versions import Lane, NewChange, NewVersion, Op, RuleItem, add_version, lock_versions

MAX_WARM_US: Final = 24 * HOUR_US
"""Most of the past that rules run over before they go live: as long as the longest window."""

PATIENCE_S: Final = 20.0
"""Without progress for so long nobody waits for a switch any more: workers report every five seconds."""
FOLLOW_S: Final = 0.2


class PushRefused(Exception):
    """The rules stay as they are; the message says why and what to do."""


class UnknownRuleError(PushRefused):
    """There is no such rule, or no such version of the rules."""


class RulesMovedError(PushRefused):
    """Somebody has changed the rules since the plan was made."""


@dataclass(frozen=True)
class Plan:
    """A change that compiles, made against one version."""

    base: RuleSet
    op: Op
    changes: Sequence[NewChange]
    rules: Sequence[Rule]
    """Those pushed that are new or differ."""
    candidate: Program
    """`rules` alone, compiled."""
    current: Program
    """What runs now under their names, compiled."""


def plan_push(base: RuleSet, files: Mapping[str, str], index: AreaIndex, *, shadow: bool) -> Plan:
    """Return what pushing `files` (name → text) onto `base` changes. Nothing is stored.

    Raises:
        InvalidRules: with every finding; the rules in force are not touched.
    """
    lane: Lane = "shadow" if shadow else "active"
    given: list[Rule] = []
    errors: list[RuleError] = []
    for name, text in sorted(files.items()):
        found, wrong = parse_rules(name, text)
        given += found
        errors += wrong
    if errors:
        raise InvalidRules(errors)
    names = {rule.name for rule in given}
    kept = [rule for rule in (base.shadow if shadow else base.active) if rule.name not in names]
    compile_rules([*kept, *given], index)
    new = [rule for rule in given if _differs(base.item(rule.name, lane), rule)]
    changes = [NewChange(rule.name, lane, rule.file, files[rule.file], rule.version) for rule in new]
    if not shadow:
        # What was on trial is decided: its shadow ends with the switch.
        trials = [base.item(rule.name, "shadow") for rule in given]
        changes += [_copy(item, enabled=False) for item in trials if item is not None and item.enabled]
    current = [rule for rule in base.active if rule.name in {rule.name for rule in new}]
    return Plan(
        base=base,
        op="shadow" if shadow else "push",
        changes=changes,
        rules=new,
        candidate=compile_rules(new, index),
        current=compile_rules(current, index),
    )


def _differs(item: RuleItem | None, rule: Rule) -> bool:
    return item is None or not item.enabled or item.hash != rule.version


def _copy(item: RuleItem, *, enabled: bool) -> NewChange:
    return NewChange(item.rule, item.lane, item.file, item.text, item.hash, enabled)


async def follow_switch(pool: Pool, version: int, progress: Callable[[float, int], None]) -> bool:
    """Wait until every partition runs `version`, telling the share done; False where no worker gets on.

    Partitions that no worker has reported on yet are not waited for.
    """
    share, moved_s = -1.0, time.monotonic()
    while time.monotonic() - moved_s < PATIENCE_S:
        async with pool.connection() as connection:
            reports = (await read_status(connection)).values()
        if not reports:
            return False
        done = [1.0 if report.version >= version else report.warming or 0.0 for report in reports]
        if sum(done) / len(done) > share:
            share, moved_s = sum(done) / len(done), time.monotonic()
            progress(share, 0)
        if all(report.version >= version for report in reports):
            return True
        await asyncio.sleep(FOLLOW_S)
    return False


class RulePublisher:
    """Stores versions and announces them. `log.run()` must be running."""

    def __init__(self, pool: Pool, log: EventLog, sets: RuleSets) -> None:
        self._pool = pool
        self._log = log
        self._sets = sets

    async def push(
        self,
        plan: Plan,
        *,
        author: str,
        reason: str | None = None,
        flood: str | None = None,
        warm_us: int = 0,
    ) -> int:
        """Store the plan as the next version, announce it and return its number.

        Args:
            plan: what changes.
            author: who does it.
            reason: why.
            flood: why more alarms than the budget are right.
            warm_us: how much of the log's past new and reshaped rules run over first; whole seconds.

        Raises:
            PushRefused: the rules have changed since the plan was made, it changes nothing, or `warm_us` is
                beyond `MAX_WARM_US`.
        """
        if not 0 <= warm_us <= MAX_WARM_US:
            raise PushRefused(f"warm: at most {MAX_WARM_US // HOUR_US} h of the log")
        if not plan.changes:
            raise PushRefused("nothing differs from the running rules")
        new = NewVersion(
            author=author,
            op=plan.op,
            changes=plan.changes,
            reason=reason,
            flood=flood,
            warm_s=warm_us // SECOND_US,
        )
        return await self._store(plan.base, new)

    async def switch(
        self, rule: str, index: AreaIndex, *, on: bool, author: str, reason: str | None, lane: Lane = "active"
    ) -> int:
        """Disable or enable a rule, or end its shadow, as the next version.

        Enabling also forgets the failures that switched a rule off by itself.

        Raises:
            PushRefused: there is no such rule, or it is off already.
            InvalidRules: it does not compile any more.
        """
        base = await self._sets.newest()
        item = base.item(rule, lane)
        if item is None or (lane == "shadow" and not item.enabled):
            known = {i.rule for i in base.items if i.lane == lane and (i.enabled or lane == "active")}
            raise UnknownRuleError(no_such("shadow of a rule" if lane == "shadow" else "rule", rule, known))
        if not on and not item.enabled:
            raise PushRefused(f"rule {rule!r} is disabled already: {item.reason or 'no reason given'}")
        if on:
            alone, errors = parse_rules(item.file, item.text)
            if errors:
                raise InvalidRules(errors)
            compile_rules([found for found in alone if found.name == rule], index)
        op: Op = "enable" if on else "disable"
        changes = [_copy(item, enabled=on)]
        return await self._store(base, NewVersion(author=author, op=op, changes=changes, reason=reason))

    async def _store(self, base: RuleSet, new: NewVersion) -> int:
        async with self._pool.connection() as connection, connection.transaction():
            if await lock_versions(connection) != base.version:
                raise RulesMovedError("somebody has changed the rules meanwhile; repeat the command")
            version = await add_version(connection, new)
            rules = ", ".join(sorted({change.rule for change in new.changes}))
            told = [(f"rules_{new.op}", new.reason)]
            told += [] if new.flood is None else [("flood_accepted", new.flood)]
            for op, reason in told:
                details = {"version": version, "reason": reason}
                await record(connection, Area.ACCESS, actor=new.author, op=op, subject=rules, details=details)
        await announce(self._pool, self._log)
        return version
