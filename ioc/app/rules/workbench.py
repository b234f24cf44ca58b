"""What engineers do to rules in the browser: the same functions as `ioc rules …`, bounded."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import msgspec
import shapely.geometry

from ioc.api.ports import NotFoundError
from ioc.api.workbench_ports import (
    BacktestAsk,
    BacktestResult,
    BenchRefusedError,
    BenchRule,
    BenchRules,
    ChangeJson,
    Checked,
    DifferenceJson,
    EpisodeJson,
    InvalidTextError,
    Job,
    JobState,
    LoadJson,
    Push,
    RuleSource,
    StaleRuleError,
    Switch,
    TestsPlayed,
    WhyAsk,
)
from ioc.app.directory import Directory
from ioc.app.rules.cases import findings_of
from ioc.app.rules.jobs import RuleJob, RuleJobs
from ioc.app.rules.push import Plan, PushRefused, RulePublisher, RulesMovedError, plan_push
from ioc.app.rules.sets import RuleSet, RuleSets
from ioc.app.rules.tasks import Backtest, PlayTests, TaskRefusedError, Why
from ioc.app.rules.tests import FOLDER
from ioc.app.rules.trials import TRIAL_US
from ioc.app.rules.view import RunningRules
from ioc.app.settings.sections import RulesSettings
from ioc.eventlog.port import EventLog
from ioc.geo.index import WARD
from ioc.model.times import format_us, to_us
from ioc.rules.backtest import BUDGET_PER_OPERATOR_HOUR, Change
from ioc.rules.errors import InvalidRules
from ioc.rules.schema import parse_rules
from ioc.store.pool import Pool
from ioc.store.rule_rates import Rate, read_rates
from ioc.store.rule_versions import RuleItem, read_changes
from ioc.stream.masking import mask_text

MAX_FINDINGS: Final = 100
MAX_DIFF_LINES: Final = 2_000
MAX_TESTS_BYTES: Final = 200_000
_SLOW: Final = "slow"


@dataclass(frozen=True)
class _Tried:
    """What a backtest ran over."""

    trial: bool
    candidate: Sequence[tuple[str, str]]
    """Name and hash of each rule of the text."""
    base: Sequence[tuple[str, str | None]]
    """What was in force under their names."""


class RulesBench:
    """`ioc.api.workbench_ports.Workbench`."""

    def __init__(
        self,
        *,
        pool: Pool,
        dsn: str,
        log: EventLog,
        sets: RuleSets,
        directory: Directory,
        settings: RulesSettings,
        jobs: RuleJobs,
    ) -> None:
        self._pool = pool
        self._dsn = dsn
        self._sets = sets
        self._directory = directory
        self._settings = settings
        self._jobs = jobs
        self._publisher = RulePublisher(pool, log, sets)
        self._running = RunningRules(sets, pool)

    # reading ----------------------------------------------------------------------------------------------

    async def rules(self) -> BenchRules:
        """Return every rule with its state and rates."""
        infos = await self._running.rules()
        newest = await self._sets.newest()
        async with self._pool.connection() as connection:
            rates = await read_rates(connection)
        operators = self._settings.operators
        items = []
        for info in infos:
            rate = rates.get(info.rule, Rate(0, 0))
            item = newest.item(info.rule)
            items.append(
                BenchRule(
                    info=info,
                    slow=bool(item and not item.enabled and (item.reason or "").startswith(_SLOW)),
                    raised_day=rate.day,
                    raised_hour=rate.hour,
                    per_operator_hour=rate.hour / operators,
                )
            )
        return BenchRules(
            items=items, set_version=newest.version, budget=BUDGET_PER_OPERATOR_HOUR, operators=operators
        )

    async def source(self, rule: str) -> RuleSource:
        """Return a rule's text, its shadow's and its tests.

        Raises:
            NotFoundError: there is no such rule.
        """
        newest = await self._sets.newest()
        item = newest.item(rule) or newest.item(rule, "shadow")
        if item is None:
            raise NotFoundError(rule)
        tests = await anyio.to_thread.run_sync(self._tests_of, item.file)
        return _source(newest, item, tests)

    def _tests_of(self, file: str) -> str | None:
        path = self._settings.folder / FOLDER / Path(file).name
        try:
            return path.read_text("utf-8") if path.stat().st_size <= MAX_TESTS_BYTES else None
        except (OSError, UnicodeDecodeError):
            return None

    async def check(self, file: str, text: str) -> Checked:
        """Compile a text beside the rules in force, and compare it with what is in force of its file."""
        newest = await self._sets.newest()
        return await anyio.to_thread.run_sync(partial(self._check, newest, file, text))

    def _check(self, newest: RuleSet, file: str, text: str) -> Checked:
        found, wrong = parse_rules(file, text)
        names = [rule.name for rule in found]
        before = next(
            (item.text for item in newest.items if item.lane == "active" and item.rule in names), None
        )
        if before is None:
            before = next((item.text for item in newest.items if item.file == file), "")
        errors = tuple(wrong)
        if not wrong:
            try:
                plan_push(newest, {file: text}, self._directory.index, shadow=False)
            except InvalidRules as error:
                errors = error.errors
        return Checked(
            findings=findings_of(errors)[:MAX_FINDINGS], rules=names, diff=difference(before, text)
        )

    async def history(self, rule: str) -> list[ChangeJson]:
        """Return what changed, newest first, each with the difference to the text before it in its lane.

        Raises:
            NotFoundError: there is no such rule.
        """
        async with self._pool.connection() as connection:
            items = await read_changes(connection, rule)
        if not items:
            raise NotFoundError(rule)
        found = []
        for number, item in enumerate(items):
            older = items[number + 1 :]
            before = next((each.text for each in older if each.lane == item.lane), None)
            if before is None:
                before = next((each.text for each in older if each.lane == "active"), "")
            found.append(
                ChangeJson(
                    version=item.version,
                    at=format_us(to_us(item.at)),
                    author=item.author,
                    op="end_shadow" if item.lane == "shadow" and not item.enabled else item.op,
                    lane=item.lane,
                    enabled=item.enabled,
                    reason=item.reason,
                    accepted_flood=item.flood,
                    text=item.text,
                    diff=difference(before, item.text),
                )
            )
        return found

    # trying -----------------------------------------------------------------------------------------------

    async def play(self, author: str, file: str, text: str, tests: str) -> TestsPlayed:
        """Play tests against a text.

        Raises:
            BusyError: too much runs.
            BenchRefusedError: they took too long.
        """
        try:
            found = await self._jobs.quick(author, PlayTests(file=file, text=text, tests=tests))
        except TaskRefusedError as error:
            raise BenchRefusedError("tests", "time", str(error)) from error
        return msgspec.convert(found, TestsPlayed)

    async def start(self, author: str, ask: BacktestAsk) -> Job:
        """Begin a backtest.

        Raises:
            InvalidTextError: the text is no rule.
            BusyError: too much runs.
        """
        newest = await self._sets.newest()
        plan = await self._plan(newest, ask.file, ask.text, shadow=False)
        task = Backtest(
            **self._on_history(),
            texts={ask.file: ask.text},
            from_us=ask.from_us,
            to_us=ask.to_us,
            length_us=TRIAL_US,
        )
        return self._job(self._jobs.start(author, task, _tried(plan, ask.trial)))

    def job(self, author: str, job: str) -> Job:
        """Return one of somebody's backtests."""
        return self._job(self._jobs.get(author, job))

    def cancel(self, author: str, job: str) -> Job:
        """End one of somebody's backtests."""
        return self._job(self._jobs.cancel(author, job))

    async def why(self, author: str, ask: WhyAsk) -> dict[str, object]:
        """Explain why a rule did or did not fire; personal data in it is masked.

        Raises:
            InvalidTextError: the text is no rule.
            BenchRefusedError: there is no such rule.
            BusyError: too much runs.
        """
        texts = None
        if ask.file is not None and ask.text is not None:
            await self._plan(await self._sets.newest(), ask.file, ask.text, shadow=False)
            texts = {ask.file: ask.text}
        task = Why(**self._on_history(), texts=texts, rule=ask.rule, key=ask.key, at_us=ask.at_us)
        try:
            found = await self._jobs.quick(author, task)
        except TaskRefusedError as error:
            raise BenchRefusedError("rule", "known", str(error)) from error
        shown: dict[str, object] = _masked(found)
        return shown

    def _on_history(self) -> dict[str, Any]:
        rules = self._settings
        return {
            "dsn": self._dsn,
            "lateness_s": rules.lateness_s,
            "operators": rules.operators,
            "folder": str(rules.folder),
        }

    def _job(self, job: RuleJob) -> Job:
        return Job(
            id=job.id,
            state=job.state,
            trial=job.context.trial,
            share=job.share,
            events=job.events,
            started=format_us(int(job.started_s * 1_000_000)),
            error=job.error,
            no_history=job.no_history,
            result=None if job.result is None else self._result(job.result),
        )

    def _result(self, found: Mapping[str, Any]) -> BacktestResult:
        places = self._places()
        items = [
            _difference(str(change), item, places)
            for change in Change
            if change is not Change.SAME
            for item in found[change]
        ]
        return BacktestResult(
            start=found["from"],
            end=found["to"],
            events=found["events"],
            operators=found["operators"],
            budget=found["budget_per_operator_hour"],
            over_budget=found["over_budget"],
            loads=[_load(rule, load) for rule, load in found["rules"].items()],
            counts=found["counts"],
            items=sorted(items, key=_raised_at),
            failures={
                rule: f"{each['count']} × {each['message']}" for rule, each in found["failures"].items()
            },
        )

    def _places(self) -> dict[str, tuple[float, float]]:
        """Return where devices stand and where wards have their middle."""
        found: dict[str, tuple[float, float]] = {}
        for area in self._directory.index.members(WARD):
            middle = shapely.geometry.shape(area.geometry).representative_point()
            found[area.code] = (middle.x, middle.y)
        for device in self._directory.devices:
            if device.lon is not None and device.lat is not None:
                found[device.id] = (device.lon, device.lat)
        return found

    # changing ---------------------------------------------------------------------------------------------

    async def push(self, author: str, push: Push) -> int:
        """Store a text as the next version and announce it.

        What comes into force was tried first: `push.trial` names a finished trial of this very text against
        what is in force, and a flood needs a reason.

        Raises:
            InvalidTextError: the text is no rule.
            StaleRuleError: somebody has changed one of its rules since `expect_version`.
            BenchRefusedError: it changes nothing, was not tried, or would flood people.
        """
        newest = await self._sets.newest()
        plan = await self._plan(newest, push.file, push.text, shadow=push.shadow)
        for rule in [rule.name for rule in parse_rules(push.file, push.text)[0]]:
            _require_seen(newest, rule, push.expect_version)
        flood = None if push.shadow else self._judged(author, plan, push)
        try:
            return await self._publisher.push(plan, author=author, reason=push.reason, flood=flood)
        except RulesMovedError as error:
            raise StaleRuleError(None, str(error)) from error
        except PushRefused as error:
            raise BenchRefusedError("text", "differs", str(error)) from error

    def _judged(self, author: str, plan: Plan, push: Push) -> str | None:
        """Return the reason to store with a flood."""
        if not plan.rules:
            return None
        try:
            job = self._jobs.get(author, push.trial or "")
        except NotFoundError:
            job = None
        if job is None or job.state is not JobState.DONE or job.context != _tried(plan, trial=True):
            detail = (
                "Try this very text on the newest history first; its trial is missing, failed or outdated."
            )
            raise BenchRefusedError("trial", "trial", detail)
        floods = [] if job.result is None else job.result["over_budget"]
        if floods and push.accept_flood is None:
            detail = (
                f"More than {BUDGET_PER_OPERATOR_HOUR:g} alarms per person and hour: {', '.join(floods)}. "
                "Raise the threshold, try it as a shadow, or say why so many are right."
            )
            raise BenchRefusedError("accept_flood", "budget", detail)
        return push.accept_flood if floods else None

    async def switch(self, author: str, switch: Switch) -> int:
        """Disable or enable a rule, or end its shadow.

        Raises:
            StaleRuleError: somebody has changed it since `expect_version`.
            BenchRefusedError: there is nothing to switch.
            InvalidTextError: it does not compile any more.
        """
        _require_seen(await self._sets.newest(), switch.rule, switch.expect_version)
        try:
            return await self._publisher.switch(
                switch.rule,
                self._directory.index,
                on=switch.on,
                author=author,
                reason=switch.reason,
                lane="shadow" if switch.shadow else "active",
            )
        except RulesMovedError as error:
            raise StaleRuleError(None, str(error)) from error
        except PushRefused as error:
            raise BenchRefusedError("rule", "state", str(error)) from error
        except InvalidRules as error:
            raise InvalidTextError(findings_of(error.errors)) from error

    async def _plan(self, newest: RuleSet, file: str, text: str, *, shadow: bool) -> Plan:
        work = partial(plan_push, newest, {file: text}, self._directory.index, shadow=shadow)
        try:
            plan = await anyio.to_thread.run_sync(work)
        except InvalidRules as error:
            raise InvalidTextError(findings_of(error.errors)) from error
        if not plan.rules and not plan.changes and not parse_rules(file, text)[0]:
            raise BenchRefusedError("text", "empty", "There is no rule in this text.")
        return plan


