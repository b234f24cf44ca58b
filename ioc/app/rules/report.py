"""What the commands on rules print: tables for people, plain data for programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from ioc.api.ports import RuleInfo, ShadowDiff
from ioc.app.rules.backtest import Report
from ioc.model.times import MINUTE_US, SECOND_US, format_us
from ioc.rules.backtest import (
    BUDGET_PER_OPERATOR_HOUR,
    MIN_JUDGED_US,
    Change,
    Difference,
    Episode,
    Verdict,
)
from ioc.rules.explain import duration_texts
from ioc.rules.explain_why import Check, Explanation

__all__ = ["Explained", "RuleInfo", "ShadowDiff", "as_json", "progress", "show", "show_why", "why_json"]


@dataclass(frozen=True)
class Explained:
    """An explanation, and why the rule is off where it is."""

    explanation: Explanation
    off: str | None


class _Pace(ProgressColumn):
    """Events a second; nothing where no events are counted."""

    def render(self, task: Task) -> Text:
        if not task.fields["events"] or not task.elapsed:
            return Text("")
        return Text(f"{task.fields['events'] / task.elapsed:,.0f} events/s")


@contextmanager
def progress(quiet: bool, what: str = "backtest") -> Iterator[Callable[[float, int], None]]:
    """Yield a function that is told the share done and the events read, and moves a bar on standard error.

    The bar shows share, events a second and the time that remains, and is gone at the end. There is none when
    `quiet`, or where standard error is no terminal.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        _Pace(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(what, total=1.0, events=0)
        yield lambda share, events: bar.update(task, completed=share, events=events)


# backtest -------------------------------------------------------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    """Return a backtest's report as plain data."""
    by_change: dict[Change, list[Difference]] = {change: [] for change in Change}
    for difference in report.differences:
        by_change[difference.change].append(difference)
    return {
        "from": format_us(report.span.from_us),
        "to": format_us(report.span.to_us),
        "span_s": (report.span.to_us - report.span.from_us) / SECOND_US,
        "events": report.events,
        "operators": report.operators,
        "budget_per_operator_hour": BUDGET_PER_OPERATOR_HOUR,
        "over_budget": report.floods,
        "rules": {
            rule: {
                **asdict(load),
                "over_budget": load.over_budget,
                "verdict": load.verdict,
                "base": asdict(report.base_loads[rule]) if rule in report.base_loads else None,
            }
            for rule, load in report.loads.items()
        },
        "same": len(by_change[Change.SAME]),
        **{
            str(change): [_difference(item) for item in by_change[change]]
            for change in Change
            if change is not Change.SAME
        },
        "failures": {
            rule: {"count": failure.count, "message": failure.message}
            for rule, failure in report.failures.items()
        },
    }


_VERDICTS: Final[Mapping[Verdict, str]] = {
    "over": f"[red]over {BUDGET_PER_OPERATOR_HOUR:g}[/]",
    "within": "within",
    "too short": f"not judged: under {MIN_JUDGED_US // MINUTE_US} min",
}


def _difference(item: Difference) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "key": item.key,
        "base": _episode(item.base),
        "candidate": _episode(item.candidate),
        "shift_s": item.shift_us / SECOND_US,
    }


def _episode(episode: object) -> dict[str, Any] | None:
    if not isinstance(episode, Episode):
        return None
    return {
        "opened": format_us(episode.opened_us),
        "detected": format_us(episode.detected_us),
        "cleared": None if episode.cleared_us is None else format_us(episode.cleared_us),
        "severity": episode.severity,
        "ward": episode.ward,
        "summary": {"vi": episode.why.summary.vi, "en": episode.why.summary.en},
    }


def show(report: Report, out: Console) -> None:
    """Print a backtest's report."""
    out.print(
        f"{format_us(report.span.from_us)} – {format_us(report.span.to_us)} "
        f"({duration_texts(report.span.to_us - report.span.from_us)[1]}), "
        f"{report.events:,} events, {report.operators} on duty"
    )
    loads = Table("rule", "alarms", "before", "per operator-hour", "busiest hour", "budget")
    for rule, load in report.loads.items():
        before = report.base_loads.get(rule)
        loads.add_row(
            rule,
            str(load.alarms),
            "–" if before is None else str(before.alarms),
            "–" if load.per_operator_hour is None else f"{load.per_operator_hour:.2f}",
            f"{load.busiest_hour:g}",
            _VERDICTS[load.verdict],
        )
    out.print(loads)
    same = sum(item.change is Change.SAME for item in report.differences)
    changed = [item for item in report.differences if item.change is not Change.SAME]
    counts = ", ".join(
        f"{sum(item.change is change for item in changed)} {change}"
        for change in Change
        if change is not Change.SAME
    )
    out.print(f"{counts}, {same} the same")
    if changed:
        table = Table("change", Column("raised", no_wrap=True), "shift", "rule", "key", "what")
        for item in changed:
            shift = f"{item.shift_us / SECOND_US:+.0f} s" if item.shift_us else ""
            episode = item.candidate or item.base
            what = episode.why.summary.vi if isinstance(episode, Episode) else ""
            table.add_row(str(item.change), format_us(item.at_us), shift, item.rule, item.key, what)
        out.print(table)
    for rule, failure in report.failures.items():
        out.print(f"[red]failed:[/] {rule}: {failure.count} ×, {failure.message}")


