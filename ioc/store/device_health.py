"""How devices fare (migration 0132): counts of every process that takes events, added up.

Ordinary tables, the same with and without TimescaleDB: an hour of minutes is small.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from ioc.model.device_health import DeviceHealth
from ioc.model.times import from_us, to_us

KEPT: Final = timedelta(hours=1)
RATE_MINUTES: Final = 5


class DeviceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What one process counted of a device since it last said so; times in microseconds, None for none."""

    device_id: str
    seen_us: int
    event_us: int | None = None
    events: int = 0
    refused: int = 0
    refusal: str | None = None
    refused_us: int | None = None
    positions: int = 0
    backward: int = 0
    repeated: int = 0
    skew_us: int | None = None
    samples: int = 0
    throttled_us: int | None = None


# Joined with `device`: one that was removed meanwhile is left out. Sorted: two processes lock in one order.
_TAKE: Final[LiteralString] = """
    WITH given AS (
        SELECT g.* FROM jsonb_to_recordset(%(rows)s::jsonb) AS g (
            device_id text, seen_us bigint, event_us bigint, events bigint, refused bigint,
            refusal text, refused_us bigint, positions bigint, backward bigint, repeated bigint,
            skew_us bigint, samples int, throttled_us bigint
        ) JOIN device d ON d.id = g.device_id ORDER BY g.device_id
    ), stood AS (
        INSERT INTO device_health AS h (device_id, seen, event, refusal, refused_at, throttled_at)
        SELECT device_id, timestamptz 'epoch' + seen_us * us, timestamptz 'epoch' + event_us * us, refusal,
            timestamptz 'epoch' + refused_us * us, timestamptz 'epoch' + throttled_us * us
        FROM given CROSS JOIN (SELECT interval '1 microsecond') AS unit (us)
        ON CONFLICT (device_id) DO UPDATE SET
            seen = greatest(h.seen, excluded.seen),
            event = greatest(h.event, excluded.event),
            refusal = CASE WHEN excluded.refused_at >= coalesce(h.refused_at, excluded.refused_at)
                THEN excluded.refusal ELSE h.refusal END,
            refused_at = greatest(h.refused_at, excluded.refused_at),
            throttled_at = greatest(h.throttled_at, excluded.throttled_at)
    )
    INSERT INTO device_minute AS m
        (device_id, minute, events, refused, positions, backward, repeated, skew_us, samples)
    SELECT device_id, date_trunc('minute', %(now)s::timestamptz), events, refused, positions, backward,
        repeated, skew_us, samples
    FROM given
    ON CONFLICT (device_id, minute) DO UPDATE SET
        events = m.events + excluded.events,
        refused = m.refused + excluded.refused,
        positions = m.positions + excluded.positions,
        backward = m.backward + excluded.backward,
        repeated = m.repeated + excluded.repeated,
        skew_us = CASE WHEN excluded.samples > m.samples THEN excluded.skew_us ELSE m.skew_us END,
        samples = greatest(m.samples, excluded.samples)
"""
_READ: Final[LiteralString] = """
    SELECT h.device_id, h.seen, h.event, h.refusal, h.throttled_at, m.*
    FROM device_health h LEFT JOIN LATERAL (
        SELECT
            sum(events) FILTER (WHERE minute >= %(rate)s AND minute < %(whole)s) AS events,
            sum(refused) FILTER (WHERE minute >= %(rate)s AND minute < %(whole)s) AS refused,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY skew_us)
                FILTER (WHERE minute >= %(skew)s) AS skew_us,
            sum(positions) AS positions, sum(backward) AS backward, sum(repeated) AS repeated
        FROM device_minute WHERE device_id = h.device_id AND minute > %(kept)s
    ) AS m ON true
    WHERE %(device)s::text IS NULL OR h.device_id = %(device)s
"""


async def add_counts(connection: AsyncConnection[Any], counts: Sequence[DeviceCounts], now_us: int) -> None:
    """Add what a process counted to what is known; to be called inside a transaction."""
    if counts:
        rows = msgspec.json.encode(counts).decode()
        await connection.execute(_TAKE, {"rows": rows, "now": from_us(now_us)})


async def forget_minutes(connection: AsyncConnection[Any], now_us: int) -> None:
    """Delete minutes that are too old."""
    await connection.execute("DELETE FROM device_minute WHERE minute < %s", (from_us(now_us) - KEPT,))


async def read_health(
    connection: AsyncConnection[Any], now_us: int, device_id: str | None = None
) -> Mapping[str, DeviceHealth]:
    """Return what is known of every device that was ever heard of, or of one."""
    now = from_us(now_us)
    whole = now.replace(second=0, microsecond=0)
    parameters = {
        "device": device_id,
        "rate": whole - timedelta(minutes=RATE_MINUTES),
        "whole": whole,
        "skew": whole - timedelta(minutes=15),
        "kept": now - KEPT,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_READ, parameters)
        return {row["device_id"]: _health(row) async for row in cursor}


def _health(row: dict[str, Any]) -> DeviceHealth:
    events, refused = int(row["events"] or 0), int(row["refused"] or 0)
    came = events + refused
    return DeviceHealth(
        device_id=row["device_id"],
        seen_us=to_us(row["seen"]),
        event_us=row["event"] and to_us(row["event"]),
        events_per_min=events / RATE_MINUTES,
        refused_per_min=refused / RATE_MINUTES,
        error_rate=refused / came if came else None,
        skew_s=None if row["skew_us"] is None else round(row["skew_us"] / 1e6, 3),
        positions=int(row["positions"] or 0),
        backward=int(row["backward"] or 0),
        repeated=int(row["repeated"] or 0),
        refusal=row["refusal"],
        throttled_us=row["throttled_at"] and to_us(row["throttled_at"]),
    )
