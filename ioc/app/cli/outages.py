"""`ioc devices disable | enable | remove`: devices out of service and back."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import typer

from ioc.api.device_outages import ServiceJson, ServiceState, service_view
from ioc.api.device_ports import DeviceRefusedError
from ioc.api.ports import NotFoundError
from ioc.app.cli.database import with_pool
from ioc.app.cli.devices import local_time
from ioc.app.cli.errors import CommandError
from ioc.app.cli.names import no_device
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import out, print_json
from ioc.app.clock import now_us
from ioc.app.devices.logins import seal_of
from ioc.app.devices.registry import StoredDevices
from ioc.app.settings import Settings
from ioc.model.device_health import Outage
from ioc.store.pool import Pool

DeviceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="id of the device")]
ReasonOption = Annotated[str, typer.Option(help="why; is shown and recorded")]
_Change = Callable[[StoredDevices], Awaitable[Outage | None]]


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc devices`."""
    app.command("disable")(disable)
    app.command("enable")(enable)
    app.command("remove")(remove)


def disable(
    source: DeviceArgument,
    reason: ReasonOption = "",
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a device out of service: what it sends is refused, its stream is closed, nobody misses it."""
    settings = settings_from(config, data)
    _tell(_changed(settings, source, lambda d: d.disable(source, reason, command_line_user())), as_json)


def enable(
    source: DeviceArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Put a disabled device into service again, with the keys and the login that it has."""
    settings = settings_from(config, data)
    _tell(_changed(settings, source, lambda d: d.enable(source, command_line_user())), as_json)


def remove(
    source: DeviceArgument,
    reason: ReasonOption = "",
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a device with its keys and its login. What it sent stays; it may be registered anew."""
    settings = settings_from(config, data)
    _tell(_changed(settings, source, lambda d: d.remove(source, reason, command_line_user())), as_json)


def _changed(settings: Settings, source: str, change: _Change) -> ServiceJson:
    async def work(pool: Pool) -> ServiceJson:
        try:
            return service_view(source, await change(StoredDevices(pool, now_us, seal_of(settings))))
        except NotFoundError:
            async with pool.connection() as connection:
                raise await no_device(connection, source) from None

    try:
        return with_pool(settings, work)
    except DeviceRefusedError as error:
        raise CommandError(str(error), "See docs/devices.md, Out of service.") from error


def _tell(found: ServiceJson, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    if found.state is ServiceState.IN_SERVICE or found.outage is None:
        out.print(f"{found.device} is in service")
        return
    why = f": {found.outage.reason}" if found.outage.reason else ""
    out.print(f"{found.device} is {found.state} since {local_time(found.outage.since)}{why}", markup=False)
