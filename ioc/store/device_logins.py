"""Logins at devices, their passwords sealed (migration 0135)."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation

from ioc.store.devices import UnknownDeviceError
from ioc.store.versions import bump_version

_PUT: Final[LiteralString] = """
    INSERT INTO device_login (device_id, login_user, sealed) VALUES (%s, %s, %s)
    ON CONFLICT (device_id) DO UPDATE SET login_user = excluded.login_user, sealed = excluded.sealed,
        changed = now()
"""
_TRY_AT_ONCE: Final[LiteralString] = """
    UPDATE attachment SET due = '-infinity', failures = 0 WHERE device_id = %s
"""


class SealedLogin(NamedTuple):
    """A user, and the password for those who have the key."""

    user: str
    sealed: bytes


async def put_login(connection: AsyncConnection[Any], device_id: str, login: SealedLogin) -> None:
    """Give a device a login in place of any that it has; its stream is tried at once.

    Raises:
        UnknownDeviceError: there is no such device.
    """
    try:
        async with connection.transaction():
            await bump_version(connection, "device")
            await connection.execute(_PUT, (device_id, *login))
            await connection.execute(_TRY_AT_ONCE, (device_id,))
    except ForeignKeyViolation as error:
        raise UnknownDeviceError(f"no such device: {device_id}") from error


async def remove_login(connection: AsyncConnection[Any], device_id: str) -> bool:
    """Forget a device's login; False where it has none."""
    async with connection.transaction():
        await bump_version(connection, "device")
        done = await connection.execute("DELETE FROM device_login WHERE device_id = %s", (device_id,))
        return done.rowcount == 1


async def read_logins(connection: AsyncConnection[Any]) -> Mapping[str, SealedLogin]:
    """Return the logins by device."""
    rows = await connection.execute("SELECT device_id, login_user, sealed FROM device_login")
    return {device_id: SealedLogin(user, bytes(sealed)) async for device_id, user, sealed in rows}
