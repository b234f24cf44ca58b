"""Held streams and devices' logins, for people."""

from collections.abc import Sequence

from ioc.api.device_ports import DeviceRefusedError
from ioc.api.ports import NotFoundError
from ioc.app.devices.logins import InvalidLogin, forget_login, store_login
from ioc.app.sealing import Seal
from ioc.model.attachments import Attachment
from ioc.outbound.camera import Login
from ioc.store.attachments import read_attachments
from ioc.store.devices import UnknownDeviceError
from ioc.store.row_scope import Pool


class StoredAttachments:
    """`ioc.api.attachments.Attachments` over PostgreSQL."""

    def __init__(self, pool: Pool, seal: Seal) -> None:
        self._pool = pool
        self._seal = seal

    async def attachments(self) -> Sequence[Attachment]:
        """Return every device whose events are fetched, by id."""
        async with self._pool.connection() as connection:
            return await read_attachments(connection)

    async def set_login(self, device_id: str, user: str, password: str, actor: str) -> None:
        """Give a device a login.

        Raises:
            DeviceRefusedError: user or password cannot be one.
            NotFoundError: there is no such device.
        """
        try:
            async with self._pool.connection() as connection:
                await store_login(connection, self._seal, device_id, Login(user, password), actor)
        except InvalidLogin as error:
            raise DeviceRefusedError([(error.field, error.detail)]) from error
        except UnknownDeviceError as error:
            raise NotFoundError(device_id) from error

    async def remove_login(self, device_id: str, actor: str) -> None:
        """Forget a device's login.

        Raises:
            NotFoundError: there is none.
        """
        async with self._pool.connection() as connection:
            if not await forget_login(connection, device_id, actor):
                raise NotFoundError(device_id)
