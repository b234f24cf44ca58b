"""The rules as people see them: what is stored beside what the workers report of it."""

from collections.abc import Iterable, Mapping, Sequence

from ioc.api.ports import NotFoundError, RuleInfo, ShadowDiff, ShadowInfo
from ioc.app.rules.partition import COUNTED
from ioc.app.rules.sets import RuleSet, RuleSets
from ioc.model.times import format_us, to_us
from ioc.rules.backtest import Difference, compare
from ioc.rules.rule import Rule
from ioc.store.pool import Pool
from ioc.store.rule_shadow import Firing, count_firings, read_firings, read_raised
from ioc.store.rule_state import PartitionStatus, RuleReport, read_status
from ioc.store.rule_versions import RuleItem


class RunningRules:
    """`ioc.api.ports.Rules`."""

    def __init__(self, rules: RuleSets, pool: Pool) -> None:
        self._rules = rules
        self._pool = pool

    async def rules(self) -> Sequence[RuleInfo]:
        """Return every rule with its state."""
        rules = await self._rules.newest()
        async with self._pool.connection() as connection:
            status = await read_status(connection)
            raised = await count_firings(connection)
        return describe(rules, status, raised)

    async def shadow(self, rule: str) -> Sequence[ShadowDiff]:
        """Compare what a shadow would have raised with what the active rule raised since it began.

        Raises:
            NotFoundError: the rule has no shadow.
        """
        item = (await self._rules.newest()).item(rule, "shadow")
        if item is None:
            raise NotFoundError(rule)
        async with self._pool.connection() as connection:
            shadow = await read_firings(connection, rule, item.hash)
            since_us = min([to_us(item.at), *(firing.detected_us for firing in shadow)])
            active = await read_raised(connection, rule, since_us)
        until_us = max((firing.detected_us for firing in (*shadow, *active)), default=0)
        return [_shown(difference) for difference in compare(active, shadow, until_us=until_us)]


def _shown(difference: Difference) -> ShadowDiff:
    base, candidate = difference.base, difference.candidate
    either = candidate or base
    assert isinstance(either, Firing)
    return ShadowDiff(
        change=str(difference.change),
        key=difference.key,
        ward=either.ward,
        shadow=None if candidate is None else format_us(candidate.detected_us),
        active=None if base is None else format_us(base.detected_us),
        shift_s=difference.shift_us / 1e6,
        summary=either.summary,
    )


def describe(
    rules: RuleSet,
    status: Mapping[tuple[str, int], PartitionStatus],
    shadow_raised: Mapping[tuple[str, str], int],
) -> list[RuleInfo]:
    """Return what is known of every rule, over all partitions of both topics."""
    running = min((report.version for report in status.values()), default=rules.version)
    refused = next((report.error for report in status.values() if report.error), None)
    texts = {rule.name: rule for rule in rules.active}
    trials = {rule.name: rule for rule in rules.shadow}
    found = []
    for item in rules.items:
        rule = texts.get(item.rule) or trials.get(item.rule)
        if rule is None or (item.lane == "shadow" and item.rule in texts):
            continue
        shadow = rules.item(item.rule, "shadow")
        reports = [s.active[item.rule] for s in status.values() if item.rule in s.active]
        found.append(
            _info(item, rule, reports, running, refused, _shadow(shadow, status.values(), shadow_raised))
        )
    return found


def _info(
    item: RuleItem,
    rule: Rule,
    reports: Sequence[RuleReport],
    running: int,
    refused: str | None,
    shadow: ShadowInfo | None,
) -> RuleInfo:
    failed = next((r for r in reports if r.disabled), None) or next((r for r in reports if r.error), None)
    off = None if item.enabled else item.reason or "disabled"
    on = item.lane == "active" and rule.enabled and not (failed and failed.disabled)
    waits = refused if item.version > running or refused else None
    return RuleInfo(
        rule=item.rule,
        title=rule.title,
        version=item.hash,
        severity=str(rule.severity),
        wide=rule.wide,
        enabled=on,
        error=off or (failed.error if failed else None) or waits,
        set_version=item.version,
        running=running,
        author=item.author,
        failures=sum(r.failures for r in reports),
        seconds=round(sum(r.seconds for r in reports), 6),
        keys=sum(r.keys for r in reports),
        unwatched=sum(r.unwatched for r in reports),
        **{name: sum(getattr(r, name) for r in reports) for name in COUNTED},
        shadow=shadow,
    )


def _shadow(
    item: RuleItem | None,
    status: Iterable[PartitionStatus],
    raised: Mapping[tuple[str, str], int],
) -> ShadowInfo | None:
    if item is None or not item.enabled:
        return None
    reports = [s.shadow[item.rule] for s in status if item.rule in s.shadow]
    return ShadowInfo(
        version=item.hash,
        set_version=item.version,
        author=item.author,
        raised=raised.get((item.rule, item.hash), 0),
        failures=sum(r.failures for r in reports),
        error=next((r.error for r in reports if r.error), None),
        seconds=round(sum(r.seconds for r in reports), 6),
    )
