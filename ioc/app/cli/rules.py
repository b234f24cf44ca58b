"""`ioc rules …`: check and test rule files."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from ioc.app.cli.database import use_database
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.core import Database, open_core
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.tests import FileCoverage, FileOutcome, cover_files, find_test_files, play_files, untested
from ioc.rules.describe import schema_text

app = typer.Typer(help="Rules: tests, versions, shadows, backtests, and why one fired.", no_args_is_help=True)

_out = Console(highlight=False, markup=False, soft_wrap=True)
_progress = Console(stderr=True, highlight=False)


@app.command()
def check(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compile the rule files against the imported areas; exit code 1 and every error if they do not."""
    settings = settings_from(config, data)
    rules = RuleFolder(settings.rules.folder)

    async def compiled(database: Database) -> int:
        async with open_core(settings, database) as core:
            return len(rules.compiled_for(core.directory.index).declared)

    with use_database(settings) as database:
        count = asyncio.run(compiled(database))
    print(json.dumps({"rules": count}) if as_json else f"{count} rules compile")


@app.command()
def test(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="rules folders or test files [default: rules.folder]")
    ] = None,
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage", help="also say which changes of a rule and which disorder no test would notice"
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play the rule tests (`tests/*.yaml` beside the rules); exit code 1 and a comparison where one fails.

    With --coverage every number of a rule's conditions is changed by its smallest step, and repeats, late and
    overtaken events are taken wrongly: exit code 1 where no test would fail, or a rule has none. Needs no
    database and no running service.
    """
    chosen = paths or [settings_from(config, None).rules.folder]
    files = find_test_files(chosen)
    shown = track(
        play_files(files), "rule tests", len(files), console=_progress, transient=True, disable=as_json
    )
    outcomes = list(shown)
    missing = [name for path in chosen if path.is_dir() for name in untested(path)]
    failed = sum(outcome.failed for outcome in outcomes)
    covered = _covered(outcomes, quiet=as_json) if coverage and not failed else None
    passed = (
        sum(len(outcome.verdicts) for outcome in outcomes) + sum(bool(o.errors) for o in outcomes) - failed
    )
    if as_json:
        report = {
            "passed": passed,
            "failed": failed,
            "untested": missing,
            "files": [outcome.as_dict() for outcome in outcomes],
        }
        if coverage:
            report["coverage"] = None if covered is None else [item.as_dict() for item in covered]
        print(json.dumps(report, ensure_ascii=False))
    else:
        for outcome in outcomes:
            _show(outcome)
        for name in missing:
            _out.print(f"untested  {name}: no test file of its name")
        for item in covered or ():
            _show_coverage(item)
        _out.print(f"{passed} passed, {failed} failed in {len(files)} files")
        if coverage and covered is None:
            _out.print("coverage is judged once every test passes")
    gaps = coverage and (missing or any(not rule.complete for item in covered or () for rule in item.rules))
    raise typer.Exit(1 if failed or gaps else 0)


def _covered(outcomes: Sequence[FileOutcome], *, quiet: bool) -> list[FileCoverage]:
    count, found = cover_files(outcomes)
    return list(track(found, "coverage", count, console=_progress, transient=True, disable=quiet))


def _show_coverage(found: FileCoverage) -> None:
    for rule in found.rules:
        state = "covered " if rule.complete else "gaps    "
        _out.print(f"{state}  {found.file}: {rule.rule}, {rule.tried} changes tried")
        for case, why in rule.missing.items():
            _out.print(f"  {case}: {why}")
        for mutant in rule.unnoticed:
            _out.print(f"  {found.file}:{mutant}")


def _show(outcome: FileOutcome) -> None:
    passed = len(outcome.verdicts) - outcome.failed
    if not outcome.failed:
        _out.print(f"ok        {outcome.file}: {passed} tests")
        return
    for error in outcome.errors:
        _out.print(f"cannot be played  {error}")
    for verdict in outcome.verdicts:
        if not verdict.passed:
            _out.print(f"failed    {outcome.file}:{verdict.test.line}: {verdict.test.name}")
            for line in verdict.difference:
                _out.print(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of rule files, so that editors complete and check them."""
    print(schema_text(), end="")
