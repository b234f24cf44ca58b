"""Logins at devices: sealed when they are given, opened when a camera is asked, and shown to nobody."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog
from psycopg import AsyncConnection

from ioc.app.privacy import read_key
from ioc.app.sealing import Seal
from ioc.app.settings import Settings
from ioc.model.places import Device
from ioc.outbound.camera import Login, Reach
from ioc.store.audit import Area, record
from ioc.store.device_logins import SealedLogin, put_login, remove_login

MAX_USER_CHARS: Final = 64
MAX_PASSWORD_CHARS: Final = 128

_log = structlog.get_logger()


def seal_of(settings: Settings) -> Seal:
    """Return what seals devices' logins; every process of an installation needs the same key.

    Raises:
        PrivacyKeyError: the file does not hold a key.
    """
    return Seal(read_key(settings.login_key_file))


class InvalidLogin(Exception):
    """A login cannot be one: `field`, `user` or `password`, is not what `detail` expects."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class Sealed(Protocol):
    """The sealed logins, as of now."""

    @property
    def logins(self) -> Mapping[str, SealedLogin]:
        """By device."""
        ...


class DeviceLogins:
    """Says how a device is reached."""

    def __init__(self, directory: Sealed, seal: Seal) -> None:
        self._directory = directory
        self._seal = seal
        self._read: Mapping[str, SealedLogin] = {}
        self._opened: dict[str, Login | None] = {}

    def reach_of(self, device: Device) -> Reach:
        """Return how `device` is reached; without its login where that was sealed with another key."""
        return Reach(self._login(device.id), device.tls_verify, device.basic_over_http)

    def _login(self, device_id: str) -> Login | None:
        if self._directory.logins is not self._read:  # the registry was read anew
            self._read, self._opened = self._directory.logins, {}
        found = self._read.get(device_id)
        if found is None:
            return None
        if device_id not in self._opened:
            self._opened[device_id] = self._open(device_id, found)
        return self._opened[device_id]

    def _open(self, device_id: str, found: SealedLogin) -> Login | None:
        # The device stands in what is sealed: a row copied to another device opens for nobody.
        owner, _, password = (self._seal.open(found.sealed) or "").partition("\n")
        if owner != device_id:
            _log.error(
                "a device's login was sealed with another key: restore secrets/login.key, or give it anew",
                device=device_id,
            )
            return None
        return Login(found.user, password)


def check_login(user: str, password: str) -> None:
    """See that both can be sent.

    Raises:
        InvalidLogin: one cannot.
    """
    for field, text, most in (("user", user, MAX_USER_CHARS), ("password", password, MAX_PASSWORD_CHARS)):
        if not 1 <= len(text) <= most:
            raise InvalidLogin(field, f"expected 1 to {most} characters, found {len(text)}")
        if not text.isprintable():
            raise InvalidLogin(field, "control characters are not allowed")
    if ":" in user:
        raise InvalidLogin("user", "a colon cannot stand in a user's name")


async def store_login(
    connection: AsyncConnection[Any], seal: Seal, device_id: str, login: Login, actor: str
) -> None:
    """Seal and store a device's login; who did so is recorded.

    Raises:
        InvalidLogin: user or password cannot be one.
        UnknownDeviceError: there is no such device.
    """
    check_login(login.user, login.password)
    async with connection.transaction():
        sealed = seal.close(f"{device_id}\n{login.password}")
        await put_login(connection, device_id, SealedLogin(login.user, sealed))
        details = {"user": login.user}
        await record(
            connection, Area.ACCESS, actor=actor, op="device_login_set", subject=device_id, details=details
        )


async def forget_login(connection: AsyncConnection[Any], device_id: str, actor: str) -> bool:
    """Remove a device's login; False where it has none."""
    async with connection.transaction():
        removed = await remove_login(connection, device_id)
        if removed:
            await record(connection, Area.ACCESS, actor=actor, op="device_login_removed", subject=device_id)
        return removed
