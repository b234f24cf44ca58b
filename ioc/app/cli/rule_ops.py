"""`ioc rules push | list | history | disable | enable | shadow | backtest | why`: rules of a service."""

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ioc.api.ports import NotFoundError
from ioc.app.cli.database import use_database
from ioc.app.cli.options import (
    ConfigOption,
    DataOption,
    JsonOption,
    duration_option,
    settings_from,
    time_option,
)
from ioc.app.core import Core, open_core
from ioc.app.near_names import no_such
from ioc.app.rules import report as rule_report
from ioc.app.rules.backtest import Report
from ioc.app.rules.expected import unwatched
from ioc.app.rules.files import RuleFolder, read_rule_text
from ioc.app.rules.push import Plan, RulePublisher, UnknownRuleError, follow_switch, plan_push
from ioc.app.rules.sets import RuleSets, ensure_first_version
from ioc.app.rules.trials import TRIAL_US, Against, Trials, flood_reason
from ioc.app.rules.view import RunningRules
from ioc.app.settings import Settings
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import SECOND_US, format_us, to_us
from ioc.rules.compile import shared_codes
from ioc.rules.having import duration_us
from ioc.store.rule_versions import read_changes

DEFAULT_BACKTEST_US: Final = TRIAL_US

Result = TypeVar("Result")
FilesArgument = Annotated[list[Path], typer.Argument(help="rule files", exists=True, dir_okay=False)]
FileArgument = Annotated[Path, typer.Argument(help="rule file", exists=True, dir_okay=False)]
RuleArgument = Annotated[str, typer.Argument(help="name of a rule")]
AuthorOption = Annotated[str | None, typer.Option(help="who does it [default: the login name]")]
ReasonOption = Annotated[str, typer.Option(help="why; kept in the history")]
_out = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the group `rules`."""
    for name, command in (
        ("push", push),
        ("list", list_rules),
        ("history", history),
        ("disable", disable),
        ("enable", enable),
        ("shadow", shadow),
        ("backtest", backtest),
        ("why", why),
    ):
        app.command(name)(command)


def _with_core(
    settings: Settings, work: Callable[[Core], Awaitable[Result]], *, reading: bool = False
) -> Result:
    """Run `work` beside the running service, with a log that can be appended to.

    With `reading` an installation that never ran stays without rules: nothing is imported from its folder.
    """

    async def run() -> Result:
        async with open_core(settings, database) as core:
            sets = RuleSets(core.pool)
            if not reading and (await sets.newest()).version == 0:
                await ensure_first_version(core.pool, RuleFolder(settings.rules.folder), core.directory.index)
            results: list[Result] = []
            failed: Exception | None = None
            async with asyncio.TaskGroup() as group:
                running = group.create_task(core.log.run())
                try:
                    results.append(await work(core))
                except Exception as error:  # raised below, out of the group
                    failed = error
                running.cancel()
            if failed is not None:
                raise failed
            return results[0]

    with use_database(settings) as database:
        return asyncio.run(run())


# changing -------------------------------------------------------------------------------------------------


def push(
    files: FilesArgument,
    shadow: Annotated[bool, typer.Option("--shadow", help="run them, but raise nothing")] = False,
    accept_flood: Annotated[
        str | None, typer.Option(help="why more alarms than the budget are right; kept in the history")
    ] = None,
    backtest_over: Annotated[
        str, typer.Option(help="how much of the newest history to try them on; 0s for none")
    ] = "1h",
    warm: Annotated[
        str,
        typer.Option(help="how much of the log's past new and reshaped rules run over first; 0s for none"),
    ] = "0s",
    author: AuthorOption = None,
    reason: Annotated[str | None, typer.Option(help="why; kept in the history")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put rules into force: they are compiled and tried on history, then every partition switches.

    Rules that do not compile, or that would raise more alarms than people can handle, replace nothing. A rule
    whose event types, key, function or window differ starts fresh; with --warm it first runs over the past
    without raising anything but what is open when it goes live.
    """
    settings = settings_from(config, data)
    texts = {str(path): read_rule_text(path) for path in files}
    length_us, warm_us = duration_option(backtest_over, "--backtest-over"), duration_option(warm, "--warm")

    async def work(core: Core) -> tuple[Plan, int, Report | None, list[str], bool]:
        sets = RuleSets(core.pool)
        plan = plan_push(await sets.newest(), texts, core.directory.index, shadow=shadow)
        report = None
        if plan.rules and not shadow and length_us:
            with rule_report.progress(as_json) as progress:
                report = await _trials(core).tried(plan, length_us, progress)
        flood = flood_reason(report, accept_flood)
        publisher = RulePublisher(core.pool, core.log, sets)
        version = await publisher.push(
            plan, author=_author(author), reason=reason, flood=flood, warm_us=warm_us
        )
        notes = await _notes_on(plan, core)
        if not warm_us:
            return plan, version, report, notes, True
        with rule_report.progress(as_json, "warm-up") as progress:
            return plan, version, report, notes, await follow_switch(core.pool, version, progress)

    plan, version, report, notes, switched = _with_core(settings, work)
    names = [rule.name for rule in plan.rules]
    if as_json:
        found = {"version": version, "rules": names, "shadow": shadow}
        found |= {"notes": notes} if notes else {}
        found |= {"warm_s": warm_us / SECOND_US, "warmed": switched} if warm_us else {}
        print(json.dumps(found | ({"backtest": rule_report.as_json(report)} if report else {})))
        return
    if report:
        rule_report.show(report, _out)
    elif plan.rules and not shadow:
        _out.print("not tried on history: the alarm budget is not judged")
    how = "as shadow" if shadow else "in force"
    _out.print(f"version {version} {how}: {', '.join(names)}; partitions switch at its control record")
    for note in notes:
        _out.print(note)
    if not switched:
        _out.print("no worker has finished the warm-up yet: partitions switch once it has run over the past")


