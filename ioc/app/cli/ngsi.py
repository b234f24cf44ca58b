"""`ioc ngsi …`: context brokers of FIWARE."""

from typing import Annotated, Final

import httpx
import typer

from ioc.app.cli.database import Connection, with_connection
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import out, print_json
from ioc.outbound.ngsi import VERSIONS, Subscription, subscription
from ioc.store.audit import Area as AuditArea
from ioc.store.audit import record
from ioc.store.devices import hash_key, issue_key, read_devices, revoke_key

app = typer.Typer(no_args_is_help=True)
_TIMEOUT_S: Final = 15.0
_SHOWN_CHARS: Final = 300


@app.callback()
def _group() -> None:
    """Without it, typer takes a single command for the whole group."""


@app.command()
def subscribe(
    broker: Annotated[str, typer.Argument(help="address of the broker, e.g. http://orion:1026")],
    device: Annotated[str, typer.Option(help="registered device that stands for the broker")],
    kind: Annotated[list[str], typer.Option("--type", help="entity type; repeatable")],
    url: Annotated[str, typer.Option(help="address at which the broker reaches this service")],
    version: Annotated[str, typer.Option(help="ld (NGSI-LD) or 2 (NGSIv2)")] = "ld",
    tenant: Annotated[str | None, typer.Option(help="tenant (NGSILD-Tenant, Fiware-Service)")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a broker notify us of entities; it gets a key of its own for the device."""
    if version not in VERSIONS:
        raise CommandError(f"no such version: {version!r}", f"Give --version {' or '.join(VERSIONS)}.")
    settings = settings_from(config, data)
    broker = broker.rstrip("/")

    async def add_key(connection: Connection) -> str:
        if not any(d.id == device and d.decoder == "ngsi" for d in await read_devices(connection)):
            raise CommandError(
                f"{device!r} is no device that is registered with the decoder ngsi",
                f"`{{ioc}} devices add {device} --decoder ngsi --covers '{device}-*'` adds it.",
            )
        key = await issue_key(connection, device, f"notifications of {broker}")
        await record(
            connection,
            AuditArea.ACCESS,
            actor=command_line_user(),
            op="broker_subscribed",
            subject=device,
            details={"broker": broker, "types": list(kind)},
        )
        return key

    key = with_connection(settings, add_key)
    try:
        made = _post(
            broker, subscription(version, kind, url, key, f"IOC: {', '.join(kind)}"), version, tenant
        )
    except CommandError:
        with_connection(settings, lambda connection: revoke_key(connection, hash_key(key)))
        raise
    if as_json:
        print_json({"device": device, "subscription": made, "broker": broker})
    else:
        out.print(f"{broker} notifies {device} of {', '.join(kind)}: subscription {made}")


def _post(broker: str, request: Subscription, version: str, tenant: str | None) -> str:
    """Return the subscription's id.

    Raises:
        CommandError: the broker cannot be reached, or refuses.
    """
    headers = {"Content-Type": request.media}
    if tenant is not None:
        headers["Fiware-Service" if version == "2" else "NGSILD-Tenant"] = tenant
    try:
        answer = httpx.post(
            broker + request.path, json=request.body, headers=headers, timeout=_TIMEOUT_S, trust_env=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(
            f"{broker} cannot be reached: {error}", "Check the address; the key was withdrawn again."
        ) from error
    if answer.status_code != httpx.codes.CREATED:
        raise CommandError(
            f"{broker} answers {answer.status_code}: {answer.text[:_SHOWN_CHARS]}",
            "Mend what it says; the key was withdrawn again.",
        )
    return str(answer.headers.get("location", "")).rpartition("/")[2]
