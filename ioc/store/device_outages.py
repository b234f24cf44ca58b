"""Devices out of service (migration 0141): disabled for a time, or removed.

What a disabled device sends is refused at once. Rules that miss a silent device excuse it by the time of the
log, like maintenance (`device_maintenance.py`): from `LEAD_US` after somebody has said so, until as long
after it is back.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ioc.model.device_health import LEAD_US, Outage, OutageKind
from ioc.model.places import Device
from ioc.model.times import DAY_US, from_us, to_us
from ioc.store.device_maintenance import REMEMBERED_US
from ioc.store.devices import UnknownDeviceError, read_device
from ioc.store.versions import bump_version, hold_version

MAX_OUTAGES: Final = 50_000
"""Within `REMEMBERED_US`; rules hold all of them, and those that last."""
MAX_REASON_CHARS: Final = 500

_LASTING: Final = "SELECT * FROM device_outage WHERE device_id = %s AND ends IS NULL"
_DISABLED: Final = "SELECT * FROM device_outage WHERE kind = 'disabled' AND ends IS NULL"
_KNOWN: Final = """
    SELECT * FROM device_outage
    WHERE ends > %(since)s OR (ends IS NULL AND (kind = 'disabled' OR begins > %(since)s)) ORDER BY begins, id
"""
_BEGIN: Final = """
    INSERT INTO device_outage (device_id, kind, begins, reason, author, created, device)
    VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING *
"""
_END: Final = """
    UPDATE device_outage SET ends = greatest(begins, %s) WHERE device_id = %s AND ends IS NULL RETURNING *
"""


class OutageError(ValueError):
    """The device cannot be taken out of service; the message is `field: what is expected`."""


async def disable_device(
    connection: AsyncConnection[Any], device_id: str, *, reason: str, author: str, now_us: int
) -> tuple[Outage, bool]:
    """Take a device out of service; one that is disabled stays so, with its first reason.

    Returns:
        The outage, and whether it is new.

    Raises:
        OutageError: the reason is too long, or it is one outage too many.
        UnknownDeviceError: there is no such device.
    """
    async with connection.transaction():
        await hold_version(connection, "device")
        if await read_device(connection, device_id) is None:
            raise UnknownDeviceError(f"no such device: {device_id}")
        if (lasting := await lasting_outage(connection, device_id)) is not None:
            return lasting, False
        return await _begin(connection, device_id, None, reason, author, now_us), True


async def enable_device(connection: AsyncConnection[Any], device_id: str, now_us: int) -> Outage | None:
    """Put a device into service again and return what ended; None where it was in service.

    Raises:
        UnknownDeviceError: there is no such device.
    """
    async with connection.transaction():
        await hold_version(connection, "device")
        if await read_device(connection, device_id) is None:
            raise UnknownDeviceError(f"no such device: {device_id}")
        ended = await _end(connection, device_id, now_us)
        if ended is not None:
            await bump_version(connection, "device")
        return ended


async def remove_device(
    connection: AsyncConnection[Any], device_id: str, *, reason: str, author: str, now_us: int
) -> tuple[Outage, bool]:
    """Remove a device with its keys, its login and its health; what it sent stays. Twice is once.

    Maintenance that goes on or was to come ends. Returns and raises as `disable_device`.
    """
    async with connection.transaction():
        await hold_version(connection, "device")
        device = await read_device(connection, device_id)
        if device is None:
            lasting = await lasting_outage(connection, device_id)
            if lasting is None:
                raise UnknownDeviceError(f"no such device: {device_id}")
            return lasting, False
        await _end(connection, device_id, now_us)
        found = await _begin(connection, device_id, device, reason, author, now_us)
        await connection.execute(
            "UPDATE device_maintenance SET ends = greatest(begins, %(end)s) WHERE device_id = %(id)s"
            " AND ends > %(end)s",
            {"id": device_id, "end": from_us(now_us + LEAD_US)},
        )
        await connection.execute("DELETE FROM device WHERE id = %s", (device_id,))
        return found, True


async def lasting_outage(connection: AsyncConnection[Any], device_id: str) -> Outage | None:
    """Return how a device is out of service; None where it is in service or unknown."""
    found = await _outages(connection, _LASTING, (device_id,))
    return found[0] if found else None


async def read_outages(connection: AsyncConnection[Any], since_us: int) -> Sequence[Outage]:
    """Return the outages that rules must know which look back to `since_us`, oldest first.

    Of devices that are gone for good those removed since: the registry forgets them, and so may rules.
    """
    return await _outages(connection, _KNOWN, {"since": from_us(since_us)})


async def read_disabled(connection: AsyncConnection[Any]) -> dict[str, Outage]:
    """Return the registered devices that are disabled, each with its outage."""
    return {each.device_id: each for each in await _outages(connection, _DISABLED, ())}


async def _begin(
    connection: AsyncConnection[Any],
    device_id: str,
    removed: Device | None,
    reason: str,
    author: str,
    now_us: int,
) -> Outage:
    if len(reason.strip()) > MAX_REASON_CHARS:
        raise OutageError(f"reason: expected at most {MAX_REASON_CHARS} characters")
    since = from_us(now_us - REMEMBERED_US)
    counted = await connection.execute("SELECT count(*) FROM device_outage WHERE begins > %s", (since,))
    if ((await counted.fetchone()) or (0,))[0] >= MAX_OUTAGES:
        days = REMEMBERED_US // DAY_US
        raise OutageError(f"device: at most {MAX_OUTAGES} are disabled or removed within {days} days")
    kind = OutageKind.DISABLED if removed is None else OutageKind.REMOVED
    kept = None if removed is None else Jsonb(msgspec.to_builtins(removed))
    begins, now = from_us(now_us + LEAD_US), from_us(now_us)
    given = (device_id, kind.value, begins, reason.strip(), author, now, kept)
    found = await _outages(connection, _BEGIN, given)
    await bump_version(connection, "device")
    return found[0]


async def _end(connection: AsyncConnection[Any], device_id: str, now_us: int) -> Outage | None:
    found = await _outages(connection, _END, (from_us(now_us + LEAD_US), device_id))
    return found[0] if found else None


async def _outages(
    connection: AsyncConnection[Any],
    statement: LiteralString,
    parameters: Sequence[object] | Mapping[str, object],
) -> list[Outage]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return [_outage(row) for row in await cursor.fetchall()]


def _outage(row: dict[str, Any]) -> Outage:
    return Outage(
        device_id=row["device_id"],
        kind=OutageKind(row["kind"]),
        from_us=to_us(row["begins"]),
        to_us=row["ends"] and to_us(row["ends"]),
        reason=row["reason"],
        author=row["author"],
        created_us=to_us(row["created"]),
        device=row["device"] and msgspec.convert(row["device"], Device),
    )
