"""A workbench with one rule: remembers what it was told, refuses what a test wants refused."""

from dataclasses import dataclass, field

from ioc.api.ports import NotFoundError, RuleInfo
from ioc.api.workbench_ports import (
    BacktestAsk,
    BenchRule,
    BenchRules,
    ChangeJson,
    Checked,
    Job,
    JobState,
    Push,
    RuleSource,
    Switch,
    TestsPlayed,
    WhyAsk,
)
from ioc.model.texts import Text

RULE = "underpass-jam"
AT = "2026-11-28T00:00:00Z"
SOURCE = RuleSource(
    rule=RULE,
    file="jam.yaml",
    text="rule: underpass-jam",
    version=3,
    set_version=5,
    hash="a",
    enabled=True,
    author="an",
    at=AT,
    reason=None,
    shadow_text=None,
    shadow_version=None,
    tests=None,
)


@dataclass
class FakeWorkbench:
    """`ioc.api.workbench_ports.Workbench`. `failing` is raised by whatever is asked next."""

    failing: Exception | None = None
    told: list[object] = field(default_factory=list)

    def _do(self, *what: object) -> None:
        self.told.append(what)
        if self.failing is not None:
            raise self.failing

    async def rules(self) -> BenchRules:
        info = RuleInfo(rule=RULE, title=Text("a", "a"), version="a", severity="high", enabled=True)
        rule = BenchRule(info=info, slow=False, raised_day=4, raised_hour=2, per_operator_hour=2.0)
        return BenchRules(items=[rule], set_version=3, budget=6.0, operators=1)

    async def source(self, rule: str) -> RuleSource:
        if rule != RULE:
            raise NotFoundError(rule)
        return SOURCE

    async def check(self, file: str, text: str) -> Checked:
        self._do(file, text)
        return Checked(findings=[], rules=[RULE], diff=[])

    async def play(self, author: str, file: str, text: str, tests: str) -> TestsPlayed:
        self._do(author, file, text, tests)
        return TestsPlayed(findings=[], in_rule=False, cases=[])

    async def start(self, author: str, ask: BacktestAsk) -> Job:
        self._do(author, ask)
        return self.job(author, "1")

    def job(self, _author: str, job: str) -> Job:
        return Job(id=job, state=JobState.RUNNING, trial=False, share=0.5, events=10, started=AT)

    def cancel(self, author: str, job: str) -> Job:
        return self.job(author, job)

    async def push(self, author: str, push: Push) -> int:
        self._do(author, push)
        return 4

    async def switch(self, author: str, switch: Switch) -> int:
        self._do(author, switch)
        return 4

    async def history(self, rule: str) -> list[ChangeJson]:
        if rule != RULE:
            raise NotFoundError(rule)
        return []

    async def why(self, author: str, ask: WhyAsk) -> dict[str, object]:
        self._do(author, ask)
        return {"rule": ask.rule, "fired": False}
