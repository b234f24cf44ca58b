"""The device registry and the devices' keys.

A key is 256 random bits shown once; only its SHA-256 is stored, which cannot be guessed back. While a device
changes to a new key two are valid, the old one until a stated time (`rotate_key`, `expire_keys`).
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ioc.model.device_health import LEAD_US
from ioc.model.places import Device
from ioc.model.times import from_us, to_us
from ioc.store.versions import bump_version, dataset_version

KEY_PREFIX: Final = "iocd_"
"""Lets a secret scanner recognise a key of ours."""

_COLUMNS: Final[LiteralString] = (
    "id, kind, name, ward, lon, lat, expected_interval_s, picture_url, decoder, covers, trusts_position,"
    " time_zone, options, stream_url, attach, attach_url, tls_verify, basic_over_http"
)
_UPSERT: Final[LiteralString] = (
    "INSERT INTO device (" + _COLUMNS + ")"  # noqa: S608 - names of ours
    """
    VALUES (%(id)s, %(kind)s, %(name)s, %(ward)s, %(lon)s, %(lat)s, %(expected_interval_s)s, %(picture_url)s,
        %(decoder)s, %(covers)s, %(trusts_position)s, %(time_zone)s, %(options)s,
        %(stream_url)s, %(attach)s, %(attach_url)s, %(tls_verify)s, %(basic_over_http)s)
    ON CONFLICT (id) DO UPDATE SET (kind, name, ward, lon, lat, expected_interval_s, picture_url, decoder,
        covers, trusts_position, time_zone, options, stream_url, attach, attach_url, tls_verify,
        basic_over_http) =
        (excluded.kind, excluded.name, excluded.ward, excluded.lon, excluded.lat,
        excluded.expected_interval_s, excluded.picture_url, excluded.decoder, excluded.covers,
        excluded.trusts_position, excluded.time_zone, excluded.options,
        excluded.stream_url, excluded.attach, excluded.attach_url, excluded.tls_verify,
        excluded.basic_over_http)
    """
)
_ALL: Final[LiteralString] = "SELECT " + _COLUMNS + " FROM device ORDER BY id"  # noqa: S608 - names of ours
_ONE: Final[LiteralString] = "SELECT " + _COLUMNS + " FROM device WHERE id = %s"  # noqa: S608 - names of ours
_FIND: Final[LiteralString] = (
    "SELECT " + _COLUMNS + " FROM device JOIN device_key ON device_id = id"  # noqa: S608 - names of ours
    " WHERE key_hash = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
)


_LEAD: Final = timedelta(microseconds=LEAD_US)
_RETURNED: Final[LiteralString] = """
    UPDATE device_outage SET ends = greatest(begins, coalesce(%s::timestamptz, now()) + %s)
    WHERE device_id = ANY(%s) AND kind = 'removed' AND ends IS NULL
"""


class UnknownDeviceError(LookupError):
    """No such device, or no such key."""


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key. `hash` is its SHA-256 in hex."""

    device_id: str
    hash: str
    label: str
    created_us: int
    expires_us: int | None
    revoked_us: int | None


def hash_key(key: str) -> bytes:
    """Return what is stored of `key`."""
    return sha256(key.encode(errors="replace")).digest()


async def upsert_devices(
    connection: AsyncConnection[Any], devices: Sequence[Device], now_us: int | None = None
) -> int:
    """Add or replace `devices` and return the registry's new version.

    One that was removed is in service again; `now_us` is when, None by the database's clock.
    """
    async with connection.transaction():
        version = await bump_version(connection, "device")
        async with connection.cursor() as cursor:
            await cursor.executemany(_UPSERT, [_row(device) for device in devices])
        now = None if now_us is None else from_us(now_us)
        await connection.execute(_RETURNED, (now, _LEAD, [device.id for device in devices]))
    return version


async def read_devices(connection: AsyncConnection[Any]) -> list[Device]:
    """Return the whole registry, by id."""
    return await _devices(connection, _ALL)


async def read_device(connection: AsyncConnection[Any], device_id: str) -> Device | None:
    """Return one device, or None."""
    found = await _devices(connection, _ONE, (device_id,))
    return found[0] if found else None


async def device_of_key(connection: AsyncConnection[Any], key: str) -> Device | None:
    """Return the device whose valid key this is, or None."""
    found = await _devices(connection, _FIND, (hash_key(key),))
    return found[0] if found else None


