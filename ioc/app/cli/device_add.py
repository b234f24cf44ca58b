"""`ioc devices add`: one device with all that is registered of it, its key, and its login."""

from typing import Annotated

import typer

from ioc.app.cli.attach import read_password
from ioc.app.cli.data import show_key
from ioc.app.cli.database import Connection, with_connection
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.devices.description import make_device
from ioc.app.devices.logins import seal_of, store_login
from ioc.app.ward_check import known_wards, unknown_wards
from ioc.ingest.decoders import DECODERS
from ioc.model.places import AttachKind, Device, DeviceKind
from ioc.outbound.camera import Login
from ioc.store.devices import issue_key, read_devices, upsert_devices

_DECODERS = f"what it sends: {', '.join(DECODERS)} (default: that of --attach, else cloudevents)"
_LOGIN = (
    "user of its login there; the password is asked for, or a line of standard input, or IOC_LOGIN_PASSWORD"
)
_TLS = "take any certificate of it; without this only one that the system's authorities know"
_BASIC = "let its password be sent readable (Basic) over http, should it ask for that"


def register(app: typer.Typer) -> None:
    """Add the command to `ioc devices`."""
    app.command("add")(add_device)


def add_device(
    device_id: Annotated[str, typer.Argument(help="the device's id: `source` of its events")],
    kind: Annotated[DeviceKind, typer.Option(help="what it is")] = DeviceKind.GATEWAY,
    name: Annotated[str, typer.Option(help="name shown")] = "",
    ward: Annotated[str | None, typer.Option(help="code of its ward")] = None,
    lon: Annotated[float | None, typer.Option(help="longitude, degrees")] = None,
    lat: Annotated[float | None, typer.Option(help="latitude, degrees")] = None,
    covers: Annotated[list[str] | None, typer.Option(help="sources it may send for; prefix* allowed")] = None,
    decoder: Annotated[str | None, typer.Option(help=_DECODERS)] = None,
    picture_url: Annotated[str | None, typer.Option(help="where its picture is, http or https")] = None,
    stream_url: Annotated[str | None, typer.Option(help="where its MJPEG, RTSP or HLS is")] = None,
    attach: Annotated[AttachKind | None, typer.Option(help="hold its event stream, in this way")] = None,
    attach_url: Annotated[str | None, typer.Option(help="where it is for that, http://10.0.0.7")] = None,
    login_user: Annotated[str | None, typer.Option(help=_LOGIN)] = None,
    any_certificate: Annotated[bool, typer.Option("--any-certificate", help=_TLS)] = False,
    basic_over_http: Annotated[bool, typer.Option("--basic-over-http", help=_BASIC)] = False,
    interval: Annotated[float | None, typer.Option(help="seconds between its events")] = None,
    time_zone: Annotated[str | None, typer.Option(help="zone of its local times, Asia/Ho_Chi_Minh")] = None,
    option: Annotated[list[str] | None, typer.Option(help="of its decoder, NAME=VALUE; repeatable")] = None,
    trusts_position: Annotated[
        bool, typer.Option("--trusts-position", help="its messages say where things are, not the registry")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="change the device of that id; its keys stay, one is added")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a device and issue its key, which is shown once."""
    device = make_device(
        {
            "id": device_id, "kind": kind, "name": name or device_id, "ward": ward, "lon": lon, "lat": lat,
            "covers": covers or (), "decoder": decoder or attach or "cloudevents", "attach": attach,
            "attach_url": attach_url, "picture_url": picture_url, "stream_url": stream_url,
            "tls_verify": not any_certificate, "basic_over_http": basic_over_http,
            "expected_interval_s": interval, "time_zone": time_zone, "trusts_position": trusts_position,
            "options": dict(_named(text) for text in option or ()),
        }
    )  # fmt: skip
    login = None if login_user is None else Login(login_user, read_password(device_id))
    settings = settings_from(config, data)

    async def add(connection: Connection) -> str:
        await _check_new(connection, device, replace)
        await upsert_devices(connection, [device])
        if login is not None:
            await store_login(connection, seal_of(settings), device_id, login, command_line_user())
        return await issue_key(connection, device_id, "command line")

    show_key(device_id, with_connection(settings, add), as_json)


def _named(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise CommandError(f"--option {text!r} is not NAME=VALUE", "Write e.g. --option prefix=cam-")
    return name, value


async def _check_new(connection: Connection, device: Device, replace: bool) -> None:
    if not replace and any(known.id == device.id for known in await read_devices(connection)):
        raise CommandError(
            f"there is already a device {device.id!r}",
            "Choose another id, change that device with --replace,"
            f" or get it another key with `{{ioc}} devices key {device.id}`.",
        )
    if unknown := unknown_wards([device.ward] if device.ward else [], await known_wards(connection)):
        raise CommandError("\n".join(unknown), "Give the code of an imported ward with --ward.")
