"""When devices were last heard of, and what figures of now were hour by hour (migration 0111)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection

from ioc.model.times import from_us, to_us

LOOK_BACK: Final = timedelta(hours=2)
"""How far back a device's newest event is looked for; older sightings stay what they were."""
REPORTS_WITHIN_S: Final = 900
"""A device reports while its newest event is younger than this, or than three times its own interval."""
SAMPLES_KEPT: Final = timedelta(days=400)


class DeviceCount(NamedTuple):
    """Devices of one kind and ward, those out of service apart; `ward` is '' for none."""

    kind: str
    ward: str
    in_service: int
    reporting: int
    newest_us: int | None


class Sample(NamedTuple):
    """What a figure of a ward (`*` all, '' none) was in an hour."""

    figure: str
    ward: str
    hour_us: int
    value: float
    n: int


_SEEN: Final[LiteralString] = """
    INSERT INTO device_seen AS s (device_id, at)
    SELECT d.id, newest.at FROM device d CROSS JOIN LATERAL (
        SELECT max(at) AS at FROM (
            (SELECT time AS at FROM camera_event WHERE d.kind = 'camera' AND source = d.id
                AND time > %(since)s AND time <= %(now)s ORDER BY time DESC LIMIT 1)
            UNION ALL
            (SELECT time FROM traffic_measurement WHERE d.kind = 'detector' AND source = d.id
                AND time > %(since)s AND time <= %(now)s ORDER BY time DESC LIMIT 1)
        ) AS each) AS newest
    WHERE newest.at IS NOT NULL
    ON CONFLICT (device_id) DO UPDATE SET at = greatest(s.at, excluded.at) WHERE s.at < excluded.at
"""
_DEVICES: Final[LiteralString] = """
    SELECT d.kind, coalesce(d.ward, ''), count(*),
        count(*) FILTER (WHERE s.at > %(now)s - make_interval(
            secs => greatest(%(within)s, 3 * coalesce(d.expected_interval_s, 0)))),
        max(s.at)
    FROM device d LEFT JOIN device_seen s ON s.device_id = d.id
    WHERE d.kind IN ('camera', 'detector')
        AND NOT EXISTS (SELECT FROM device_outage o WHERE o.device_id = d.id AND o.ends IS NULL)
        AND (%(wards)s::text[] IS NULL OR d.ward = ANY(%(wards)s))
    GROUP BY 1, 2
"""


async def look_for_devices(connection: AsyncConnection[Any], now_us: int) -> None:
    """Note the newest event of every camera and detector."""
    now = from_us(now_us)
    await connection.execute(_SEEN, {"now": now, "since": now - LOOK_BACK})
    await connection.execute(
        "INSERT INTO device_seen_run VALUES (true, %s) ON CONFLICT (only_row) DO UPDATE SET at = excluded.at",
        (now,),
    )


async def read_devices(
    connection: AsyncConnection[Any], now_us: int, wards: Sequence[str] | None
) -> tuple[list[DeviceCount], int | None]:
    """Return the cameras and detectors in service of `wards` (None: all), and when they were looked for."""
    found = await connection.execute(
        _DEVICES,
        {
            "now": from_us(now_us),
            "within": REPORTS_WITHIN_S,
            "wards": None if wards is None else list(wards),
        },
    )
    counts = [
        DeviceCount(kind, ward, in_service, reporting, newest and to_us(newest))
        for kind, ward, in_service, reporting, newest in await found.fetchall()
    ]
    looked = await (await connection.execute("SELECT at FROM device_seen_run")).fetchone()
    return counts, to_us(looked[0]) if looked else None


async def write_samples(connection: AsyncConnection[Any], samples: Sequence[Sample]) -> None:
    """Keep `samples`; within an hour the last one stays."""
    await connection.execute(
        "INSERT INTO figure_sample AS s (figure, ward, hour, value, n)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::float8[], %s::int[])"
        " ON CONFLICT (figure, ward, hour) DO UPDATE SET (value, n) = (excluded.value, excluded.n)"
        " WHERE (s.value, s.n) IS DISTINCT FROM (excluded.value, excluded.n)",
        (
            [each.figure for each in samples],
            [each.ward for each in samples],
            [from_us(each.hour_us) for each in samples],
            [each.value for each in samples],
            [each.n for each in samples],
        ),
    )


async def read_samples(
    connection: AsyncConnection[Any],
    figures: Sequence[str],
    wards: Sequence[str] | None,
    from_time_us: int,
    to_time_us: int,
) -> list[Sample]:
    """Return the samples of hours that begin in [`from_time_us`, `to_time_us`), oldest first.

    `wards` None is every ward and the whole.
    """
    found = await connection.execute(
        "SELECT figure, ward, hour, value, n FROM figure_sample WHERE figure = ANY(%(figures)s)"
        " AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s)) AND hour >= %(from)s AND hour < %(to)s"
        " ORDER BY hour",
        {
            "figures": list(figures),
            "wards": None if wards is None else list(wards),
            "from": from_us(from_time_us),
            "to": from_us(to_time_us),
        },
    )
    return [
        Sample(figure, ward, to_us(hour), value, n) for figure, ward, hour, value, n in await found.fetchall()
    ]


async def forget_samples(connection: AsyncConnection[Any], now_us: int) -> None:
    """Delete samples that are too old."""
    await connection.execute("DELETE FROM figure_sample WHERE hour < %s", (from_us(now_us) - SAMPLES_KEPT,))
