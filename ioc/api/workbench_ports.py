"""What the rules workbench shows and does; `ioc.app.rules.workbench.Workbench` is one."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from ioc.api.ports import RuleInfo
from ioc.model.texts import Text


class BenchRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of the list. `slow`: it was switched off because it took too long."""

    info: RuleInfo
    slow: bool
    raised_day: int
    """Incidents of the last 24 hours."""
    raised_hour: int
    """Of the last hour."""
    per_operator_hour: float
    """Those of the last hour for each person on duty."""


class BenchRules(msgspec.Struct, frozen=True, kw_only=True):
    """Every rule, and the budget of alarms for a person and hour."""

    items: list[BenchRule]
    set_version: int
    budget: float
    operators: int


class RuleSource(msgspec.Struct, frozen=True, kw_only=True):
    """One rule as it is stored. `version` is the numbered one that changed it last."""

    rule: str
    file: str
    text: str
    version: int
    set_version: int
    """The newest of all versions: what a push says it has seen."""
    hash: str
    enabled: bool
    author: str
    at: str
    reason: str | None
    shadow_text: str | None
    shadow_version: int | None
    tests: str | None
    """Its tests in the rules folder; None where there are none."""


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong with a text; `line` and `column` count from 1."""

    line: int
    column: int
    message: str
    suggestion: str | None = None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a text is worth. `diff` is against what is in force: lines that begin with a sign or `@@`."""

    findings: list[Finding]
    rules: list[str]
    diff: list[str]


class EventMark(msgspec.Struct, frozen=True):
    """One event of a test: when it happened, when it arrived (seconds from the start), and what it says."""

    at_s: float
    arrives_s: float
    source: str
    words: str


class EffectMark(msgspec.Struct, frozen=True):
    """Something expected or seen."""

    what: str
    rule: str
    key: str | None
    at_s: float
    severity: str | None


class Compared(msgspec.Struct, frozen=True):
    """One line of the comparison; both sides and no note where they agree."""

    line: int | None
    expected: str | None
    seen: str | None
    note: str


class CaseOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One test as it was played. `events` are cut at a bound; `events_total` counts all."""

    name: str
    line: int
    passed: bool
    until_s: float
    events: list[EventMark]
    events_total: int
    expected: list[EffectMark]
    seen: list[EffectMark]
    comparison: list[Compared]


class TestsPlayed(msgspec.Struct, frozen=True, kw_only=True):
    """The tests of one text; with findings nothing was played. `in_rule`: they are the rule's."""

    findings: list[Finding]
    in_rule: bool
    cases: list[CaseOutcome]


class JobState(StrEnum):
    """Where a backtest stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EpisodeJson(msgspec.Struct, frozen=True):
    """One incident that a rule would have raised."""

    opened: str
    detected: str
    cleared: str | None
    severity: str
    ward: str | None
    summary: Text


class DifferenceJson(msgspec.Struct, frozen=True, kw_only=True):
    """One difference; `base` is of the rule in force, `candidate` of the text tried."""

    change: str
    rule: str
    key: str
    base: EpisodeJson | None
    candidate: EpisodeJson | None
    shift_s: float
    lon: float | None = None
    lat: float | None = None


class LoadJson(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule asks of the people on duty; `before` counts the alarms of the one in force."""

    rule: str
    alarms: int
    before: int | None
    per_operator_hour: float | None
    busiest_hour: float
    verdict: str


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest found. `counts` count everything, `items` are cut at a bound."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    events: int
    operators: int
    budget: float
    over_budget: list[str]
    loads: list[LoadJson]
    counts: dict[str, int]
    items: list[DifferenceJson]
    failures: dict[str, str]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest. `trial`: over the newest history, as activation asks for."""

    id: str
    state: JobState
    trial: bool
    share: float
    events: int
    started: str
    error: str | None = None
    no_history: bool = False
    """There is nothing to try it on; a trial counts all the same."""
    result: BacktestResult | None = None


class BacktestAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. None: the hour before the newest event."""

    file: str
    text: str
    from_us: int | None = None
    to_us: int | None = None
    trial: bool = False


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A text to put into force; `expect_version` is the newest its author has seen."""

    file: str
    text: str
    expect_version: int
    shadow: bool
    reason: str
    trial: str | None = None
    accept_flood: str | None = None


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """A rule to disable or enable, or a shadow to end."""

    rule: str
    on: bool
    shadow: bool
    expect_version: int
    reason: str


class Pushed(msgspec.Struct, frozen=True):
    """The version that has been stored."""

    version: int


class ChangeJson(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a rule, with its text and the difference to the one before."""

    version: int
    at: str
    author: str
    op: str
    lane: str
    enabled: bool
    reason: str | None
    accepted_flood: str | None
    text: str
    diff: list[str]


class WhyAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What to explain; `text` None explains the rule in force."""

    rule: str
    key: str
    at_us: int
    file: str | None = None
    text: str | None = None


class InvalidTextError(Exception):
    """A text is no rule; every finding is there."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = list(findings)


class StaleRuleError(Exception):
    """Somebody has changed the rule meanwhile; `present` is what is in force."""

    def __init__(self, present: RuleSource | None, detail: str) -> None:
        super().__init__(detail)
        self.present = present


class BenchRefusedError(Exception):
    """What was asked for is not done; `field` and `rule` say why."""

    def __init__(self, field: str, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.rule = rule


class BusyError(Exception):
    """As much runs as may; the same request may succeed later."""


class Workbench(Protocol):
    """Everything the page does. `author` is the name of whoever asks."""

    async def rules(self) -> BenchRules:
        """Return every rule with its state and rates."""

    async def source(self, rule: str) -> RuleSource:
        """Return a rule's text. NotFoundError."""

    async def check(self, file: str, text: str) -> Checked:
        """Compile a text and compare it with what is in force."""

    async def play(self, author: str, file: str, text: str, tests: str) -> TestsPlayed:
        """Play tests against a text. BusyError."""

    async def start(self, author: str, ask: BacktestAsk) -> Job:
        """Begin a backtest. InvalidTextError, BusyError."""

    def job(self, author: str, job: str) -> Job:
        """Return one of somebody's backtests. NotFoundError."""

    def cancel(self, author: str, job: str) -> Job:
        """End one of somebody's backtests. NotFoundError."""

    async def push(self, author: str, push: Push) -> int:
        """Store the next version. InvalidTextError, StaleRuleError, BenchRefusedError."""

    async def switch(self, author: str, switch: Switch) -> int:
        """Disable, enable, or end a shadow. StaleRuleError, BenchRefusedError, InvalidTextError."""

    async def history(self, rule: str) -> list[ChangeJson]:
        """Return what changed, newest first. NotFoundError."""

    async def why(self, author: str, ask: WhyAsk) -> dict[str, object]:
        """Explain. InvalidTextError, BenchRefusedError, BusyError."""
