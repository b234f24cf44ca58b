"""`ioc devices health | maintain | maintenance …`: how devices fare, and when somebody works on them."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
import typer

from ioc.api.device_ports import DeviceRefusedError, DeviceStanding
from ioc.api.devices import health_view, window_view
from ioc.api.ports import NotFoundError
from ioc.app.cli.database import with_connection, with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.names import need_device
from ioc.app.cli.options import (
    ConfigOption,
    DataOption,
    JsonOption,
    command_line_user,
    settings_from,
    time_option,
)
from ioc.app.cli.output import out, print_json, print_table
from ioc.app.clock import now_us
from ioc.app.devices.logins import seal_of
from ioc.app.devices.registry import StoredDevices
from ioc.app.settings import Settings
from ioc.model.device_health import Condition
from ioc.model.times import CITY_ZONE, SECOND_US

Result = TypeVar("Result")
_WANTED = frozenset({Condition.STALE, Condition.NEVER, Condition.THROTTLED})
maintenance = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc devices`."""
    app.command("health")(health)
    app.command("maintain")(maintain)
    app.add_typer(maintenance, name="maintenance", help="When somebody works on devices.")


def _with_devices(settings: Settings, work: Callable[[StoredDevices], Awaitable[Result]]) -> Result:
    return with_pool(settings, lambda pool: work(StoredDevices(pool, now_us, seal_of(settings))))


def health(
    stale: Annotated[
        bool, typer.Option("--stale", help="only those that are stale, throttled or never heard of")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how devices fare: last heard of, rate, refused share, clock, and the one word for it."""
    found = _with_devices(settings_from(config, data), StoredDevices.standings)
    shown = [each for each in found.items if not stale or each.condition in _WANTED]
    if as_json:
        print_json([msgspec.to_builtins(health_view(each, streams=True)) for each in shown])
        return
    columns = ["id", "condition", "last event", "per min", "refused", "clock", "last refusal"]
    now = now_us()
    print_table(columns, [_row(each, now) for each in shown], as_json)


def _row(standing: DeviceStanding, now: int) -> list[object]:
    device, known = standing.device, standing.health
    age = None if known.event_us is None else timedelta(seconds=(now - known.event_us) // SECOND_US)
    return [
        device.id, standing.condition, None if age is None else f"{age} ago",
        f"{known.events_per_min:g}",
        None if known.error_rate is None else f"{known.error_rate:.0%}",
        None if known.skew_s is None else f"{known.skew_s:+.1f} s", known.refusal,
    ]  # fmt: skip


def maintain(
    device_id: Annotated[str, typer.Argument(help="a registered device")],
    to: Annotated[
        str, typer.Option("--to", help="until when: 2026-11-29T17:00, or e.g. 90m, 8h, 2d from its begin")
    ],
    reason: Annotated[str, typer.Option(help="why; is shown and recorded")],
    begin: Annotated[
        str | None, typer.Option("--from", help="from when, 2026-11-29T08:00; default: as soon as may be")
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Announce maintenance: meanwhile rules do not miss the device. Times without a zone are the city's."""
    begin_us = None if begin is None else _moment_us(begin, "--from")
    end_us = _end_us(to, begin_us)

    async def add(devices: StoredDevices) -> dict[str, str]:
        window = await devices.maintain(device_id, begin_us, end_us, reason, command_line_user())
        found: dict[str, str] = msgspec.to_builtins(window_view(window))
        return found

    settings = settings_from(config, data)
    with_connection(settings, lambda connection: need_device(connection, device_id))
    found = _told(lambda: _with_devices(settings, add), device_id)
    if as_json:
        print_json(found)
        return
    out.print(
        f"maintenance {found['id']} of {device_id}: {local_time(found['from'])} to {local_time(found['to'])}"
    )


@maintenance.command("list")
def list_maintenance(
    data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """List maintenance that goes on, will come, or ended within a month."""
    found = [window_view(each) for each in _with_devices(settings_from(config, data), StoredDevices.windows)]
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    rows = [[w.id, w.device, local_time(w.from_), local_time(w.to), w.author, w.reason] for w in found]
    print_table(["number", "device", "from", "to", "author", "reason"], rows, as_json)


@maintenance.command("end")
def end_maintenance(
    number: Annotated[int, typer.Argument(help="number of the maintenance, see `list`", min=1)],
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End maintenance in ten seconds, or let it never begin."""

    async def end(devices: StoredDevices) -> dict[str, str]:
        window = await devices.end_maintenance(number, command_line_user())
        found: dict[str, str] = msgspec.to_builtins(window_view(window))
        return found

    found = _told(lambda: _with_devices(settings_from(config, data), end), str(number))
    if as_json:
        print_json(found)
    else:
        out.print(f"ends {local_time(found['to'])}")


def _told(work: Callable[[], Result], name: str) -> Result:
    try:
        return work()
    except DeviceRefusedError as error:
        raise CommandError(str(error), "See `{ioc} devices maintain --help`.") from error
    except NotFoundError as error:
        step = "`{ioc} devices list` and `{ioc} devices maintenance list` show what there is."
        raise CommandError(f"there is no {name!r}", step) from error


def _moment_us(text: str, option: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{option}: {text!r} is no time", "Write it like 2026-11-29T08:00 or 2026-11-29T08:00:00+07:00."
        ) from None
    local = moment if moment.tzinfo else moment.replace(tzinfo=CITY_ZONE)
    return time_option(local.isoformat(), option)


def _end_us(text: str, begin_us: int | None) -> int:
    unit_s = {"m": 60, "h": 3_600, "d": 86_400}.get(text[-1:])
    if unit_s and text[:-1].isascii() and text[:-1].isdigit() and len(text) < 8:
        return (now_us() if begin_us is None else begin_us) + int(text[:-1]) * unit_s * SECOND_US
    return _moment_us(text, "--to")


def local_time(text: str) -> str:
    """Return a time of the API as the city's clocks show it."""
    return datetime.fromisoformat(text).astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S %z")
