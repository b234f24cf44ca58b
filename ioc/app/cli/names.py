"""Names on the command line that must be there before anything is asked or done."""

from ioc.app.cli.database import Connection
from ioc.app.cli.errors import CommandError
from ioc.app.near_names import no_such
from ioc.store.devices import read_device, read_devices
from ioc.store.users import Users, normal_username


async def need_device(connection: Connection, device_id: str) -> None:
    """Raise `CommandError` where no such device is registered."""
    if await read_device(connection, device_id) is None:
        raise await no_device(connection, device_id)


async def no_device(connection: Connection, device_id: str) -> CommandError:
    """Return what to say of a device that is not registered."""
    known = [device.id for device in await read_devices(connection)]
    return CommandError(
        no_such("device", device_id, known),
        "`{ioc} devices list` shows the registered ones, `{ioc} devices add` adds one.",
    )


async def need_user(users: Users, username: str) -> None:
    """Raise `CommandError` where nobody has an account of that name."""
    known = {person.username for person in await users.list_users()}
    if normal_username(username) not in known:
        raise CommandError(no_such("user", username, known), "`{ioc} users list` shows who has an account.")