def difference(before: str, after: str) -> list[str]:
    """Return the lines that differ between two texts, with some around them; empty where they are equal."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3)
    found = list(lines)[2:]  # names of files
    return found[:MAX_DIFF_LINES]


def _source(rules: RuleSet, item: RuleItem, tests: str | None) -> RuleSource:
    shadow = rules.item(item.rule, "shadow")
    running = shadow if shadow is not None and shadow.enabled else None
    return RuleSource(
        rule=item.rule,
        file=item.file,
        text=item.text,
        version=item.version,
        set_version=rules.version,
        hash=item.hash,
        enabled=item.enabled,
        author=item.author,
        at=format_us(to_us(item.at)),
        reason=item.reason,
        shadow_text=None if running is None else running.text,
        shadow_version=None if running is None else running.version,
        tests=tests,
    )


def _require_seen(newest: RuleSet, rule: str, version: int) -> None:
    for lane in ("active", "shadow"):
        item = newest.item(rule, lane)
        if item is not None and item.version > version:
            detail = f"{item.author} has changed {rule} meanwhile (version {item.version}: {item.op})."
            raise StaleRuleError(_source(newest, newest.item(rule) or item, None), detail)


def _tried(plan: Plan, trial: bool) -> _Tried:
    items = [(rule.name, rule.version) for rule in plan.rules]
    base = [(name, item.hash if (item := plan.base.item(name)) else None) for name, _ in items]
    return _Tried(trial, items, base)


def _masked(value: Any) -> Any:
    """Return plain data with what is personal in its texts masked."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, Sequence) else value


def _load(rule: str, load: Mapping[str, Any]) -> LoadJson:
    return LoadJson(
        rule=rule,
        alarms=load["alarms"],
        before=load["base"] and load["base"]["alarms"],
        per_operator_hour=load["per_operator_hour"],
        busiest_hour=load["busiest_hour"],
        verdict=load["verdict"],
    )


def _difference(
    change: str, item: Mapping[str, Any], places: Mapping[str, tuple[float, float]]
) -> DifferenceJson:
    either = item["candidate"] or item["base"]
    lon, lat = places.get(item["key"]) or places.get(either["ward"] or "") or (None, None)
    return DifferenceJson(
        change=change,
        rule=item["rule"],
        key=mask_text(item["key"]),
        base=_episode(item["base"]),
        candidate=_episode(item["candidate"]),
        shift_s=item["shift_s"],
        lon=lon,
        lat=lat,
    )


def _episode(found: Mapping[str, Any] | None) -> EpisodeJson | None:
    if found is None:
        return None
    shown = {**found, "summary": _masked(found["summary"])}
    return msgspec.convert(shown, EpisodeJson)


def _raised_at(item: DifferenceJson) -> str:
    either = item.candidate or item.base
    return "" if either is None else either.detected