# rules ----------------------------------------------------------------------------------------------------


def rules_table(rules: Sequence[RuleInfo]) -> Table:
    """Return the rules with what is known of them."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))  # narrow: 80 characters are enough
    for name in ("rule", "version", "state", "severity"):
        table.add_column(name, no_wrap=True)
    for name in ("matched", "raised"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("note")
    for rule in rules:
        waiting = rule.set_version > rule.running
        state = "waiting" if waiting else "on" if rule.enabled else "[red]off[/]"
        table.add_row(
            rule.rule,
            f"{rule.set_version} · {rule.version[:8]}",
            state,
            rule.severity,
            str(rule.matched),
            str(rule.raised),
            "; ".join(note for note in (*_notes(rule), _left_out(rule)) if note),
        )
    return table


def _notes(rule: RuleInfo) -> Iterator[str]:
    if rule.wide:
        yield "wide"
    if rule.error:
        yield rule.error
    if rule.failures:
        yield f"failures {rule.failures}"
    if rule.shadow:
        trial = rule.shadow
        yield f"shadow {trial.set_version} · {trial.version[:8]} would have raised {trial.raised}"
    yield f"{rule.seconds:.3f} s"


def _left_out(rule: RuleInfo) -> str:
    """Return what of a rule's events did not count, and why."""
    names = ("late", "amended", "cooled", "unkeyed", "overflowed", "evicted", "unwatched")
    return ", ".join(f"{name} {count}" for name in names if (count := getattr(rule, name)))


def shadow_table(items: Sequence[ShadowDiff]) -> Table:
    """Return a shadow's episodes beside the active rule's."""
    table = Table("change", "key", "shadow", "active", "shift", "what")
    for item in items:
        shift = f"{item.shift_s:+.0f} s" if item.shift_s else ""
        table.add_row(item.change, item.key, item.shadow or "–", item.active or "–", shift, item.summary.vi)
    return table


# why ------------------------------------------------------------------------------------------------------


def why_json(found: Explained) -> dict[str, Any]:
    """Return an explanation as plain data."""
    explanation = found.explanation
    return {
        "rule": explanation.rule,
        "version": explanation.version,
        "key": explanation.key,
        "at": format_us(explanation.at_us),
        "fired": explanation.fired,
        "condition": explanation.condition,
        "disabled": found.off,
        "checks": [asdict(check) for check in explanation.checks],
        "failed": [check.condition for check in explanation.failed],
        "episode": _episode(explanation.episode),
        "episodes": [_episode(episode) for episode in explanation.episodes],
        "other_keys": list(explanation.other_keys),
    }


def show_why(found: Explained, out: Console) -> None:
    """Print an explanation."""
    explanation = found.explanation
    head = f"{explanation.rule} · {explanation.key} · {format_us(explanation.at_us)}"
    if explanation.episode is not None:
        episode = explanation.episode
        raised = format_us(episode.detected_us)
        out.print(f"{head}: [bold]fired[/], raised {raised}, since {format_us(episode.opened_us)}")
        out.print(f"  {episode.why.summary.vi}\n  {episode.why.summary.en}", markup=False)
    else:
        out.print(f"{head}: [bold]did not fire[/] ({explanation.condition})")
    if found.off:
        out.print(f"[red]The rule is disabled:[/] {found.off}. What follows is what it would have seen.")
    table = Table("", "condition", "value", "asked", "short by", "detail")
    for check in explanation.checks:
        table.add_row("[green]✓[/]" if check.held else "[red]✗[/]", *_cells(check))
    out.print(table)
    if explanation.other_keys:
        out.print(f"Keys the rule did see: {', '.join(explanation.other_keys)}")
    for earlier in explanation.episodes:
        if earlier is not explanation.episode and earlier.cleared_us is not None:
            out.print(f"Earlier: {format_us(earlier.detected_us)} to {format_us(earlier.cleared_us)}")


def _cells(check: Check) -> tuple[str, str, str, str, str]:
    def text(value: object) -> str:
        return f"{value:g}" if isinstance(value, int | float) else str(value)

    asked = (
        "" if check.op is None else f"{check.op} {'' if check.threshold is None else text(check.threshold)}"
    )
    return (
        check.condition.replace("[", r"\["),
        "–" if check.value is None else text(check.value),
        asked,
        "" if check.short_by is None else text(check.short_by),
        check.detail,
    )