async def read_keys(connection: AsyncConnection[Any]) -> list[tuple[bytes, str]]:
    """Return (SHA-256 of the key, device id) of every valid key, for a gateway that checks keys in memory."""
    rows = await connection.execute(
        "SELECT key_hash, device_id FROM device_key WHERE revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > now())"
    )
    return [(bytes(key_hash), device_id) async for key_hash, device_id in rows]


async def read_version(connection: AsyncConnection[Any]) -> int:
    """Return the registry's version: as long as it stays the same, so do devices and keys."""
    return await dataset_version(connection, "device")


async def issue_key(connection: AsyncConnection[Any], device_id: str, label: str = "") -> str:
    """Create a key and return it in plain text, which nobody can do again.

    Raises:
        UnknownDeviceError: there is no such device.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    try:
        async with connection.transaction():
            await bump_version(connection, "device")
            await connection.execute(
                "INSERT INTO device_key (key_hash, device_id, label) VALUES (%s, %s, %s)",
                (hash_key(key), device_id, label),
            )
    except ForeignKeyViolation as error:
        raise UnknownDeviceError(f"no such device: {device_id}") from error
    return key


async def rotate_key(
    connection: AsyncConnection[Any], device_id: str, overlap: timedelta, label: str = ""
) -> tuple[str, datetime | None]:
    """Create a key, and let the newest of the old ones be valid for `overlap`; older ones end now.

    Returns:
        The key in plain text, which nobody can read again, and when the old key ends (None: there was none).

    Raises:
        UnknownDeviceError: there is no such device.
    """
    async with connection.transaction():
        # Two rotations at once must not leave three keys.
        await connection.execute("SELECT FROM device WHERE id = %s FOR UPDATE", (device_id,))
        found = await connection.execute(
            "SELECT key_hash FROM device_key WHERE device_id = %s AND revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at DESC, key_hash",
            (device_id,),
        )
        old = [key_hash async for (key_hash,) in found]
        await connection.execute(
            "UPDATE device_key SET revoked_at = now() WHERE key_hash = ANY(%s)", (old[1:],)
        )
        ending = await connection.execute(
            "UPDATE device_key SET expires_at = least(expires_at, now() + %s) WHERE key_hash = ANY(%s)"
            " RETURNING expires_at",
            (overlap, old[:1]),
        )
        row = await ending.fetchone()
        return await issue_key(connection, device_id, label), row[0] if row else None


async def expire_keys(connection: AsyncConnection[Any]) -> int:
    """Make keys invalid whose time has come, so that gateways drop them from memory; return how many."""
    async with connection.transaction():
        ended = await connection.execute(
            "UPDATE device_key SET revoked_at = expires_at WHERE revoked_at IS NULL AND expires_at <= now()"
        )
        if ended.rowcount:
            await bump_version(connection, "device")
        return ended.rowcount


async def keys_of(connection: AsyncConnection[Any], device_id: str) -> list[KeyInfo]:
    """Return the keys of a device, valid and revoked, oldest first."""
    rows = await connection.execute(
        "SELECT key_hash, label, created_at, expires_at, revoked_at FROM device_key WHERE device_id = %s"
        " ORDER BY created_at, key_hash",
        (device_id,),
    )
    return [
        KeyInfo(
            device_id=device_id,
            hash=bytes(key_hash).hex(),
            label=label,
            created_us=to_us(created),
            expires_us=to_us(expires) if expires else None,
            revoked_us=to_us(revoked) if revoked else None,
        )
        async for key_hash, label, created, expires, revoked in rows
    ]


async def revoke_key(connection: AsyncConnection[Any], key_hash: bytes) -> None:
    """Make a key invalid from now on; doing so twice is harmless.

    Raises:
        UnknownDeviceError: there is no such key.
    """
    async with connection.transaction():
        await bump_version(connection, "device")
        done = await connection.execute(
            "UPDATE device_key SET revoked_at = coalesce(revoked_at, now()) WHERE key_hash = %s", (key_hash,)
        )
        if done.rowcount == 0:
            raise UnknownDeviceError("no such key")


async def _devices(
    connection: AsyncConnection[Any], statement: LiteralString, parameters: tuple[object, ...] = ()
) -> list[Device]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return [msgspec.convert(row, Device) for row in await cursor.fetchall()]


def _row(device: Device) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(device),
        "kind": str(device.kind),
        "attach": None if device.attach is None else str(device.attach),
        "covers": list(device.covers),
        "options": Jsonb(device.options),
    }
