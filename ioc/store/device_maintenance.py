"""Maintenance of devices (migration 0132): from when to when somebody works on one, and why.

Rules that miss a silent device excuse it by the time of the log. They learn of a window within seconds, so
one begins and ends no earlier than `LEAD_US` from now: what the rules saw at a moment never changes later.
"""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import AsyncConnection

from ioc.model.device_health import LEAD_US, Window
from ioc.model.times import DAY_US, from_us, to_us
from ioc.store.devices import UnknownDeviceError
from ioc.store.versions import bump_version

LONGEST_DAYS: Final = 92
REMEMBERED_US: Final = 31 * DAY_US
"""So long after its end rules and backtests know of a window: as far as a backtest goes."""
MAX_WINDOWS: Final = 10_000


class MaintenanceError(ValueError):
    """The window cannot be; the message says why."""


async def add_window(
    connection: AsyncConnection[Any],
    device_id: str,
    *,
    begin_us: int,
    end_us: int,
    reason: str,
    author: str,
    now_us: int,
) -> Window:
    """Store a window; where it should begin before `now_us` + `LEAD_US`, it begins then.

    Raises:
        MaintenanceError: it is over before it begins, too long, without reason, or one too many.
        UnknownDeviceError: there is no such device.
    """
    begins = max(begin_us, now_us + LEAD_US)
    if end_us <= begins:
        raise MaintenanceError("to: expected later than from, and at least ten seconds from now")
    if end_us - begins > LONGEST_DAYS * DAY_US:
        raise MaintenanceError(f"to: expected within {LONGEST_DAYS} days of from")
    if not reason.strip() or len(reason) > 500:
        raise MaintenanceError("reason: expected 1 to 500 characters")
    async with connection.transaction():
        await bump_version(connection, "device")  # one writer at a time
        known = await connection.execute(
            "SELECT count(*) FROM device_maintenance WHERE ends > %s", (from_us(now_us - REMEMBERED_US),)
        )
        if ((await known.fetchone()) or (0,))[0] >= MAX_WINDOWS:
            raise MaintenanceError(
                f"to: there are already {MAX_WINDOWS} windows of the last {REMEMBERED_US // DAY_US} days"
            )
        found = await connection.execute(
            "INSERT INTO device_maintenance (device_id, begins, ends, reason, author)"
            " SELECT id, %s, %s, %s, %s FROM device WHERE id = %s RETURNING id, created",
            (from_us(begins), from_us(end_us), reason.strip(), author, device_id),
        )
        row = await found.fetchone()
        if row is None:
            raise UnknownDeviceError(f"no such device: {device_id}")
        window_id, created = row
    return Window(
        id=window_id, device_id=device_id, from_us=begins, to_us=end_us, reason=reason.strip(), author=author,
        created_us=to_us(created),
    )  # fmt: skip


async def end_window(connection: AsyncConnection[Any], window_id: int, now_us: int) -> Window:
    """Let a window end `LEAD_US` from now, or never begin; one that ends earlier stays what it is.

    Raises:
        UnknownDeviceError: there is no such window.
    """
    end = from_us(now_us + LEAD_US)
    async with connection.transaction():
        await bump_version(connection, "device")
        done = await connection.execute(
            "UPDATE device_maintenance SET ends = greatest(begins, least(ends, %s)) WHERE id = %s"
            " RETURNING id, device_id, begins, ends, reason, author, created",
            (end, window_id),
        )
        row = await done.fetchone()
        if row is None:
            raise UnknownDeviceError(f"no such maintenance: {window_id}")
    return _window(row)


async def read_windows(connection: AsyncConnection[Any], since_us: int) -> Sequence[Window]:
    """Return the windows that end after `since_us`, in the order in which they begin."""
    rows = await connection.execute(
        "SELECT id, device_id, begins, ends, reason, author, created FROM device_maintenance"
        " WHERE ends > %s ORDER BY begins, id",
        (from_us(since_us),),
    )
    return [_window(row) async for row in rows]


def _window(row: tuple[Any, ...]) -> Window:
    window_id, device_id, begins, ends, reason, author, created = row
    return Window(
        id=window_id, device_id=device_id, from_us=to_us(begins), to_us=to_us(ends), reason=reason,
        author=author, created_us=to_us(created),
    )  # fmt: skip