async def _notes_on(plan: Plan, core: Core) -> list[str]:
    """Return what whoever pushed these rules may not expect of them."""
    here = core.directory
    partitions = len(await core.log.ends(EVENTS_TOPIC))
    missed = unwatched(plan.candidate, here.known, partitions, here.ward_of, here.windows)
    return [
        f"{rule}: area {code} is {' and '.join(called)}, and all are meant; name one alone so"
        for rule, code, called in shared_codes(plan.candidate, here.index)
    ] + [
        f"{rule}: {count:,} devices more than a rule has keys on a partition are not watched"
        for rule, count in sorted(missed.items())
    ]


def disable(
    rule: RuleArgument,
    reason: ReasonOption,
    shadow: Annotated[bool, typer.Option("--shadow", help="end its shadow; the rule runs on")] = False,
    author: AuthorOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Switch a rule off; its open incidents are cleared."""
    _switch(settings_from(config, data), rule, False, author, reason, as_json, shadow=shadow)


def enable(
    rule: RuleArgument,
    reason: Annotated[str | None, typer.Option(help="why; kept in the history")] = None,
    author: AuthorOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Switch a rule on again, also one that was switched off because it failed."""
    _switch(settings_from(config, data), rule, True, author, reason, as_json)


def _switch(
    settings: Settings,
    rule: str,
    on: bool,
    author: str | None,
    reason: str | None,
    as_json: bool,
    *,
    shadow: bool = False,
) -> None:
    async def work(core: Core) -> int:
        publisher = RulePublisher(core.pool, core.log, RuleSets(core.pool))
        return await publisher.switch(
            rule,
            core.directory.index,
            on=on,
            author=_author(author),
            reason=reason,
            lane="shadow" if shadow else "active",
        )

    version = _with_core(settings, work)
    state = "enabled" if on else "disabled"
    found = {"version": version, "rule": rule, "enabled": on, "shadow": shadow}
    print(json.dumps(found) if as_json else f"version {version}: {rule} {state}")


# looking --------------------------------------------------------------------------------------------------


def list_rules(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the rules with what the workers report: failures, time taken, shadows."""

    async def work(core: Core) -> Sequence[rule_report.RuleInfo]:
        return await RunningRules(RuleSets(core.pool), core.pool).rules()

    found = _with_core(settings_from(config, data), work)
    if as_json:
        print(msgspec.json.encode({"items": found}).decode())
    else:
        _out.print(rule_report.rules_table(found))


def history(
    rule: Annotated[str | None, typer.Argument(help="name of a rule; without: all")] = None,
    text: Annotated[bool, typer.Option("--text", help="show the texts too")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what changed, newest first: version, author, time and reason."""

    async def work(core: Core) -> list[dict[str, object]]:
        async with core.pool.connection() as connection:
            changes = await read_changes(connection, rule)
        if rule is not None and not changes:
            known = {item.rule for item in (await RuleSets(core.pool).newest()).items}
            raise UnknownRuleError(no_such("rule", rule, known))
        return [
            {
                "version": item.version,
                "at": format_us(to_us(item.at)),
                "author": item.author,
                "op": "end shadow" if item.lane == "shadow" and not item.enabled else item.op,
                "rule": item.rule,
                "lane": item.lane,
                "enabled": item.enabled,
                "hash": item.hash,
                "reason": item.reason,
                "accepted_flood": item.flood,
                **({"text": item.text} if text else {}),
            }
            for item in changes
        ]

    found = _with_core(settings_from(config, data), work)
    if as_json:
        print(json.dumps({"items": found}, ensure_ascii=False))
        return
    columns = ("version", "at", "author", "op", "rule", "lane", "hash", "reason", "accepted_flood")
    table = Table(*columns)
    for row in found:
        table.add_row(*("–" if row[name] is None else str(row[name]) for name in columns))
    _out.print(table)
    for row in found if text else ():
        _out.print(f"\n# version {row['version']}, {row['rule']}\n{row['text']}", markup=False)


def shadow(
    rule: RuleArgument,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a shadow rule would have raised beside what the active rule raised."""

    async def work(core: Core) -> Sequence[rule_report.ShadowDiff]:
        try:
            return await RunningRules(RuleSets(core.pool), core.pool).shadow(rule)
        except NotFoundError as error:
            items = (await RuleSets(core.pool).newest()).items
            known = {item.rule for item in items if item.lane == "shadow"}
            raise UnknownRuleError(no_such("shadow of a rule", rule, known)) from error

    found = _with_core(settings_from(config, data), work)
    if as_json:
        print(msgspec.json.encode({"items": found}).decode())
    else:
        _out.print(rule_report.shadow_table(found))


# the past -------------------------------------------------------------------------------------------------


def backtest(
    file: FileArgument,
    begin: Annotated[
        str | None, typer.Option("--from", help="time (RFC 3339), or how long before the end, e.g. 2h")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="time (RFC 3339) [default: the newest event]")
    ] = None,
    against: Annotated[
        str, typer.Option(help="`current`, `none`, a version's number, or another rule file")
    ] = "current",
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run rules over stored history and say what they would have changed. Writes nothing.

    Exit code 0 whatever it finds, 1 where the rules do not compile or history holds nothing of that time.
    """
    from_us, length_us = _begin(begin)
    to_us_ = None if end is None else time_option(end, "--to")
    texts = _read(file)
    base = _against(against)

    async def work(core: Core) -> Report:
        with rule_report.progress(as_json) as progress:
            return await _trials(core).backtest(texts, base, from_us, to_us_, length_us, progress)

    report = _with_core(settings_from(config, data), work, reading=True)
    if as_json:
        print(json.dumps(rule_report.as_json(report), ensure_ascii=False))
    else:
        rule_report.show(report, _out)


def _against(text: str) -> Against:
    named: dict[str, Against] = {"current": "current", "none": "none"}
    if text in named:
        return named[text]
    return int(text) if text.isdecimal() else _read(Path(text))


def why(
    rule: RuleArgument,
    at: Annotated[str, typer.Option(help="the moment (RFC 3339)")],
    key: Annotated[str, typer.Option(help="the key as incidents show it, e.g. a source or a ward")],
    file: Annotated[
        Path | None, typer.Option(help="explain the rule of this file, not the running one", exists=True)
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain why a rule did or did not fire: which condition failed, and by how much."""
    at_us = time_option(at, "--at")
    texts = None if file is None else _read(file)

    async def work(core: Core) -> rule_report.Explained:
        return await _trials(core).why(rule, key, at_us, texts)

    found = _with_core(settings_from(config, data), work, reading=True)
    if as_json:
        print(json.dumps(rule_report.why_json(found), ensure_ascii=False))
    else:
        rule_report.show_why(found, _out)


# options --------------------------------------------------------------------------------------------------


def _trials(core: Core) -> Trials:
    rules = core.settings.rules
    return Trials(core.pool, core.directory, rules.lateness_s, rules.operators, rules.folder)


def _read(path: Path) -> dict[str, str]:
    return {str(path): read_rule_text(path)}


def _author(given: str | None) -> str:
    return given or getpass.getuser()


def _begin(text: str | None) -> tuple[int | None, int]:
    """Return the start, or None and the length, of what `--from` says."""
    if text is None:
        return None, DEFAULT_BACKTEST_US
    try:
        return None, duration_us(text)
    except ValueError:
        return time_option(text, "--from"), DEFAULT_BACKTEST_US
