"""Trying rules on the past: what the command line and the workbench both do before anything is in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from ioc.app.directory import Directory
from ioc.app.near_names import no_such
from ioc.app.rules.backtest import Backtester, NoHistoryError, Progress, Report
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.push import Plan, PushRefused, UnknownRuleError
from ioc.app.rules.report import Explained
from ioc.app.rules.sets import RuleSet, RuleSets
from ioc.geo.index import AreaIndex
from ioc.model.times import HOUR_US, format_us
from ioc.rules.backtest import BUDGET_PER_OPERATOR_HOUR
from ioc.rules.compile import Program, compile_rules, load
from ioc.rules.rule import Rule
from ioc.store.pool import Pool

TRIAL_US: Final = HOUR_US
"""How much of the newest history rules are tried on before they come into force."""

Against = int | Mapping[str, str] | Literal["current", "none"]
"""What to compare with: a version, other texts, the rules in force, or nothing."""


@dataclass(frozen=True)
class Trials:
    """Runs rules over stored history. Writes nothing."""

    pool: Pool
    directory: Directory
    lateness_s: float
    operators: int
    folder: Path
    """Whose rules are in force where none have been stored yet."""

    @property
    def _backtester(self) -> Backtester:
        return Backtester(self.pool, self.directory, self.lateness_s, self.operators)

    @property
    def _index(self) -> AreaIndex:
        return self.directory.index

    async def backtest(
        self,
        texts: Mapping[str, str],
        against: Against,
        from_us: int | None,
        to_us: int | None,
        length_us: int,
        progress: Progress,
    ) -> Report:
        """Run `texts` and what they are compared with over [from, to), by default the newest `length_us`.

        Raises:
            InvalidRules: the texts do not compile.
            NoHistoryError: history holds nothing of that time.
            UnknownRuleError: there is no version `against`.
        """
        candidate = load(texts, self._index)
        names = {rule.name for rule in candidate.declared}
        base = await self._base(against, names)
        span = await self._backtester.span(candidate.declared, from_us, to_us, length_us)
        return await self._backtester.run(candidate, base, span, progress)

    async def _base(self, against: Against, names: set[str]) -> Program | None:
        if against == "none":
            return None
        if isinstance(against, Mapping):
            return load(against, self._index)
        rules = (await self._version(against)).active if isinstance(against, int) else None
        active = await self.running() if rules is None else rules
        return compile_rules([rule for rule in active if rule.name in names], self._index)

    async def _version(self, number: int) -> RuleSet:
        sets = RuleSets(self.pool)
        newest = (await sets.newest()).version
        if not 1 <= number <= newest:
            raise UnknownRuleError(f"there is no version {number} of the rules; the newest is {newest}")
        return await sets.get(number)

    async def tried(self, plan: Plan, length_us: int, progress: Progress) -> Report | None:
        """Run what a plan changes over the newest `length_us`; None where there is no history."""
        try:
            span = await self._backtester.span(plan.rules, None, None, length_us)
        except NoHistoryError:
            return None
        return await self._backtester.run(plan.candidate, plan.current, span, progress)

    async def running(self) -> Sequence[Rule]:
        """Return the rules in force: those of the folder where none have been imported yet."""
        newest = await RuleSets(self.pool).newest()
        return newest.active if newest.version else RuleFolder(self.folder).rules

    async def why(self, rule: str, key: str, at_us: int, texts: Mapping[str, str] | None) -> Explained:
        """Explain a rule in force, or of `texts`, for a key at a moment.

        Raises:
            UnknownRuleError: there is no such rule.
            InvalidRules: the texts do not compile.
        """
        off = None
        if texts is not None:
            program = load(texts, self._index)
        else:
            item = (await RuleSets(self.pool).newest()).item(rule, "active")
            off = (item.reason or "disabled") if item is not None and not item.enabled else None
            running = await self.running()
            rules = [replace(r, enabled=True) for r in running if r.name == rule]
            if not rules:
                raise UnknownRuleError(no_such("rule", rule, {each.name for each in running}))
            program = compile_rules(rules, self._index)
        compiled = next((item for item in program.rules if item.rule.name == rule), None)
        if compiled is None:
            raise UnknownRuleError(f"{', '.join(texts or ())} holds no enabled rule {rule!r}")
        return Explained(await self._backtester.why(program, compiled.rule, key, at_us), off)


def flood_reason(report: Report | None, accepted: str | None) -> str | None:
    """Return the reason to store with a flood.

    Raises:
        PushRefused: the budget is exceeded and nobody said why that is right.
    """
    if report is None or not report.floods:
        return None
    if accepted and accepted.strip():
        return accepted
    lines = [
        f"{rule}: {report.loads[rule].busiest_hour:g} alarms in the busiest hour per operator"
        for rule in report.floods
    ]
    raise PushRefused(
        f"more than {BUDGET_PER_OPERATOR_HOUR:g} alarms per operator and hour on the history of "
        f"{format_us(report.span.from_us)} to {format_us(report.span.to_us)}; the running rules stay\n"
        + "\n".join(lines)
        + "\nraise the threshold, try it with --shadow, or give --accept-flood REASON"
    )
