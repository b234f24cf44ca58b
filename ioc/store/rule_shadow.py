"""What shadow rules would have raised: counted, and the newest kept."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from ioc.model.incidents import Cleared, Effect, Raised, Updated
from ioc.model.texts import Text
from ioc.model.times import from_us, to_us

KEPT: Final = 1_000
"""Firings kept per rule and text."""


class Firing(NamedTuple):
    """One episode, of a shadow rule or of an active one."""

    incident_id: str
    rule: str
    key: str
    severity: str
    ward: str | None
    opened_us: int
    detected_us: int
    cleared_us: int | None
    summary: Text


async def save_firings(connection: AsyncConnection[Any], effects: Sequence[Effect]) -> None:
    """Store what shadow rules decided; nothing of it reaches an incident, the feed or a person."""
    raised = [effect for effect in effects if isinstance(effect, Raised)]
    async with connection.cursor() as cursor:
        for effect in effects:
            if isinstance(effect, Raised):
                await cursor.execute(
                    "INSERT INTO rule_shadow_firing (incident_id, rule, hash, key, severity, ward, opened,"
                    " detected, summary) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    _row(effect),
                )
            elif isinstance(effect, Updated):
                await cursor.execute(
                    "UPDATE rule_shadow_firing SET severity = %s WHERE incident_id = %s AND hash = %s",
                    (effect.severity, effect.incident_id, effect.why.rule_version),
                )
            elif isinstance(effect, Cleared):
                await cursor.execute(
                    "UPDATE rule_shadow_firing SET cleared = %s WHERE incident_id = %s AND cleared IS NULL",
                    (from_us(effect.at_us), effect.incident_id),
                )
        for rule, text in sorted({(effect.rule, effect.why.rule_version) for effect in raised}):
            count = sum(e.rule == rule and e.why.rule_version == text for e in raised)
            await cursor.execute(
                "INSERT INTO rule_shadow_count AS c (rule, hash, raised) VALUES (%s, %s, %s)"
                " ON CONFLICT (rule, hash) DO UPDATE SET raised = c.raised + excluded.raised",
                (rule, text, count),
            )
            await cursor.execute(
                "DELETE FROM rule_shadow_firing WHERE rule = %(rule)s AND hash = %(hash)s AND detected <"
                " (SELECT detected FROM rule_shadow_firing WHERE rule = %(rule)s AND hash = %(hash)s"
                " ORDER BY detected DESC OFFSET %(kept)s LIMIT 1)",
                {"rule": rule, "hash": text, "kept": KEPT - 1},
            )


def _row(effect: Raised) -> tuple[object, ...]:
    return (
        effect.incident_id, effect.rule, effect.why.rule_version, effect.key, effect.severity, effect.ward,
        from_us(effect.opened_us), from_us(effect.at_us), Jsonb(msgspec.to_builtins(effect.why.summary)),
    )  # fmt: skip


async def count_firings(connection: AsyncConnection[Any]) -> dict[tuple[str, str], int]:
    """Return how often each shadow rule would have raised an incident, by (rule, hash of its text)."""
    found = await connection.execute("SELECT rule, hash, raised FROM rule_shadow_count")
    return {(rule, text): raised async for rule, text, raised in found}


async def read_firings(connection: AsyncConnection[Any], rule: str, text: str) -> list[Firing]:
    """Return what is kept of one shadow rule, oldest first."""
    found = await connection.execute(
        "SELECT incident_id, rule, key, severity, ward, opened, detected, cleared, summary"
        " FROM rule_shadow_firing WHERE rule = %s AND hash = %s ORDER BY detected, incident_id",
        (rule, text),
    )
    return [_firing(row) async for row in found]


async def read_raised(connection: AsyncConnection[Any], rule: str, since_us: int) -> list[Firing]:
    """Return the incidents the active rule has raised since, oldest first; at most `KEPT`."""
    found = await connection.execute(
        "SELECT id, rule, key, severity, ward, opened, detected, cleared, why -> 'summary' FROM incident"
        " WHERE rule = %s AND detected >= %s ORDER BY detected, id LIMIT %s",
        (rule, from_us(since_us), KEPT),
    )
    return [_firing(row) async for row in found]


def _firing(row: tuple[Any, ...]) -> Firing:
    identity, rule, key, severity, ward, opened, detected, cleared, summary = row
    cleared_us = None if cleared is None else to_us(cleared)
    text = msgspec.convert(summary, Text)
    return Firing(identity, rule, key, severity, ward, to_us(opened), to_us(detected), cleared_us, text)
