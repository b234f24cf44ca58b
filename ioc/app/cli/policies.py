"""`ioc policies …`, `ioc forecast`: what the centre decides for itself, and what will be late."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
import yaml

from ioc.app.cli.database import with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import out, print_json, print_table
from ioc.app.directory import Directory
from ioc.app.incidents.desk import Desk
from ioc.app.incidents.policy_view import StoredPolicies
from ioc.app.incidents.service import IncidentService
from ioc.incidents.policies import POLICIES
from ioc.incidents.policy_shapes import PolicyError
from ioc.model.times import format_us
from ioc.store.policies import StalePolicyError
from ioc.store.pool import Pool

app = typer.Typer(no_args_is_help=True)

MAX_FILE_BYTES = 2**20
AUTHOR = "command line"
NameArgument = Annotated[str, typer.Argument(help=f"one of {', '.join(POLICIES)}")]
FileArgument = Annotated[
    Path, typer.Argument(help="YAML or JSON file of the policy", exists=True, dir_okay=False)
]
Result = TypeVar("Result")


def _with_policies(
    config: Path | None, data: Path | None, work: Callable[[StoredPolicies], Awaitable[Result]]
) -> Result:
    async def run(pool: Pool) -> Result:
        directory = Directory(pool)
        await directory.refresh()
        desk = Desk(pool, directory)
        await desk.refresh()
        return await work(StoredPolicies(pool, desk, directory))

    return with_pool(settings_from(config, data), run)


def read_document(path: Path) -> Any:
    """Return what a YAML or JSON file says.

    Raises:
        CommandError: it is neither, or larger than `MAX_FILE_BYTES`.
    """
    again = "Nothing was changed: mend the file, then try again."
    content = path.read_bytes()
    if len(content) > MAX_FILE_BYTES:
        raise CommandError(f"{path}: a policy has at most {MAX_FILE_BYTES} bytes", again)
    try:
        return yaml.safe_load(content.decode())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A ValueError is a date or number that is none, such as the 45th of a month, or no text at all.
        raise CommandError(f"{path}: not valid YAML: {error}", again) from error


@app.command("list")
def list_policies(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the policies with their versions; version 0 is the shipped one."""
    found = _with_policies(config, data, lambda policies: policies.list())
    rows = [[info.name, info.version, info.author, info.at, info.reason] for info in found]
    print_table(["policy", "version", "author", "since", "reason"], rows, as_json)


@app.command("show")
def show(
    name: NameArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Print a policy as it is in force, as YAML that `push` takes."""
    found = {info.name: info for info in _with_policies(config, data, lambda policies: policies.list())}
    if name not in found:
        raise _unknown(name)
    if as_json:
        print_json(msgspec.to_builtins(found[name]))
    else:
        print(f"# {name}, version {found[name].version}")
        print(yaml.safe_dump(found[name].doc, allow_unicode=True, sort_keys=False), end="")


def _unknown(name: str) -> CommandError:
    return CommandError(f"there is no policy {name!r}", f"Choose one of {', '.join(POLICIES)}.")


@app.command("push")
def push(
    name: NameArgument,
    file: FileArgument,
    reason: Annotated[str, typer.Option(help="why it changes; kept with the version")],
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a file the next version of a policy; a running service follows within seconds."""
    document = read_document(file)

    async def store(policies: StoredPolicies) -> int:
        known = {info.name: info.version for info in await policies.list()}
        if name not in known:
            raise _unknown(name)
        try:
            stored = await policies.put(
                name, document, author=AUTHOR, reason=reason, expect_version=known[name]
            )
        except (PolicyError, StalePolicyError) as error:
            step = f"Nothing was changed: mend the file; `{{ioc}} policies show {name}` has what is in force."
            raise CommandError(f"{file}: {error}", step) from error
        return stored.version

    version = _with_policies(config, data, store)
    if as_json:
        print_json({"policy": name, "version": version})
    else:
        out.print(f"{name} is at version {version}. A running service uses it within seconds.")


@app.command("preview")
def preview(
    authority: Annotated[
        Path | None, typer.Option(help="authority table to try (YAML)", exists=True, dir_okay=False)
    ] = None,
    areas: Annotated[
        Path | None, typer.Option(help="ward boundaries to try (GeoJSON)", exists=True, dir_okay=False)
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what another authority table, or other boundaries, would change for the open incidents."""
    if authority is None and areas is None:
        raise CommandError("there is nothing to try", "Give --authority FILE, --areas FILE or both.")
    table = None if authority is None else read_document(authority)
    boundaries = None if areas is None else areas.read_bytes()
    try:
        found = _with_policies(config, data, lambda policies: policies.preview(table, boundaries, None))
    except (PolicyError, ValueError) as error:
        raise CommandError(str(error), "Nothing was changed: mend the file, then try again.") from error
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    rows = [
        [item.incident_id, item.category, item.ward_before, item.ward, item.team_before, item.team]
        for item in found.changed
    ]
    print_table(["incident", "category", "ward", "new ward", "team", "new team"], rows, False)
    out.print(
        f"{len(found.changed)} of {found.looked_at} open incidents would change, {found.homeless} would "
        "belong to no ward. Nothing was changed."
    )


def forecast(
    hours: Annotated[int, typer.Option(min=1, max=720, help="how far to look")] = 24,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which wards are about to miss due dates, judged by their backlog and their pace of a day."""

    async def look(pool: Pool) -> list[list[object]]:
        found = await IncidentService(pool).forecast(None, hours)
        return [
            [
                item.ward, item.open, item.overdue, item.will_breach, item.paused, round(item.per_hour, 2),
                format_us(item.first_breach_us) if item.first_breach_us else None,
            ]
            for item in found
        ]  # fmt: skip

    rows = with_pool(settings_from(config, data), look)
    columns = ["ward", "open", "overdue", "will_breach", "paused", "per_hour", "first_breach"]
    print_table(columns, rows, as_json)
